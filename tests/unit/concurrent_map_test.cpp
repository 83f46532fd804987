// concurrent_map: against a plain map under a mutex, ranges during changes, kinds of values, and
// the behaviour of Go's sync/map_test.go.
#include <algorithm>
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

struct same_hash {
  std::size_t operator()(int) const { return 42; }
};
// Runs of neighbours with different homes, which cross each other and the end of the table.
struct crowded_hash {
  std::size_t operator()(int k) const { return static_cast<std::size_t>(k % 13); }
};

// Too large to lie in the table itself.
struct wide {
  explicit wide(int n) : value(n) {}
  bool operator==(const wide&) const = default;
  int value;
  std::string more = "so large that it is allocated";
};

// A map may be a member where its values are only declared.
struct registry {
  struct session;
  registry();
  ~registry();
  concurrent_map<int, session> all;
};
struct registry::session {
  int n;
};
registry::registry() = default;
registry::~registry() = default;

// Go's TestMapMatchesRWMutex: random operations, the same answers as a plain map.
template <class V, class Hash>
void match_a_plain_map() {
  concurrent_map<int, V, Hash> m;
  std::unordered_map<int, V> plain;
  std::minstd_rand random(1);
  for (int i = 0; i < rounds(20'000); ++i) {
    const int k = static_cast<int>(random() % 200);
    const V v(static_cast<int>(random() % 5));
    const auto at = plain.find(k);
    const std::optional<V> before = at != plain.end() ? std::optional<V>(at->second) : std::nullopt;
    switch (random() % 7) {
      case 0:
        m.store(k, v);
        plain.insert_or_assign(k, v);
        break;
      case 1:
        EXPECT_TRUE(m.load_and_delete(k) == before);
        plain.erase(k);
        break;
      case 2:
        EXPECT_TRUE(m.load_or_store(k, v) == std::pair(before.value_or(v), before.has_value()));
        plain.emplace(k, v);
        break;
      case 3:
        EXPECT_EQ(m.compare_and_swap(k, v, V(3)), before == v);
        if (before == v) plain.insert_or_assign(k, V(3));
        break;
      case 4:
        EXPECT_EQ(m.compare_and_delete(k, v), before == v);
        if (before == v) plain.erase(k);
        break;
      case 5:
        EXPECT_TRUE(m.swap(k, v) == before);
        plain.insert_or_assign(k, v);
        break;
      default:
        EXPECT_TRUE(m.load(k) == before);
    }
  }
  std::unordered_map<int, V> seen;
  m.range([&](int k, const V& v) {
    EXPECT_TRUE(seen.emplace(k, v).second);
    return true;
  });
  EXPECT_TRUE(seen == plain);
}

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

RUNNEL_TEST_BOTH(concurrent_map, matches_a_plain_map) {
  match_a_plain_map<int, std::hash<int>>();
  match_a_plain_map<int, crowded_hash>();
  match_a_plain_map<int, same_hash>();
  match_a_plain_map<wide, crowded_hash>();
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

  registry r;
  r.all.store(1, {2});
  EXPECT_EQ(r.all.load(1)->n, 2);

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

// So are those of an operation that fails, which changes nothing.
RUNNEL_TEST_BOTH(concurrent_map, what_throws_changes_nothing) {
  struct value;
  using map = concurrent_map<int, value, same_hash>;
  struct value {
    explicit value(map& in) : map_(&in) {}
    value(const value& other) : map_(other.map_), bad_(other.bad_) {
      if (bad_) throw std::runtime_error("copied");
    }
    value(value&& other) noexcept = default;
    ~value() { map_->erase(2); }  // would wait for itself
    bool operator==(const value& other) const { return map_ == other.map_; }
    map* map_;
    bool bad_ = false;
  };
  map m;
  m.store(3, value(m));
  value bad(m);
  bad.bad_ = true;
  EXPECT_THROW(m.load_or_store(1, std::move(bad)), std::runtime_error);
  EXPECT_FALSE(m.compare_and_delete(1, value(m)));
  EXPECT_FALSE(m.load_or_store(1, value(m)).second);
  EXPECT_TRUE(m.load_or_store(1, value(m)).second);
  EXPECT_TRUE(m.compare_and_delete(1, value(m)));
  m.erase(3);
}

// The order of one table's slots is none that crowds another one while it grows.
RUNNEL_TEST(concurrent_map, filled_in_the_order_of_another_table) {
  using table = runnel::detail::map_table<int, int>;
  constexpr int all = 40'000;
  const auto insert = [](table& t, std::size_t hash, int k) {
    t.reserve_one();
    t.insert(hash, table::make(int{k}, 0));
  };
  const auto longest_run = [](const table& t) {
    std::size_t longest = 0, run = 0;
    for (const table::slot& s : t) {
      run = s.free() ? 0 : run + 1;
      longest = std::max(longest, run);
    }
    return longest;
  };
  std::mt19937_64 random(1);
  std::vector<std::size_t> hashes;
  table from, to;
  for (int k = 0; k < all; ++k) {
    hashes.push_back(static_cast<std::size_t>(random()) | table::taken_bit);
    insert(from, hashes.back(), k);
  }
  std::size_t longest = 0;
  for (const table::slot& s : from) {
    if (s.free()) continue;
    const int k = s.get().key;
    insert(to, hashes[static_cast<std::size_t>(k)], k);
    if (to.size() % 1000 == 0) longest = std::max(longest, longest_run(to));
  }
  EXPECT_EQ(to.size(), all);
  EXPECT_LT(longest, 2000);  // 300 if the order does not matter
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
