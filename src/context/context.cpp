#include <runnel/context.hpp>
#include <runnel/detail/timer_node.hpp>

namespace runnel {
namespace detail {
namespace {

/// A scope with a deadline of its own.
struct deadline_node final : scope_node {
  deadline_node(context_node* above, steady_time t, std::exception_ptr if_late) noexcept
      : scope_node(above), timer(*this), call(*this), late_cause(std::move(if_late)) {
    has_deadline = true;
    deadline = t;
  }
  ~deadline_node() override {
    if (state.load(std::memory_order_relaxed) == 0) timer_cancel(timer);
  }
  void disarm() noexcept override { timer_cancel(timer); }

  struct own_timer : timer_node {
    explicit own_timer(deadline_node& n) noexcept : self(n) { fire = &deadline_node::fired; }
    deadline_node& self;
  } timer;
  struct own_call : timer_call {
    explicit own_call(deadline_node& n) noexcept : timer_call(&deadline_node::due), self(n) {}
    deadline_node& self;
  } call;
  std::exception_ptr late_cause;

  // An armed timer refers to nothing: the last handle disarms it, and until that has got the
  // shard's lock the node is there to look at.
  static parker* fired(timer_node* t, steady_time) noexcept {
    deadline_node& self = static_cast<own_timer*>(t)->self;
    return try_retain(self) ? &self.call : nullptr;
  }
  static void due(timer_call* c) noexcept {
    deadline_node& self = static_cast<own_call*>(c)->self;
    end_scope(self, errc::deadline_exceeded, self.late_cause, ender::machine);
    release_from_machine(&self);
  }
};

}  // namespace
}  // namespace detail

using access = detail::context_access;

std::exception_ptr context::cause() const {
  const detail::scope_node* s = scope();
  if (s == nullptr || s->state.load(std::memory_order_acquire) == 0) return nullptr;
  const std::error_code error = s->why();
  return s->cause ? s->cause : std::make_exception_ptr(std::system_error(error));
}

void cancel_func::cancel_and_release() noexcept {
  detail::end_scope(*scope_, errc::canceled, nullptr, detail::ender::user);
  detail::release(scope_);
}

cancelable with_cancel(const context& parent) {
  auto* node = new detail::scope_node(access::node(parent));
  cancelable result = access::handles(node);
  detail::attach_scope(*node);
  return result;
}

cancelable detail::make_deadline(const context& parent, steady_time t, steady_time now,
                                 std::exception_ptr cause) {
  const auto outer = parent.deadline();
  if (outer && *outer < t) return with_cancel(parent);
  auto* node = new deadline_node(access::node(parent), t, std::move(cause));
  cancelable result = context_access::handles(node);
  if (t <= now) {
    attach_scope(*node);  // first: if parent has ended, that is the reason
    end_scope(*node, errc::deadline_exceeded, node->late_cause, ender::user);
  } else {
    timer_arm(node->timer, t);
    attach_scope(*node);
  }
  return result;
}

context without_cancel(const context& parent) {
  auto* node = new detail::context_node(access::node(parent));
  node->scope = nullptr;
  return access::adopt(node);
}

}  // namespace runnel
