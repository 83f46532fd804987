// concurrent_map: against a plain map under a mutex, ranges during changes, kinds of values, and
// the behaviour of Go's sync/map_test.go.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/tracked.hpp"
#include "sync_support.hpp"

using runnel::concurrent_map;
using runnel_test::crew;
using runnel_test::ledger;
using runnel_test::rounds;
using runnel_test::thread_group;

static_assert(runnel_test::is_pinned<concurrent_map<int, int>>);

namespace {

struct no_default {
  explicit no_default(int n) : value(n) {}
  no_default& operator=(const no_default&) = delete;  // and not assignable
  no_default(const no_default&) = default;
  bool operator==(const no_default&) const = default;
  const int value;
};

struct bad_hash {
  std::size_t operator()(int) const { return 42; }
};

}  // namespace

RUNNEL_TEST_BOTH(concurrent_map, single_operations) {
  concurrent_map<std::string, int> m;
  EXPECT_EQ(m.load("a"), std::nullopt);
  m.store("a", 1);
  m.store("b", 2);
  m.store("a", 3);
  EXPECT_EQ(m.load("a"), 3);
  EXPECT_EQ(m.load_or_store("a", 9), (std::pair{3, true}));
  EXPECT_EQ(m.load_or_store("c", 4), (std::pair{4, false}));
  EXPECT_FALSE(m.compare_and_swap("a", 1, 5));
  EXPECT_FALSE(m.compare_and_swap("z", 1, 5));
  EXPECT_TRUE(m.compare_and_swap("a", 3, 5));
  EXPECT_EQ(m.load_and_delete("a"), 5);
  EXPECT_EQ(m.load_and_delete("a"), std::nullopt);
  EXPECT_EQ(m.swap("b", 7), 2);
  EXPECT_EQ(m.swap("d", 8), std::nullopt);
  EXPECT_FALSE(m.compare_and_delete("b", 2));
  EXPECT_TRUE(m.compare_and_delete("b", 7));
  m.erase("c");
  m.erase("nothing");
  std::map<std::string, int> rest;
  m.range([&](const std::string& k, int v) { return rest.emplace(k, v).second; });
  EXPECT_EQ(rest, (std::map<std::string, int>{{"d", 8}}));
  m.clear();
  EXPECT_EQ(m.load("d"), std::nullopt);
}

