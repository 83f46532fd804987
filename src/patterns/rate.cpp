#include <algorithm>
#include <mutex>
#include <runnel/rate.hpp>
#include <runnel/select.hpp>

namespace runnel {

namespace detail {
namespace {

using std::chrono::nanoseconds;

/// How long until so many tokens have flowed in, rounded down as Go does.
nanoseconds time_for(double tokens, rate limit) noexcept {
  if (limit.per_second() <= 0) return nanoseconds::max();
  const double ns = tokens / limit.per_second() * 1e9;
  if (ns >= static_cast<double>(nanoseconds::max().count())) return nanoseconds::max();
  return nanoseconds(static_cast<std::int64_t>(ns));
}

double tokens_in(nanoseconds d, rate limit) noexcept {
  return static_cast<double>(d.count()) / 1e9 * limit.per_second();
}

}  // namespace

double token_bucket::tokens_at(steady_time t) const noexcept {
  const double flowed = t > last_ ? tokens_in(t - last_, limit_) : 0;
  return std::min(tokens_ + flowed, static_cast<double>(burst_));
}

token_bucket::grant token_bucket::reserve(steady_time t, int n, nanoseconds max_wait) noexcept {
  if (limit_.is_unlimited()) return {true, n, t, limit_};
  const double left = tokens_at(t) - n;
  const nanoseconds delay = left < 0 ? time_for(-left, limit_) : nanoseconds::zero();
  if (n > burst_ || delay > max_wait) return {};
  tokens_ = left;
  last_ = t;
  last_event_ = saturating_add(t, delay);
  return {true, n, last_event_, limit_};
}

void token_bucket::cancel(const grant& g, steady_time t) noexcept {
  if (!g.ok || limit_.is_unlimited() || g.tokens == 0 || g.act_at < t) return;
  // What was reserved after this one relied on its tokens being gone; those stay taken.
  const double back = g.tokens - tokens_in(last_event_ - g.act_at, g.limit);
  if (back <= 0) return;
  tokens_ = std::min(tokens_at(t) + back, static_cast<double>(burst_));
  last_ = t;
  if (g.act_at == last_event_) {
    const steady_time before = g.act_at - time_for(g.tokens, g.limit);
    if (before >= t) last_event_ = before;
  }
}

void token_bucket::set_limit(steady_time t, rate limit) noexcept {
  tokens_ = tokens_at(t);
  last_ = t;
  limit_ = limit;
}

void token_bucket::set_burst(steady_time t, int burst) noexcept {
  tokens_ = tokens_at(t);
  last_ = t;
  burst_ = burst;
}

}  // namespace detail

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using guard = std::lock_guard<mutex>;

nanoseconds reservation::delay() const noexcept {
  if (!grant_.ok || grant_.act_at == steady_clock::time_point::max()) return nanoseconds::max();
  return std::max<nanoseconds>(grant_.act_at - steady_clock::now(), nanoseconds::zero());
}

void reservation::cancel() {
  if (!grant_.ok) return;
  const guard hold(limiter_->mutex_);
  limiter_->bucket_.cancel(grant_, steady_clock::now());
}

bool rate_limiter::allow(int n) {
  const auto now = steady_clock::now();
  const guard hold(mutex_);
  return bucket_.reserve(now, n, nanoseconds::zero()).ok;
}

reservation rate_limiter::reserve(int n) {
  const auto now = steady_clock::now();
  const guard hold(mutex_);
  return {this, bucket_.reserve(now, n, nanoseconds::max())};
}

std::error_code rate_limiter::wait(const context& ctx, int n) {
  const auto now = steady_clock::now();
  detail::token_bucket::grant granted;
  {
    const guard hold(mutex_);
    if (n > bucket_.burst() && !bucket_.limit().is_unlimited()) {
      return std::make_error_code(std::errc::invalid_argument);
    }
    if (const std::error_code ended = ctx.err()) return ended;
    const auto deadline = ctx.deadline();
    granted = bucket_.reserve(now, n, deadline ? *deadline - now : nanoseconds::max());
  }
  if (!granted.ok) return errc::deadline_exceeded;
  const nanoseconds delay = granted.act_at - now;
  if (delay <= nanoseconds::zero()) return {};
  if (select(on_timeout(delay), on_done(ctx)) == 0) return {};
  const guard hold(mutex_);
  bucket_.cancel(granted, steady_clock::now());
  return ctx.err();
}

void rate_limiter::set_rate(rate r) {
  const guard hold(mutex_);
  bucket_.set_limit(steady_clock::now(), r);
}

void rate_limiter::set_burst(int burst) {
  const guard hold(mutex_);
  bucket_.set_burst(steady_clock::now(), burst);
}

rate rate_limiter::limit() const {
  const guard hold(mutex_);
  return bucket_.limit();
}

int rate_limiter::burst() const {
  const guard hold(mutex_);
  return bucket_.burst();
}

double rate_limiter::tokens() const {
  const guard hold(mutex_);
  return bucket_.tokens_at(steady_clock::now());
}

}  // namespace runnel
