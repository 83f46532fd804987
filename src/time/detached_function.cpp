#include <new>
#include <runnel/detail/detached_function.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/spawn.hpp>

namespace runnel::detail {

// Refers to the function for as long as a goroutine needs it, also when that ends by goexit.
struct detached_function::reference {
  explicit reference(detached_function& to) noexcept : f(&to) {}
  reference(reference&& other) noexcept : f(std::exchange(other.f, nullptr)) {}
  ~reference() {
    if (f != nullptr) f->release();
  }
  void operator()() {
    race_acquire(&f->timer_);
    f->invoke();
  }
  detached_function* f;
};

detached_function::detached_function() noexcept : call_(*this), timer_(*this) {}

detached_function::~detached_function() = default;

void detached_function::release() noexcept {
  race_release_merge(&refs_);
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  race_acquire(&refs_);
  delete this;
}

void detached_function::start() noexcept {
  reference r(*this);
  try {
    spawn(std::move(r));
  } catch (const std::bad_alloc&) {
    // The reference is still ours: spawn takes it only once it has a goroutine.
    r.f = nullptr;
    try {
      // A timer that is armed already will start the function for both.
      if (timer_arm_if_idle(timer_,
                            std::chrono::steady_clock::now() + std::chrono::milliseconds(1))) {
        release();
      }
    } catch (const std::bad_alloc&) {
      fatal("out of memory: cannot start the function of a timer");
    }
  }
}

void detached_function::arm(steady_time when) {
  published();
  retain();
  reference undo(*this);
  timer_arm(timer_, when);
  undo.f = nullptr;
}

bool detached_function::rearm(steady_time when) {
  published();
  // The common case, without a reference to take and drop.
  if (timer_move(timer_, when)) return true;
  retain();
  reference undo(*this);
  const bool was_armed = timer_reset(timer_, when);
  if (!was_armed) undo.f = nullptr;
  return was_armed;
}

bool detached_function::disarm() noexcept {
  if (!timer_cancel(timer_)) return false;
  release();
  return true;
}

parker* detached_function::fired(timer_node* node, steady_time) noexcept {
  return &static_cast<timer*>(node)->self.call_;
}

void detached_function::due(timer_call* c) noexcept { static_cast<call*>(c)->self.start(); }

}  // namespace runnel::detail
