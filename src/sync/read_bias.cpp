// The rare half of detail/read_bias.hpp; the protocol is written there.
#include <algorithm>
#include <chrono>
#include <runnel/detail/park.hpp>
#include <runnel/detail/read_bias.hpp>

#include "runtime/fence.hpp"
#include "runtime/threads.hpp"
#include "sync/spin.hpp"

namespace runnel::detail {
namespace {

// How many reads of a thread through locks are counted at once. Prime, so that a loop over a few
// locks does not count always the same one.
constexpr std::uint32_t sample = 13;
constexpr std::uint32_t most_reads = 1U << 14;
// A bias that was open for so many times the duration of its closing was worth it.
constexpr std::int64_t worth_open = 32;

std::int64_t now() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

void wait_until_left(const std::atomic<const void*>& reading, const read_bias* bias) noexcept {
  constexpr int looks = 64;
  constexpr int yields = 32;
  for (int round = 0; reading.load(std::memory_order_acquire) == bias; ++round) {
    if (round < looks) {
      cpu_relax();
    } else if (round < looks + yields) {
      yield();
    } else {
      const int step = std::min(round - looks - yields, 5);
      sleep_until_steady(std::chrono::steady_clock::now() + std::chrono::microseconds(20 << step));
    }
  }
}

}  // namespace

void read_bias::enter_slow(shared_mutex& lock) {
  lock.lock_shared();
  count_read();
}

void read_bias::leave_slow(shared_mutex& lock) { lock.unlock_shared(); }

void read_bias::count_read() noexcept {
  thread* me = current_thread();
  if (me == nullptr || ++me->uncounted_reads < sample) return;
  me->uncounted_reads = 0;
  const std::uint32_t n = reads_.load(std::memory_order_relaxed) + sample;
  reads_.store(n, std::memory_order_relaxed);
  if (n >= reads_to_open_) open();
}

// Others may be doing the same, where a share is held.
void read_bias::open() noexcept {
  if (open_.load(std::memory_order_relaxed) || !runtime::heavy_fence_enabled()) return;
  opened_at_.store(now(), std::memory_order_relaxed);
  open_.store(true, std::memory_order_release);  // pairs with enter
}

// Under the exclusive lock.
void read_bias::close() noexcept {
  const std::int64_t begin = now();
  open_.store(false, std::memory_order_relaxed);
  runtime::heavy_fence();
  for (const runtime::machine* m = runtime::first_machine(); m != nullptr; m = m->next_all) {
    wait_until_left(m->reading, this);
  }
  reads_.store(0, std::memory_order_relaxed);
  const bool paid =
      begin - opened_at_.load(std::memory_order_relaxed) >= worth_open * (now() - begin);
  reads_to_open_ =
      paid ? std::max(reads_to_open_ / 2, first_reads) : std::min(reads_to_open_ * 2, most_reads);
}

}  // namespace runnel::detail
