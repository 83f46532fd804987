// Reads of a concurrent_map that pass its locks by; see detail/read_bias.hpp.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include "runtime/fence.hpp"
#include "sync_support.hpp"

using runnel::concurrent_map;
using runnel_test::crew;
using runnel_test::rounds;
using runnel_test::thread_group;

namespace {

// As many reads of one part open its bias, whatever happened before.
constexpr int opening_reads = 20'000;

template <class Map>
void open_bias(const Map& m, int key) {
  for (int i = 0; i < opening_reads; ++i) m.load(key);
}

// A value whose copying notices that the original is written or destroyed meanwhile. Where `slow`
// is set, other goroutines and threads run in the middle of it.
class watched {
 public:
  static inline std::atomic<bool> slow{false};

  explicit watched(int n) { fill(n); }
  watched(const watched& other) {
    for (std::size_t i = 0; i < size; ++i) {
      words_[i] = other.words_[i];
      if (i == size / 2 && slow) runnel::yield();
    }
    for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(words_[i], words_[0]);
    EXPECT_NE(words_[0], gone);
  }
  watched& operator=(const watched&) = delete;
  ~watched() { fill(gone); }
  bool operator==(const watched& other) const { return value() == other.value(); }
  int value() const { return words_[0]; }

 private:
  static constexpr std::size_t size = 16;
  static constexpr int gone = -1;
  void fill(int n) {
    for (std::size_t i = 0; i < size; ++i) words_[i] = n;
  }
  volatile int words_[size];
};

// Readers on goroutines and threads while everything that changes a map is done to it, each time
// after so many reads that biases are open.
void read_during_changes(int changes, int reads_between) {
  constexpr int keys = 4;
  concurrent_map<int, watched> m;
  for (int k = 0; k < keys; ++k) m.store(k, watched(k));
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  auto read = [&] {
    while (!stop) {
      for (int i = 0; i < 64; ++i) {
        const int k = i % keys;
        if (const auto v = m.load(k)) {
          EXPECT_EQ(v->value() % keys, k);
        }
      }
      reads += 64;
      runnel::yield();
    }
  };
  crew goroutines;
  thread_group threads;
  for (int i = 0; i < 3; ++i) goroutines.go(read);
  threads.start(read);
  for (int i = 0; i < changes; ++i) {
    for (const int until = reads + reads_between; reads < until;) runnel::yield();
    for (int k = 0; k < keys; ++k) {
      const int v = k + keys * i;
      switch (i % 6) {
        case 0:
          m.store(k, watched(v));
          break;
        case 1:
          m.erase(k);
          break;
        case 2:
          EXPECT_EQ(m.load_or_store(k, watched(v)).first.value(), v);
          break;
        case 3:
          EXPECT_TRUE(m.compare_and_swap(k, watched(v - keys), watched(v)));
          break;
        case 4:
          EXPECT_EQ(m.swap(k, watched(v))->value(), v - keys);
          break;
        default:
          m.clear();  // the others find nothing
      }
    }
  }
  stop = true;
}

bool biases_open() {
  return runnel::detail::inline_paths && runnel::runtime::heavy_fence_enabled();
}

// Blocks the first copy of a `guarded` that is made while it is shut.
struct gate {
  std::atomic<bool> shut{false};
  runnel::chan<void> reached, pass;
};
struct guarded {
  explicit guarded(gate& g) : gate_(g) {}
  guarded(const guarded& other) : gate_(other.gate_) {
    if (!gate_.shut.exchange(false)) return;
    gate_.reached.send();
    gate_.pass.recv();
  }
  gate& gate_;
};

}  // namespace

RUNNEL_TEST_BOTH(read_bias, opens_and_closes) {
  runnel::shared_mutex lock;
  runnel::detail::read_bias bias;
  auto is_open = [&] { return static_cast<bool>(runnel::detail::biased_glance(bias)); };
  const bool opens = biases_open();
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(is_open());
    for (int n = 0; n < opening_reads; ++n) {
      const runnel::detail::biased_reader inside(bias, lock);
    }
    EXPECT_EQ(is_open(), opens);
    {
      const runnel::detail::biased_glance inside(bias);
      EXPECT_FALSE(is_open());  // this thread's slot is in use
      const runnel::detail::biased_reader by_the_lock(bias, lock);
    }
    EXPECT_EQ(is_open(), opens);
    const runnel::detail::biased_writer inside(bias, lock);
    EXPECT_FALSE(is_open());
  }
}

