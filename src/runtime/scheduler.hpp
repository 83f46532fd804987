// The scheduler's shared state: processors, idle lists, the global queue. Go: schedt.
//
// Goroutines (G) are run by machines (M, OS threads) that hold a processor (P). There are max_procs
// processors. A machine without one sleeps, or is outside: in blocking(f), or in a goroutine that
// blocked or hogged the thread for so long that sysmon detached its processor.
//
// Where work is, and why none is lost
//  - A processor's queue: its holder looks there before it gives the processor up, so work pushed
//  by
//    the holder needs no wakeup to be run; waking others is for parallelism only, and sysmon makes
//    up for one that was missed. So a push costs no fence. Who comes over from elsewhere (join.cpp)
//    joins it inside its lock, which the holder takes once more when it has given it up, and then
//    looks.
//  - The global queue, timers, the poller: whoever adds there from elsewhere publishes, then (full
//    fence) looks for idle processors; a machine that goes idle publishes that, then (full fence)
//    looks there again. One of the two sees the other (find_runnable.cpp).
//
// When another processor is woken. A futex wake costs the waker 4 us here and the work starts 17 us
// later, some hundred switches. So: one goroutine made ready by a running one waits in run_next and
// wakes nobody (it will run when this one parks; if that takes longer than sysmon's patience,
// sysmon wakes one); what lies beyond run_next wakes one idle processor, unless one is already
// searching. A searching machine spins for a while before it sleeps, at most half of the busy
// processors at a time.
//
// Rejected: waking at every `ready` as Go does (ping-pong over two processors: 20x slower here).
#pragma once

#include <signal.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <runnel/detail/cache_line.hpp>

#include "arch/runtime_lock.hpp"
#include "runtime/global_queue.hpp"
#include "runtime/machine.hpp"
#include "runtime/processor.hpp"

namespace runnel::runtime {

inline constexpr unsigned max_processors = 1024;

struct scheduler {
  // Read often, written when something goes idle or wakes.
  alignas(detail::cache_line) std::atomic<unsigned> procs{0};  // processors in use
  std::atomic<unsigned> idle_ps{0};
  std::atomic<int> searching{0};
  std::atomic<bool> stopping{false};  // exit or fatal report: machines stop when they come by
  std::atomic<bool> sysmon_asleep{false};
  std::atomic<machine*> poller{nullptr};  // who sleeps in the poller; changes under lock
  std::atomic<std::int64_t> poller_until{0};
  bool chaos = false;
  bool ignore_threads = false;  // those that never called the library; see environment
  unsigned cpus = 1;            // CPUs this process may use
  unsigned schedtrace_ms = 0;   // 0: no trace
  // What machines block: what the thread that started the runtime did (not in the race build). So
  // goroutines see what a std::thread started in their place would: raise() works, SIGPIPE ends the
  // program, and children that they start inherit a sane mask.
  sigset_t signals{};

  alignas(detail::cache_line) std::array<std::atomic<processor*>, max_processors> all{};

  alignas(detail::cache_line) global_queue global;

  // Idle lists. Lock order: lock, then a processor's lock, then the global queue's.
  alignas(detail::cache_line) runtime_lock lock;
  runtime_lock resizing;         // held by max_procs(n) throughout, taken before all others
  processor* idle_p = nullptr;   // guarded by lock, as all that follows
  processor* spare_p = nullptr;  // detached and given up, for reuse
  machine* idle_m = nullptr;
  unsigned machines = 0;  // workers alive
  unsigned asleep = 0;  // of these: in idle_m, in the poller, or waiting for their locked goroutine
  bool polling = false;                   // some machine is in the poller's wait, claimed or not
  scheduler* abandoned_before = nullptr;  // in the child of a fork, see lifecycle.cpp

  std::atomic<processor*> made{nullptr};   // every processor ever made, by next_made
  std::atomic<std::uint64_t> ids{0};       // goroutine ids handed out in batches
  std::atomic<std::uint32_t> id_epoch{0};  // raised to void the batches
  std::atomic<std::uint32_t> sysmon_note{0};
  // Odd while sysmon fires timers: what those make ready is in nobody's queue yet. By sysmon only.
  std::atomic<std::uint32_t> sysmon_firing{0};
  std::atomic<std::uint32_t> stop_word{0};  // raised when `stopping` ends
  std::atomic<unsigned> paused{0};          // machines that found `stopping` set and wait
  std::atomic<pid_t> exiter{0};             // the thread in exit(), once it waits no longer
  std::atomic<bool> frozen{false};          // stopping for a fatal report: nothing goes on

