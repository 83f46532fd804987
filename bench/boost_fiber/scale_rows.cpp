// The rows of very many fibers: what they cost in time and memory.
#include <algorithm>
#include <filesystem>
#include <thread>

#include "harness.hpp"

namespace peer {
namespace {

using namespace std::chrono_literals;

/// What all fibers wait for; open returns since when they need not wait.
class gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    cond_.wait(lock, [&] { return open_; });
  }
  bool is_open() const { return open_; }
  clock_type::time_point open() {
    const auto now = clock_type::now();
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    cond_.notify_all();
    return now;
  }

 private:
  fibers::mutex mutex_;
  fibers::condition_variable cond_;
  bool open_ = false;
};

/// A gate that opens by itself. After twenty seconds, not five as in the other systems: a million
/// fibers are not there by then.
class moment {
 public:
  void pass() { boost::this_fiber::sleep_until(at_); }
  bool is_open() const { return clock_type::now() >= at_; }
  clock_type::time_point open() { return at_; }

 private:
  clock_type::time_point at_ = clock_type::now() + scaled(20000) * 1ms;
};

/// Fibers that are started and then wait for a gate.
template <class Gate>
class crowd {
 public:
  explicit crowd(int64_t count) : here_(count), gone_(count) {
    fibers::fixedsize_stack stacks(small_stack());  // a pool would take a page more for each
    for (int64_t g = 0; g < count; ++g) {
      fiber(fibers::launch::post, std::allocator_arg, stacks, [&] {
        here_.done();
        gate_.pass();
        gone_.done();
      }).detach();
    }
    here_.wait();
    require(!gate_.is_open(), "the gate was open before all were there");
  }
  clock_type::time_point leave() {
    const auto opened = gate_.open();
    gone_.wait();
    return opened;
  }

 private:
  Gate gate_;
  countdown here_;
  countdown gone_;
};

/// A million fibers wait for one gate. The spawn time ends when all are there, the wake time begins
/// when the gate opens.
template <class Gate>
sample a_million(int64_t n) {
  const int64_t count = scaled(1000000);
  double spawned = 0;
  double woken = 0;
  double bytes = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double before = resident_bytes();
    const auto start = clock_type::now();
    crowd<Gate> all(count);
    spawned += since(start);
    bytes += resident_bytes() - before;
    woken += since(all.leave());
  }
  const double fibers = static_cast<double>(n * count);
  return {spawned + woken,
          static_cast<double>(count),
          {{"spawn-ns", spawned * 1e9 / fibers},
           {"wake-ns", woken * 1e9 / fibers},
           {"bytes", bytes / fibers}}};
}

/// Voluntary context switches of all threads of this process.
int64_t thread_switches() {
  int64_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(entry.path() / "status");
    for (std::string word; status >> word;) {
      if (word != "voluntary_ctxt_switches:") continue;
      int64_t count = 0;
      status >> count;
      sum += count;
    }
  }
  return sum;
}

/// The one switch of the looking thread's own sleep is not counted.
double wakeups_per_second() {
  std::this_thread::sleep_for(500ms);
  const int64_t before = thread_switches();
  const auto start = clock_type::now();
  std::this_thread::sleep_for(1s);
  const auto switches = static_cast<double>(thread_switches() - before - 1);
  return std::max(switches, 0.0) / since(start);
}

/// How often any thread wakes in a second while a hundred thousand fibers are parked. Who looks is
/// a thread without fibers; the main one waits in its scheduler.
sample idle(int64_t n) {
  double rate = 0;
  const auto start = clock_type::now();
  for (int64_t i = 0; i < n; ++i) {
    crowd<gate> all(scaled(100000));
    fibers::packaged_task<double()> look(wakeups_per_second);
    auto seen = look.get_future();
    std::thread looker(std::move(look));
    rate += seen.get();
    looker.join();
    all.leave();
  }
  return {since(start), 1, {{"wakeups-per-s", rate / static_cast<double>(n)}}};
}

}  // namespace

std::vector<row> scale_rows() {
  return {
      {"Parked1M", a_million<gate>},
      {"Sleepers1M", a_million<moment>},
      {"Idle100k", idle},
  };
}

}  // namespace peer
