// What the tests of the synchronisation primitives share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <runnel/sync.hpp>
#include <runnel/time.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/inspect.hpp"
#include "support/crew.hpp"
#include "support/test.hpp"

namespace runnel_test {

// How many goroutines wait for the reason that reports call `state`, such as "sync.Mutex.Lock".
// (From the runtime's own view: a dump would do, but takes a hundred milliseconds.)
inline std::size_t blocked_in(std::string_view state) {
  struct counter {
    std::string_view state;
    std::size_t n = 0;
  } found{state};
  runnel::runtime::for_each_goroutine(
      [](void* argument, const runnel::runtime::goroutine_view& g) {
        auto& c = *static_cast<counter*>(argument);
        if (g.state == runnel::runtime::goroutine_state::waiting &&
            c.state == runnel::detail::text(g.reason)) {
          ++c.n;
        }
      },
      &found);
  return found.n;
}

// Waits until n goroutines are in the state. For tests that need to know that somebody has queued.
inline bool eventually_blocked(std::size_t n, std::string_view state) {
  return eventually([&] { return blocked_in(state) >= n; });
}

// Plain threads, joined at the latest at its end.
class thread_group {
 public:
  thread_group() = default;
  thread_group(const thread_group&) = delete;
  thread_group& operator=(const thread_group&) = delete;
  ~thread_group() { join(); }
  template <class F>
  void start(F f) {
    threads_.emplace_back(std::move(f));
  }
  // Blocks the OS thread; says so to the runtime.
  void join() {
    runnel::blocking([this] {
      for (std::thread& t : threads_) t.join();
    });
    threads_.clear();
  }

 private:
  std::vector<std::thread> threads_;
};

// Neither copies nor moves, as every primitive must.
template <class T>
constexpr bool is_pinned = !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> &&
                           !std::is_move_constructible_v<T> && !std::is_move_assignable_v<T>;

// Neither instrumented nor emulated, and with a scheduler that does not play tricks.
inline bool at_full_speed() {
  const char* debug = std::getenv("RUNNEL_DEBUG");
  const bool chaos =
      debug != nullptr && std::string_view(debug).find("chaos") != std::string_view::npos;
  return !under_sanitizer && !emulated && !chaos;
}

// Uses up CPU without calling the library.
inline void burn(std::chrono::steady_clock::duration d) {
  for (const auto end = std::chrono::steady_clock::now() + d;
       std::chrono::steady_clock::now() < end;) {
  }
}

// The standard's named requirements, as concepts.
template <class L>
concept lockable = requires(L& l) {
  l.lock();
  l.unlock();
  { l.try_lock() } -> std::same_as<bool>;
};
template <class L>
concept timed_lockable = lockable<L> &&
    requires(L& l, std::chrono::duration<double, std::deci> d,
             std::chrono::system_clock::time_point s, std::chrono::steady_clock::time_point t) {
  { l.try_lock_for(d) } -> std::same_as<bool>;
  { l.try_lock_until(s) } -> std::same_as<bool>;
  { l.try_lock_until(t) } -> std::same_as<bool>;
};
template <class L>
concept shared_lockable = requires(L& l) {
  l.lock_shared();
  l.unlock_shared();
  { l.try_lock_shared() } -> std::same_as<bool>;
};
template <class L>
concept shared_timed_lockable = shared_lockable<L> &&
    requires(L& l, std::chrono::duration<double, std::deci> d,
             std::chrono::system_clock::time_point s, std::chrono::steady_clock::time_point t) {
  { l.try_lock_shared_for(d) } -> std::same_as<bool>;
  { l.try_lock_shared_until(s) } -> std::same_as<bool>;
  { l.try_lock_shared_until(t) } -> std::same_as<bool>;
};

}  // namespace runnel_test
