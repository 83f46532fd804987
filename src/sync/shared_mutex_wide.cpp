// The wide regime of a shared_mutex: readers count in cells, one for each processor. When it begins
// and ends, and what holds meanwhile, is said in shared_mutex.cpp.
#include <algorithm>
#include <bit>
#include <new>

#include "runtime/scheduler.hpp"
#include "sync/reader_cell.hpp"
#include "sync/rw_waiter.hpp"

namespace runnel {

namespace {

using detail::reader_cell;

constexpr std::uint32_t least_collisions_to_open = 16;
constexpr std::uint32_t most_collisions_to_open = 4096;
// So many readers between two writers make up for closing and opening the cells (some 0.3 us, of
// which a reader that does not collide saves some 100 ns; at 16 one write in 10 is twice as slow).
constexpr std::uint64_t readers_worth_opening = 4;

}  // namespace

void shared_mutex::readers_collide() noexcept {
  const std::uint32_t n = collisions_.load(std::memory_order_relaxed) + 1;
  collisions_.store(n, std::memory_order_relaxed);
  if (n >= collisions_to_open_.load(std::memory_order_relaxed)) open_cells();
}

// Readers collide: begins the wide regime unless a writer has come.
void shared_mutex::open_cells() noexcept {
  const detail::lock_guard guard(lock_);
  std::uint32_t now = state_.load(std::memory_order_relaxed);
  collisions_.store(0, std::memory_order_relaxed);
  if (cells_ == nullptr) {
    const unsigned procs = runtime::sched != nullptr ? runtime::sched->procs.load() : 1U;
    const unsigned n = std::bit_ceil(std::clamp(procs, 2U, 64U));
    cells_ = new (std::nothrow) reader_cell[n];
    if (cells_ == nullptr) return;
    cell_mask_ = static_cast<std::uint8_t>(n - 1);
  }
  do {
    if ((now & flags) != shared || someone_waits()) return;
  } while (!change(now, now | wide));
  fill_cells(0);
}

// Inside lock_, `wide` being set.
void shared_mutex::fill_cells(std::uint64_t word) noexcept {
  for (std::size_t i = 0; i <= cell_mask_; ++i) {
    cells_[i].word.store(word, std::memory_order_release);
  }
}

// Inside lock_. Ends the wide regime if it is on.
void shared_mutex::close_cells() noexcept {
  const std::uint32_t now = state_.load(std::memory_order_relaxed);
  if ((now & wide) == 0) return;
  std::int64_t shares = now / one;
  std::uint64_t readers = 0;
  for (std::size_t i = 0; i <= cell_mask_; ++i) {
    const std::uint64_t word =
        cells_[i].word.exchange(reader_cell::closed, std::memory_order_acq_rel);
    readers += word / reader_cell::taken;
    shares += static_cast<std::int32_t>(static_cast<std::uint32_t>(word)) >> 1;
  }
  if (shares < 0) detail::unlock_of_unshared();
  reopen_ = readers >= readers_worth_opening;
  const std::uint32_t n = collisions_to_open_.load(std::memory_order_relaxed);
  collisions_to_open_.store(
      reopen_ ? least_collisions_to_open : std::min(2 * n, most_collisions_to_open),
      std::memory_order_relaxed);
  state_.store(static_cast<std::uint32_t>(shares) * one + shared, std::memory_order_release);
}

// The last one to unlock may still be inside lock_, having opened the cells.
void shared_mutex::free_cells() noexcept {
  lock_.lock();
  lock_.unlock();
  delete[] cells_;
}

// Inside lock_, `wide` being set.
void shared_mutex::share_wide() noexcept {
  my_cell().word.fetch_add(reader_cell::taken + reader_cell::share, std::memory_order_acquire);
}

}  // namespace runnel