// Go's TestMapMatchesRWMutex: random operations, the same answers as a plain map.
RUNNEL_TEST_BOTH(concurrent_map, matches_a_plain_map) {
  concurrent_map<int, int> m;
  concurrent_map<int, int, bad_hash> chained;
  std::unordered_map<int, int> plain;
  std::minstd_rand random(1);
  for (int i = 0; i < rounds(20'000); ++i) {
    const int k = static_cast<int>(random() % 200), v = static_cast<int>(random() % 5);
    const auto at = plain.find(k);
    const std::optional<int> before =
        at != plain.end() ? std::optional<int>(at->second) : std::nullopt;
    switch (random() % 7) {
      case 0:
        m.store(k, v);
        chained.store(k, v);
        plain[k] = v;
        break;
      case 1:
        EXPECT_EQ(m.load_and_delete(k), before);
        EXPECT_EQ(chained.load_and_delete(k), before);
        plain.erase(k);
        break;
      case 2: {
        const std::pair expected{before.value_or(v), before.has_value()};
        EXPECT_EQ(m.load_or_store(k, v), expected);
        EXPECT_EQ(chained.load_or_store(k, v), expected);
        plain.emplace(k, v);
        break;
      }
      case 3:
        EXPECT_EQ(m.compare_and_swap(k, v, 3), before == v);
        EXPECT_EQ(chained.compare_and_swap(k, v, 3), before == v);
        if (before == v) plain[k] = 3;
        break;
      case 4:
        EXPECT_EQ(m.compare_and_delete(k, v), before == v);
        EXPECT_EQ(chained.compare_and_delete(k, v), before == v);
        if (before == v) plain.erase(k);
        break;
      case 5:
        EXPECT_EQ(m.swap(k, v), before);
        EXPECT_EQ(chained.swap(k, v), before);
        plain[k] = v;
        break;
      default:
        EXPECT_EQ(m.load(k), before);
        EXPECT_EQ(chained.load(k), before);
    }
  }
  std::unordered_map<int, int> seen;
  m.range([&](int k, int v) {
    EXPECT_TRUE(seen.emplace(k, v).second);
    return true;
  });
  EXPECT_EQ(seen, plain);
}

// Go's TestConcurrentRange: every key is seen once, with a value that it has had.
RUNNEL_TEST_BOTH(concurrent_map, range_during_changes) {
  constexpr int size = 512;
  concurrent_map<int, int> m;
  for (int n = 1; n <= size; ++n) m.store(n, n);
  std::atomic<bool> stop{false};
  crew writers;
  thread_group threads;
  auto write = [&](int g) {
    for (int i = 0; !stop; ++i) {
      for (int n = 1; n < size; ++n) {
        if (n % 4 == g) m.store(n, n * i);
      }
      m.load_or_store(size + 1 + g, 0);
      m.erase(size + 1 + g);
      runnel::yield();
    }
  };
  for (int g = 0; g < 3; ++g) writers.go([&, g] { write(g); });
  threads.start([&] { write(3); });
  for (int round = 0; round < rounds(40); ++round) {
    std::vector<bool> seen(size + 8);
    m.range([&](int k, int v) {
      EXPECT_FALSE(seen[static_cast<std::size_t>(k)]);
      seen[static_cast<std::size_t>(k)] = true;
      if (k <= size) {
        EXPECT_EQ(v % k, 0);
      }
      return true;
    });
    EXPECT_GE(std::count(seen.begin(), seen.end(), true), size);
  }
  stop = true;
}

// Go's TestIssue40999 and friends: f may change what it ranges over, and stop.
RUNNEL_TEST_BOTH(concurrent_map, range_may_use_the_map) {
  concurrent_map<int, int> m;
  for (int i = 0; i < 100; ++i) m.store(i, i);
  int visited = 0;
  m.range([&](int k, int) {
    ++visited;
    m.erase(k);
    m.store(1000 + k % 10, 1);
    m.range([](int, int) { return false; });
    runnel::yield();
    return true;
  });
  EXPECT_GE(visited, 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(m.load(i), std::nullopt);
  visited = 0;
  m.range([&](int, int) { return ++visited < 3; });
  EXPECT_EQ(visited, 3);
}

// Go's TestMapRangeNestedCall: within a range within a range the map can be read and changed.
RUNNEL_TEST_BOTH(concurrent_map, ranges_nest) {
  concurrent_map<int, std::string> m;
  const std::vector<std::string> words{"hello", "world", "go"};
  for (std::size_t i = 0; i < words.size(); ++i) m.store(static_cast<int>(i), words[i]);
  int outer = 0, inner = 0;
  m.range([&](int key, const std::string&) {
    ++outer;
    m.range([&](int k, const std::string& v) {
      ++inner;
      EXPECT_EQ(m.load(k), v);
      // A key that is put in and taken out again is seen by no range.
      EXPECT_EQ(m.load_or_store(42, "dummy"), (std::pair{std::string("dummy"), false}));
      m.store(42, "more");
      EXPECT_EQ(m.load_and_delete(42), "more");
      return true;
    });
    m.erase(key);
    return true;
  });
  EXPECT_EQ(outer, 3);
  EXPECT_EQ(inner, 3 + 2 + 1);
  m.range([](int k, const std::string&) { return ADD_FAILURE() << k << " is left", true; });
}

RUNNEL_TEST_BOTH(concurrent_map, counts_by_compare_and_swap) {
  concurrent_map<std::string, int> m;
  const int n = rounds(500);
  auto work = [&] {
    for (int i = 0; i < n; ++i) {
      const std::string key = "key" + std::to_string(i % 3);
      for (;;) {
        const auto [v, loaded] = m.load_or_store(key, 1);
        if (!loaded || m.compare_and_swap(key, v, v + 1)) break;
      }
    }
  };
  {
    crew goroutines;
    thread_group threads;
    for (int i = 0; i < 4; ++i) goroutines.go(work);
    for (int i = 0; i < 2; ++i) threads.start(work);
  }
  EXPECT_EQ(*m.load("key0") + *m.load("key1") + *m.load("key2"), 6 * n);
}

RUNNEL_TEST_BOTH(concurrent_map, each_key_deleted_once) {
  concurrent_map<int, int> m;
  const int n = rounds(3000);
  std::atomic<int> deleted{0};
  {
    crew goroutines;
    for (int g = 0; g < 4; ++g) {
      goroutines.go([&] {
        for (int i = 0; i < n; ++i) {
          m.load_or_store(i, i);
          if (m.load_and_delete(i)) ++deleted;
        }
      });
    }
  }
  int left = 0;
  m.range([&](int, int) { return ++left, true; });
  EXPECT_EQ(left, 0);
  EXPECT_GE(deleted, n);
}

RUNNEL_TEST_BOTH(concurrent_map, kinds_of_values) {
  concurrent_map<int, no_default> m;
  m.store(1, no_default(1));
  m.store(1, no_default(2));
  EXPECT_EQ(m.load(1)->value, 2);
  EXPECT_TRUE(m.compare_and_swap(1, no_default(2), no_default(3)));
  EXPECT_EQ(m.swap(1, no_default(4))->value, 3);
  EXPECT_EQ(m.load_or_store(2, no_default(5)).first.value, 5);

  concurrent_map<int, std::unique_ptr<int>> unique;  // all that does not copy
  unique.store(1, std::make_unique<int>(1));
  EXPECT_EQ(**unique.swap(1, std::make_unique<int>(2)), 1);
  EXPECT_EQ(**unique.load_and_delete(1), 2);
}

RUNNEL_TEST_BOTH(concurrent_map, values_are_destroyed_outside_the_locks) {
  struct user;
  using map = concurrent_map<int, std::shared_ptr<user>>;
  struct user {
    explicit user(map& m) : map_(m) {}
    ~user() { map_.load(1); }  // would wait for itself
    map& map_;
  };
  map m;
  m.store(1, std::make_shared<user>(m));
  m.store(1, std::make_shared<user>(m));
  m.swap(1, std::make_shared<user>(m));
  const auto now = *m.load(1);
  m.compare_and_swap(1, now, std::make_shared<user>(m));
  m.load_or_store(1, std::make_shared<user>(m));
  m.erase(1);
  m.store(1, std::make_shared<user>(m));
  m.clear();
}

RUNNEL_TEST_BOTH(concurrent_map, leaks_nothing) {
  auto counted = std::make_shared<int>(0);
  {
    concurrent_map<int, std::shared_ptr<int>> m;
    for (int i = 0; i < 2000; ++i) m.store(i % 700, counted);
    for (int i = 0; i < 300; ++i) m.erase(i);
    EXPECT_EQ(counted.use_count(), 401);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

// Go's TestConcurrentClear.
RUNNEL_TEST(concurrent_map, cleared_by_many_at_once) {
  for (int round = 0; round < rounds(20); ++round) {
    concurrent_map<int, int> m;
    {
      crew all;
      for (int i = 0; i < 10; ++i) {
        all.go([&, i] {
          for (int k = i; k < 200; k += 10) m.store(k, 10 * k);
        });
        all.go([&, i] {
          for (int k = i; k < 200; k += 10) EXPECT_EQ(m.load(k).value_or(10 * k), 10 * k);
        });
        all.go([&] {
          m.clear();
          runnel::yield();
          m.clear();
        });
      }
    }
    m.clear();
    m.range([](int k, int) { return ADD_FAILURE() << k << " is left", true; });
    m.store(1, 2);
    EXPECT_EQ(m.load(1), 2);
  }
}
