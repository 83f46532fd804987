#include <algorithm>
#include <atomic>
#include <cmath>
#include <runnel/patterns/retry.hpp>
#include <runnel/select.hpp>

namespace runnel::detail {
namespace {

/// A random number from [0, 1). Quality hardly matters, distinctness of neighbours does.
double random_share() noexcept {
  static constinit std::atomic<std::uint64_t> calls{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  // Splitmix64 over time and number of the call.
  std::uint64_t x = static_cast<std::uint64_t>(now) +
                    calls.fetch_add(1, std::memory_order_relaxed) * 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

}  // namespace

backoff_steps::backoff_steps(const backoff& how) noexcept
    : how_(how), step_(static_cast<double>(how.initial.count())) {
  how_.jitter = std::clamp(how_.jitter, 0.0, 1.0);
  how_.factor = std::max(how_.factor, 1.0);
}

std::chrono::nanoseconds backoff_steps::next(double u) noexcept {
  const double longest = static_cast<double>(how_.max.count());
  const double step = std::max(std::min(step_, longest), 0.0);
  step_ = std::min(step_ * how_.factor, longest);
  const double ns = std::ceil(step * (1 - how_.jitter * u));
  // A double cannot hold nanoseconds::max(); what it rounds up to does not fit.
  if (ns >= 0x1p63) return std::chrono::nanoseconds::max();
  return std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
}

bool backoff_steps::wait(const context& ctx) {
  if (how_.max_attempts > 0 && attempts_ >= how_.max_attempts) return false;
  ++attempts_;
  if (ctx.err()) return false;
  return select(on_timeout(next(random_share())), on_done(ctx)) == 0 && !ctx.err();
}

}  // namespace runnel::detail
