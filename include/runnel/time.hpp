// Sleeping, timers, tickers. Go: package time.
//
// Every duration is rounded up to the clock's nanosecond, and every deadline is one of
// std::chrono::steady_clock. Nothing fires early; how late depends on the load, a few hundred
// microseconds at most on an idle machine. Arming, stopping and resetting take O(log n) for n armed
// timers and, once a processor has had as many, allocate nothing.
//
// A timer with a channel costs the runtime nothing until somebody waits for the channel: who comes
// to receive looks at the clock, and only who has to park has the timer put in the heap; the
// receive, or the select, throws std::bad_alloc if that cannot grow. A timer that nobody has ever
// waited for does not keep a deadlock from being reported. Go: so are its timers since 1.23.
#pragma once

#include <chrono>
#include <memory>
#include <runnel/chan.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/deadline.hpp>
#include <runnel/detail/detached_function.hpp>
#include <runnel/detail/duration.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/timer_channel.hpp>
#include <type_traits>
#include <utility>

namespace runnel {

namespace detail {

/// A ticker's period. Throws panic(refusal) if it is not positive.
template <class Rep, class Period>
std::chrono::nanoseconds interval(const std::chrono::duration<Rep, Period>& d,
                                  const char* refusal) {
  const std::chrono::nanoseconds ns = ceil_nanoseconds(d);
  if (ns.count() <= 0) throw_panic(refusal);
  return ns;
}

}  // namespace detail

/// Blocks the calling goroutine, or plain thread, for at least d; returns at once if d is not
/// positive. Allocates nothing. Orders nothing. To end with a context, too: select on_timeout(d)
/// and on_done(ctx). Go: time.Sleep.
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& d) {
  const std::chrono::nanoseconds ns = detail::ceil_nanoseconds(d);
  if (ns.count() <= 0) return;
  detail::sleep_until_steady(detail::saturating_add(std::chrono::steady_clock::now(), ns));
}

/// Blocks until t, a point in time of any clock, as std::this_thread::sleep_until does; returns at
/// once if it has passed. See sleep_for.
template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration>& t) {
  detail::wait_until_on(t, [](detail::steady_time by) {
    detail::sleep_until_steady(by);
    return false;
  });
}

/// A channel that receives the time once, d from now: the time at which that was, however late it
/// is received, as in Go. Nothing is left of it once the last handle is
/// dropped, fired or not. capacity() and size() are 0, as in Go. Throws std::bad_alloc.
/// Synchronizes: after → the receive. Go: time.After.
template <class Rep, class Period>
recv_chan<std::chrono::steady_clock::time_point> after(
    const std::chrono::duration<Rep, Period>& d) {
  return detail::chan_access::adopt<recv_chan<detail::steady_time>>(
      detail::make_timer_channel(detail::deadline_after(d), {}));
}

/// A channel that receives the time every d for as long as a handle to it is left; nil if d is not
/// positive. A slow receiver misses ticks, they are never queued. Throws std::bad_alloc.
/// Synchronizes: tick → each receive. Go: time.Tick.
template <class Rep, class Period>
recv_chan<std::chrono::steady_clock::time_point> tick(const std::chrono::duration<Rep, Period>& d) {
  const std::chrono::nanoseconds period = detail::ceil_nanoseconds(d);
  if (period.count() <= 0) return nullptr;
  return detail::chan_access::adopt<recv_chan<detail::steady_time>>(
      detail::make_timer_channel(detail::deadline_after(period), period));
}

/// A single event in the future: c() receives the time, or, if it comes from after_func, a function
/// is started. Go: time.Timer.
///
/// Movable, not copyable. stop and reset may be called by several goroutines and while others
/// receive. One made by timer(d) is collected when it and all handles from c() are gone, armed or
/// not; one made by after_func goes on although it is dropped. Using one that was moved from:
/// panic("time: Stop called on uninitialized Timer"), panic("time: Reset called on uninitialized
/// Timer"). Synchronizes: the creation, or the reset, that armed it → the receive of its time.
class timer {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Fires once, d from now. Throws std::bad_alloc. Go: time.NewTimer.
  template <class Rep, class Period>
  explicit timer(const std::chrono::duration<Rep, Period>& d) : c_(after(d)) {}

  timer(timer&& other) noexcept
      : c_(std::exchange(other.c_, nullptr)), function_(std::move(other.function_)) {}
  timer& operator=(timer&& other) noexcept {
    c_ = std::exchange(other.c_, nullptr);
    function_ = std::move(other.function_);
    return *this;
  }