  // Counters of what plain threads did, and of rare events.
  std::atomic<std::uint64_t> foreign_spawned{0}, wakeups{0}, handoffs{0}, detached{0}, threads{0};

  /// Takes one of the global queue for p, which me holds, to run, and moves a fair share of the
  /// rest to p's own. Null: there is none.
  goroutine* global_pick(machine* me, processor* p, global_queue::wish w) noexcept;
};

/// The one scheduler; null before first use. Immortal; a forked child makes a fresh one. Read
/// without an order: set when all that it leads to is there, and followed by address (see start()).
extern scheduler* sched;

/// Starts the runtime if it has not been. Throws std::bad_alloc / std::system_error.
void ensure_started();

/// Queues g (which is ready) where m, the caller, best can; m may be null or without a processor.
void enqueue(machine* m, goroutine* g, bool as_next) noexcept;
/// Work was published elsewhere than in a processor's own queue, or lies beyond run_next: lets an
/// idle processor look for it, unless one is searching.
void wake_processor() noexcept;

/// Hands p, which the caller owns and has taken from m, to a machine, or to the idle list if there
/// is nothing to do.
void hand_off(processor* p) noexcept;
/// Makes m the holder of p / not the holder any more.
void acquire_processor(machine* m, processor* p) noexcept;
processor* release_processor(machine* m) noexcept;
/// An idle processor or null; the caller owns it.
processor* take_idle_processor() noexcept;
void put_idle_processor(processor* p) noexcept;
/// With sched->lock held.
processor* take_idle_processor_locked() noexcept;
void put_idle_processor_locked(processor* p) noexcept;

/// Lets a machine run with p: an idle one, else a new thread. False: none could be had, and p is
/// idle.
bool start_machine(processor* p, bool searching) noexcept;

/// Takes p's place, which was `index`, away from its machine: p's queue goes to the global queue,
/// and (replace) a fresh processor, which is returned and owned by the caller, stands at p's index.
/// Null when p is not held there any more, or memory is exhausted, or !replace.
processor* detach_processor(processor* p, unsigned index, bool replace) noexcept;
/// A processor of s, registered for counters and reports. Null if memory is exhausted.
processor* make_processor(scheduler& s) noexcept;
/// Moves the free goroutines and seeds of idle and spare processors to the depots, and their fresh
/// stacks, of which each costs a page then.
void flush_idle_processors(bool fresh_too) noexcept;
/// m found its processor detached: gives it up.
void retire_processor(machine* m) noexcept;

/// The body of a machine's own stack.
[[noreturn]] void schedule(machine* m) noexcept;
/// The next goroutine for m to run; blocks until there is one. On return m holds a processor,
/// unless the goroutine is locked to m and brought its own.
goroutine* find_runnable(machine* m) noexcept;
/// Blocks m, which holds no processor, until it is handed one (true), or until it should look
/// again.
void stop_machine(machine* m) noexcept;
/// m's locked goroutine parked: waits for it to be ready.
void stop_locked_machine(machine* m) noexcept;
/// Has every processor look at what it only looks at now and then, at its next pick.
void set_attention() noexcept;
/// Where machines end up when the process is stopping.
void pause_if_stopping() noexcept;

/// Switches away from the running goroutine, which has been queued or parked: straight to the next
/// one of its processor if there is one, else to the machine's own stack. Returns when resumed.
void switch_away(machine* m, goroutine* g) noexcept;
/// Ends the running goroutine.
[[noreturn]] void finish_goroutine(machine* m, goroutine* g) noexcept;

/// Wakes the poller early; any thread.
void poke_poller() noexcept;

void start_sysmon();
/// A processor begins to work: sysmon must watch.
inline void wake_sysmon() noexcept;
void wake_sysmon_slow() noexcept;

std::int64_t now_ns() noexcept;
/// A coarse clock for reports: advanced by sysmon and by those who read the time anyway.
extern std::atomic<std::int64_t> coarse_now;

inline void wake_sysmon() noexcept {
  if (sched->sysmon_asleep.load(std::memory_order_seq_cst)) wake_sysmon_slow();
}

}  // namespace runnel::runtime
