// A discrete-event model of a work-stealing scheduler, to see how a policy behaves on more
// processors than the machine at hand has. Time is in nanoseconds. What it models: the processors'
// queues and run-next slots, the global queue with its lock, searching, stealing, sleeping and
// waking, with measured costs. What it leaves out: timers, I/O, time slices, memory bandwidth, and
// the operating system's own scheduling (every processor has a core of its own).
#pragma once

#include <cstdint>
#include <deque>
#include <queue>
#include <random>
#include <string>
#include <vector>

namespace sim {

using nanoseconds = double;

/// What each step costs. The defaults were measured on the development machine; `--measure` takes
/// them anew.
struct costs {
  nanoseconds spawn = 60;          // make a goroutine and queue it
  nanoseconds ready = 20;          // make a parked one runnable and queue it
  nanoseconds pick = 20;           // take the next one from the own queue and switch to it
  nanoseconds line = 250;          // bring over a cache line that another core has written
  nanoseconds global = 30;         // hold the lock of the global queue
  nanoseconds wake = 4000;         // wake a sleeping thread: what the waker pays
  nanoseconds wake_delay = 17000;  // until the woken one runs
  nanoseconds sleep = 2000;        // give the processor up and go to sleep
  nanoseconds nap = 60000;         // sleep for 3 us, which the system's timer slack prolongs
  nanoseconds barrier = 1000;      // a process-wide memory barrier, as a thief may need
  nanoseconds barrier_each = 100;  // more of it for each running processor
  nanoseconds interrupted = 500;   // what each running processor loses by it
};

/// Who wakes whom, what may be stolen, how long is searched.
struct policy {
  std::string name;
  bool next_wakes;            // does filling an empty run-next slot wake an idle processor?
  nanoseconds next_patience;  // how long run-next is safe from thieves; below zero: for ever
  bool next_nap;              // a thief naps before it takes what it saw in a run-next slot
  bool next_tells;            // does filling it wake one if others wait in the queue already?
  int next_streak;            // so many from run-next in a row while others wait; 0: for ever
  int search_rounds;          // rounds over all victims before sleeping; 0: by time
  nanoseconds search_time;
  bool found_wakes;     // does a searcher that found work always wake the next one; else only if it
                        // left some
  bool steal_barrier;   // a steal needs a process-wide barrier
  int global_interval;  // every so many picks the global queue comes first
  bool newest_first;    // of the global queue, unless by a thief; else first in, first out
  bool shy;             // a theft not worth it doubles the length from which on a queue is helped
};

/// The policies of runnel (src/runtime), Go 1.26 (runtime/proc.go) and tokio 1.x
/// (multi_thread/worker.rs).
policy policy_named(const std::string& name);

/// What a goroutine does next: some work, then one operation.
struct step {
  enum class kind { spawn, ready, park, end, yield };
  nanoseconds work = 0;
  kind what = kind::end;
  std::uint32_t target = 0;
};

/// The program that is run. Goroutines are numbers; 0 is there at the start.
class workload {
 public:
  virtual ~workload() = default;
  virtual step next(std::uint32_t g) = 0;
  /// The number of operations, by which the time is divided.
  virtual double operations() const = 0;
};

struct outcome {
  nanoseconds time = 0;
  std::uint64_t steals = 0;
  std::uint64_t stolen = 0;
  std::uint64_t wakeups = 0;
  std::size_t most_alive = 0;  // goroutines started and not ended, at one time
  double busy = 0;             // share of the processors' time that went into goroutines
};

class machine {
 public:
  machine(int procs, policy p, costs c, workload& w, std::uint64_t seed);
  /// Throws if every goroutine sleeps and the first has not ended.
  outcome run();

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::size_t ring_size = 256;

  enum class state { running, searching, asleep, waking };

  struct processor {
    state now = state::asleep;
    std::deque<std::uint32_t> queue;
    std::uint32_t next = none;
    nanoseconds next_since = 0;
    int streak = 0;  // taken from run-next in a row
    std::uint32_t current = none;
    step doing;
    int picks = 0;
    int rounds = 0;
    std::size_t round_start = 0;  // the searcher's first victim, and how many it has been to
    std::size_t visited = 0;
    std::uint32_t coveted = none;  // the run-next for which it naps
    std::size_t help_from = 1;     // its queue's length from which on thieves take from it
    nanoseconds shy_since = 0;
    processor* robbed = nullptr;  // last, and when
    nanoseconds robbed_at = 0;
    nanoseconds theft_cost = 0;  // its own time, for each processor that it interrupted
    nanoseconds search_until = 0;
    nanoseconds delay = 0;  // owed for interruptions
    nanoseconds busy = 0;
  };

  struct event {
    nanoseconds at;
    std::uint64_t order;
    int who;
    bool operator>(const event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  void at(nanoseconds when, int who) { events_.push({when, order_++, who}); }
  void know(std::uint32_t g);
  void begin(int who, std::uint32_t g);
  void finish_step(int who);
  nanoseconds enqueue(int who, std::uint32_t g, bool as_next);
  nanoseconds wake_one();
  nanoseconds global_access();
  void find_work(int who, nanoseconds spent);
  bool take_global(int who, bool oldest, std::uint32_t& g);
  void judge_last_theft(processor& thief);
  std::size_t help_from(processor& p) const;
  void start_search(int who);
  void begin_round(processor& p);
  void search(int who);
  bool last_round(const processor& p) const;
  bool naps_for_next(processor& thief, const processor& victim) const;
  bool next_is_ripe(const processor& thief, const processor& victim) const;
  bool steal(int who, processor& victim, std::uint32_t& g, nanoseconds& spent);
  void stop_search(int who, nanoseconds& spent);
  void go_to_sleep(int who);

  policy policy_;
  costs costs_;
  workload& work_;
  std::vector<processor> procs_;
  std::vector<int> last_on_;  // where a goroutine ran last, for the cost of moving it
  std::vector<char> parked_;  // 1: parked; 2: readied before it parked
  std::deque<std::uint32_t> global_;
  nanoseconds global_free_ = 0;
  std::priority_queue<event, std::vector<event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  nanoseconds now_ = 0;
  int searching_ = 0;
  int asleep_ = 0;
  std::size_t alive_ = 1;
  bool over_ = false;
  std::mt19937_64 random_;
  outcome outcome_;
};

/// Costs of the machine that this runs on: futex, cache line, barrier.
costs measured_costs();

}  // namespace sim
