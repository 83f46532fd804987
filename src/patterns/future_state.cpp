#include <runnel/detail/future_state.hpp>

namespace runnel::detail {
namespace {

class state_guard {
 public:
  explicit state_guard(object_lock& l) noexcept : lock_(l) { lock_.lock(); }
  ~state_guard() { lock_.unlock(); }
  state_guard(const state_guard&) = delete;
  state_guard& operator=(const state_guard&) = delete;

 private:
  object_lock& lock_;
};

}  // namespace

future_state::future_state() noexcept = default;
future_state::~future_state() = default;
void future_state::destroy() noexcept { delete this; }

void future_state::release() noexcept {
  race_release_merge(&refs_);
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  race_acquire(&refs_);
  destroy();
}

void future_state::set_ready() noexcept {
  waiter* chain = nullptr;
  bool close = false;
  {
    state_guard hold(lock_);
    race_release(&ready_);
    ready_.store(true, std::memory_order_release);
    close = has_done_;
    waiter** end = &chain;
    while (waiter* w = waiters_.pop()) {
      w->ok = true;
      *end = w;
      end = &w->next;
    }
    *end = nullptr;
  }
  if (close) done_.close();
  while (chain != nullptr) {
    parker* who = chain->who;
    chain = chain->next;  // before ready: the waiter is on the woken one's stack
    ready(who);
  }
}

/// True if w was queued, false if the outcome is there.
bool future_state::enqueue_if_pending(waiter& w) noexcept {
  state_guard hold(lock_);
  if (ready_.load(std::memory_order_relaxed)) return false;
  waiters_.push_back(w);
  return true;
}

void future_state::wait() {
  if (!is_ready()) {
    waiter w;
    w.who = self();
    if (enqueue_if_pending(w)) park(wait_reason::future);
  }
  race_acquire(&ready_);
}

bool future_state::wait_until(steady_time deadline) {
  if (!is_ready()) {
    if (deadline <= std::chrono::steady_clock::now()) return false;
    claim_word claim;
    waiter w;
    w.who = self();
    w.claim = &claim;
    if (enqueue_if_pending(w) && !park_until(wait_reason::future, w, deadline)) {
      state_guard hold(lock_);
      waiters_.remove(w);
      return false;
    }
  }
  race_acquire(&ready_);
  return true;
}

recv_chan<void> future_state::done() {
  const chan<void> fresh;
  {
    state_guard hold(lock_);
    if (has_done_) return done_;
    if (!ready_.load(std::memory_order_relaxed)) {
      done_ = fresh;
      has_done_ = true;
      return fresh;
    }
  }
  race_acquire(&ready_);
  fresh.close();
  state_guard hold(lock_);
  if (!has_done_) {
    done_ = fresh;
    has_done_ = true;
  }
  return done_;
}

const selectable_ops future_state::ops = {
    [](selectable& object, void*) noexcept {
      return static_cast<future_state&>(object).is_ready();
    },
    [](selectable& object, waiter& w, void*) noexcept {
      static_cast<future_state&>(object).waiters_.push_back(w);
    },
    [](selectable& object, waiter& w, void*) noexcept {
      static_cast<future_state&>(object).waiters_.remove(w);
    },
};

}  // namespace runnel::detail