RUNNEL_TEST_BOTH(read_bias, reads_during_changes) {
  read_during_changes(rounds(48), opening_reads);
}

RUNNEL_TEST_BOTH(read_bias, copying_that_yields) {
  watched::slow = true;
  read_during_changes(rounds(24), rounds(500));
  watched::slow = false;
}

RUNNEL_TEST_BOTH(read_bias, a_change_waits_for_a_copy_that_blocks) {
  gate g;
  concurrent_map<int, guarded> m;
  m.store(1, guarded(g));
  open_bias(m, 1);
  g.shut = true;
  std::atomic<bool> erased{false};
  crew goroutines;
  goroutines.go([&] { EXPECT_TRUE(m.load(1)); });
  g.reached.recv();
  goroutines.go([&] {
    m.erase(1);
    erased = true;
  });
  for (int i = 0; i < 5; ++i) {
    runnel::sleep_for(std::chrono::milliseconds(1));
    EXPECT_FALSE(erased);
  }
  g.pass.send();
  goroutines.wait();
  EXPECT_TRUE(erased);
  EXPECT_FALSE(m.load(1));
}

// Also where the last load_or_store of the part found nothing, and so the next one expects the
// same.
RUNNEL_TEST_BOTH(read_bias, what_is_there_is_found_beside_a_copy_that_blocks) {
  if (!biases_open()) return;
  gate g;
  concurrent_map<int, guarded> m;
  EXPECT_FALSE(m.load_or_store(1, guarded(g)).second);
  open_bias(m, 1);
  g.shut = true;
  crew reader;
  reader.go([&] { EXPECT_TRUE(m.load(1)); });
  g.reached.recv();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(m.load_or_store(1, guarded(g)).second);
  g.pass.send();
}

RUNNEL_TEST_BOTH(read_bias, copying_that_throws_leaves_it_usable) {
  struct fragile {
    explicit fragile(const bool& broken) : broken_(broken) {}
    fragile(const fragile& other) : broken_(other.broken_) {
      if (broken_) throw std::runtime_error("copy");
    }
    fragile(fragile&&) = default;
    const bool& broken_;
  };
  bool broken = false;
  concurrent_map<int, fragile> m;
  m.store(1, fragile(broken));
  for (int i = 0; i < 3; ++i) {
    open_bias(m, 1);
    broken = true;
    EXPECT_THROW(m.load(1), std::runtime_error);
    EXPECT_THROW(m.load_or_store(1, fragile(broken)), std::runtime_error);
    broken = false;
    EXPECT_TRUE(m.load(1));
    m.store(1, fragile(broken));  // would wait for ever for a reader that has gone
  }
}

// Copying a value of one map reads another one, which is changed meanwhile.
RUNNEL_TEST_BOTH(read_bias, copying_that_uses_another_map) {
  struct link {
    explicit link(concurrent_map<int, watched>& m) : other(m) {}
    link(const link& l) : other(l.other), seen(other.load(1)->value()) {}
    concurrent_map<int, watched>& other;
    int seen = 0;
  };
  concurrent_map<int, watched> inner;
  concurrent_map<int, link> outer;
  inner.store(1, watched(0));
  outer.store(1, link(inner));
  std::atomic<bool> stop{false};
  auto read = [&] {
    for (int last = 0; !stop;) {
      for (int i = 0; i < 64; ++i) {
        const int seen = outer.load(1)->seen;
        EXPECT_GE(seen, last);
        last = seen;
      }
      runnel::yield();
    }
  };
  crew goroutines;
  thread_group threads;
  goroutines.go(read);
  goroutines.go(read);
  threads.start(read);
  for (int i = 1; i <= rounds(20); ++i) {
    open_bias(inner, 1);
    open_bias(outer, 1);
    inner.store(1, watched(i));
    if (i % 2 == 0) outer.store(1, link(inner));
    runnel::yield();
  }
  stop = true;
}
