// Token buckets. Go: golang.org/x/time/rate, whose arithmetic this is.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <runnel/context.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/duration.hpp>
#include <runnel/sync/mutex.hpp>
#include <system_error>

namespace runnel {

/// A number of events per second. Go: rate.Limit.
class rate {
 public:
  /// No events at all.
  constexpr rate() noexcept = default;
  constexpr double per_second() const noexcept { return per_second_; }
  constexpr bool is_unlimited() const noexcept {
    return per_second_ >= std::numeric_limits<double>::max();
  }
  friend constexpr bool operator==(rate, rate) noexcept = default;

 private:
  friend constexpr rate per_second(double) noexcept;
  explicit constexpr rate(double events) noexcept : per_second_(events) {}
  double per_second_ = 0;
};

/// `events` a second; none if that is not positive.
constexpr rate per_second(double events) noexcept { return rate(events > 0 ? events : 0); }

/// No limit: every event may happen at once, whatever the burst. Go: rate.Inf.
constexpr rate unlimited() noexcept { return per_second(std::numeric_limits<double>::max()); }

/// One event in each interval d; unlimited() if d is not positive. Go: rate.Every.
template <class Rep, class Period>
constexpr rate every(const std::chrono::duration<Rep, Period>& d) {
  const std::chrono::nanoseconds interval = detail::ceil_nanoseconds(d);
  if (interval.count() <= 0) return unlimited();
  return per_second(1e9 / static_cast<double>(interval.count()));
}

namespace detail {

/// The arithmetic, without clock and lock. A bucket of `burst` tokens, full at first, into which
/// tokens flow at the limit's rate; it may be overdrawn by reservations.
class token_bucket {
 public:
  struct grant {
    bool ok = false;
    int tokens = 0;
    steady_time act_at{};
    rate limit{};  // at the time of the reservation
  };

  token_bucket(rate limit, int burst) noexcept
      : limit_(limit), burst_(burst), tokens_(static_cast<double>(burst)) {}

  rate limit() const noexcept { return limit_; }
  int burst() const noexcept { return burst_; }
  /// Tokens in the bucket at t; negative while overdrawn.
  double tokens_at(steady_time t) const noexcept;
  /// Takes n tokens if they will be there within max_wait of t.
  grant reserve(steady_time t, int n, std::chrono::nanoseconds max_wait) noexcept;
  /// Puts back what was not claimed by later reservations.
  void cancel(const grant& g, steady_time t) noexcept;
  void set_limit(steady_time t, rate limit) noexcept;
  void set_burst(steady_time t, int burst) noexcept;

 private:
  rate limit_;
  int burst_;
  double tokens_;             // at last_
  steady_time last_{};        // when tokens_ was brought up to date
  steady_time last_event_{};  // the latest act_at granted
};

}  // namespace detail

class rate_limiter;

/// Tokens set aside: they may be used after delay(). Go: rate.Reservation. Must not outlive its
/// limiter.
class reservation {
 public:
  /// False if more was asked for than the bucket holds: then nothing was set aside.
  bool ok() const noexcept { return grant_.ok; }
  /// How long from now until one may act; zero: at once; nanoseconds::max(): never, or !ok().
  RUNNEL_API std::chrono::nanoseconds delay() const noexcept;
  /// Will not be used: gives back what can be given back, considering those who reserved later.
  RUNNEL_API void cancel();

 private:
  friend class rate_limiter;
  reservation(rate_limiter* from, const detail::token_bucket::grant& g) noexcept
      : limiter_(from), grant_(g) {}
  rate_limiter* limiter_;
  detail::token_bucket::grant grant_;
};

/// Limits how often something may happen: on average `r` per second, up to `burst` at once. The
/// bucket begins full. Go: rate.Limiter.
///
///     runnel::rate_limiter limiter(runnel::per_second(100), 10);
///     if (auto error = limiter.wait(ctx)) return error;
///
/// All operations may be used from any number of goroutines and threads; they take turns
/// (Synchronizes: as a mutex). O(1), no allocation. Most callers want wait.
class rate_limiter {
 public:
  rate_limiter(rate r, int burst) noexcept : bucket_(r, burst) {}
  rate_limiter(const rate_limiter&) = delete;
  rate_limiter& operator=(const rate_limiter&) = delete;

  /// May n events happen now? If so they are counted. Does not wait. For events that may be
  /// dropped.
  RUNNEL_API bool allow(int n = 1);

  /// Sets n tokens aside, and says how long to wait for them. Does not wait.
  RUNNEL_API reservation reserve(int n = 1);

  /// Blocks until n events may happen. Returns no error then; errc::canceled or
  /// errc::deadline_exceeded if ctx has ended or ends before; errc::deadline_exceeded at once if
  /// its deadline would come first; std::errc::invalid_argument if n is more than the burst. After
  /// an error nothing was taken.
  RUNNEL_API std::error_code wait(const context& ctx, int n = 1);

  /// Changes the rate from now on; waits and reservations already granted stay as they are.
  RUNNEL_API void set_rate(rate r);
  /// Changes the size of the bucket likewise.
  RUNNEL_API void set_burst(int burst);

  RUNNEL_API rate limit() const;
  RUNNEL_API int burst() const;
  /// Tokens there are now; negative while reservations are outstanding.
  RUNNEL_API double tokens() const;

 private:
  friend class reservation;
  mutable mutex mutex_;
  detail::token_bucket bucket_;  // guarded by mutex_
};

}  // namespace runnel
