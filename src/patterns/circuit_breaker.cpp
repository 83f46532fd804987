#include <algorithm>
#include <runnel/detail/duration.hpp>
#include <runnel/patterns/circuit_breaker.hpp>
#include <system_error>

namespace runnel {

namespace {

using guard = std::lock_guard<mutex>;
using std::chrono::steady_clock;

circuit_breaker::options checked(circuit_breaker::options o) {
  o.failures = std::max(o.failures, 1);
  o.probes = std::max(o.probes, 1);
  return o;
}

}  // namespace

circuit_breaker::circuit_breaker() : circuit_breaker(options{}) {}

circuit_breaker::circuit_breaker(options o) : options_(checked(o)) {}

void circuit_breaker::change_to(state s) {
  state_ = s;
  ++era_;
  failures_ = 0;
  probing_ = 0;
  probed_ = 0;
}

circuit_breaker::state circuit_breaker::current() const {
  const guard hold(mutex_);
  const auto until = detail::saturating_add(opened_, options_.open_for);
  return state_ == state::open && steady_clock::now() >= until ? state::half_open : state_;
}

std::uint64_t circuit_breaker::enter() {
  const guard hold(mutex_);
  if (state_ == state::open &&
      steady_clock::now() >= detail::saturating_add(opened_, options_.open_for)) {
    change_to(state::half_open);
  }
  const bool full = state_ == state::half_open && probing_ + probed_ >= options_.probes;
  if (state_ == state::open || full) throw std::system_error(errc::circuit_open);
  if (state_ == state::half_open) ++probing_;
  return era_;
}

void circuit_breaker::leave(std::uint64_t era, verdict end) {
  const guard hold(mutex_);
  if (era != era_) return;
  if (state_ == state::half_open) --probing_;
  if (end == verdict::success) {
    failures_ = 0;
    if (state_ == state::half_open && ++probed_ >= options_.probes) change_to(state::closed);
  } else if (end == verdict::failure) {
    if (state_ == state::closed && ++failures_ < options_.failures) return;
    change_to(state::open);
    opened_ = steady_clock::now();
  }
}

}  // namespace runnel