  /// Where the time is received; nil for a timer made by after_func. The handle stays this timer's
  /// whatever becomes of the object. Never blocks.
  recv_chan<time_point> c() const noexcept { return c_; }

  /// Keeps the timer from firing. True if it was armed, or had fired and its time had not been
  /// received: after stop() nothing is received until a reset. For after_func: true if this call
  /// keeps the function from being started; if it was started, it is not waited for.
  bool stop() {
    if (function_ != nullptr) return function_->disarm();
    detail::chan_core* core = detail::chan_access::core(c_);
    if (core == nullptr) detail::throw_panic("time: Stop called on uninitialized Timer");
    return detail::stop_timer_channel(*core);
  }

  /// Arms the timer anew, d from now, whatever its state. Returns what stop would have. What is
  /// received afterwards is the time of the new event. Throws std::bad_alloc.
  template <class Rep, class Period>
  bool reset(const std::chrono::duration<Rep, Period>& d) {
    if (function_ != nullptr) return function_->rearm(detail::deadline_after(d));
    detail::chan_core* core = detail::chan_access::core(c_);
    if (core == nullptr) detail::throw_panic("time: Reset called on uninitialized Timer");
    return detail::reset_timer_channel(*core, detail::deadline_after(d), {});
  }

 private:
  struct drop {
    void operator()(detail::detached_function* f) const noexcept { f->release(); }
  };
  using function_handle = std::unique_ptr<detail::detached_function, drop>;

  template <class Rep, class Period, class F>
  requires std::is_invocable_v < std::decay_t<F>
  & > friend timer after_func(const std::chrono::duration<Rep, Period>& d, F&& f);
  explicit timer(function_handle f) noexcept : c_(nullptr), function_(std::move(f)) {}

  recv_chan<time_point> c_;
  function_handle function_;
};

/// Starts f() on a goroutine of its own, d from now, and again after each reset of the timer that
/// is returned; dropping that does not stop it. An exception that leaves f ends the program, as for
/// go. Throws std::bad_alloc and what copying f throws.
/// Synchronizes: after_func, or the reset → f. Go: time.AfterFunc.
template <class Rep, class Period, class F>
requires std::is_invocable_v < std::decay_t<F>
& > timer after_func(const std::chrono::duration<Rep, Period>& d, F&& f) {
  timer::function_handle handle(
      new detail::detached_function_of<std::decay_t<F>>(std::forward<F>(f)));
  handle->arm(detail::deadline_after(d));
  return timer(std::move(handle));
}

/// Sends the time on c() at regular intervals, for as long as it or a handle from c() is left.
/// Movable, not copyable. Synchronizes: the creation, or the reset, that began its ticks → the
/// receive of each. Go: time.Ticker.
class ticker {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Ticks every d. Throws panic("non-positive interval for NewTicker"), std::bad_alloc.
  template <class Rep, class Period>
  explicit ticker(const std::chrono::duration<Rep, Period>& d)
      : ticker(detail::interval(d, "non-positive interval for NewTicker"), unchecked{}) {}

  ticker(ticker&& other) noexcept : c_(std::exchange(other.c_, nullptr)) {}
  ticker& operator=(ticker&& other) noexcept {
    c_ = std::exchange(other.c_, nullptr);
    return *this;
  }

  /// Where the times are received. A slow receiver misses ticks, they are never queued. The handle
  /// stays this ticker's whatever becomes of the object. Never blocks.
  recv_chan<time_point> c() const noexcept { return c_; }

  /// No more ticks: nothing is received until a reset. Does not close the channel.
  void stop() {
    if (detail::chan_core* core = detail::chan_access::core(c_)) detail::stop_timer_channel(*core);
  }

  /// Ticks every d from now on; what is received afterwards was sent afterwards.
  /// Throws panic("non-positive interval for Ticker.Reset"), std::bad_alloc;
  /// panic("time: Reset called on uninitialized Ticker") if it was moved from.
  template <class Rep, class Period>
  void reset(const std::chrono::duration<Rep, Period>& d) {
    const std::chrono::nanoseconds period =
        detail::interval(d, "non-positive interval for Ticker.Reset");
    detail::chan_core* core = detail::chan_access::core(c_);
    if (core == nullptr) detail::throw_panic("time: Reset called on uninitialized Ticker");
    detail::reset_timer_channel(*core, detail::deadline_after(period), period);
  }

 private:
  struct unchecked {};
  ticker(std::chrono::nanoseconds period, unchecked) : c_(tick(period)) {}

  recv_chan<time_point> c_;
};

}  // namespace runnel
