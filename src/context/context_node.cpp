#include <new>
#include <runnel/detail/context_node.hpp>
#include <runnel/detail/spawn.hpp>

#include "runtime/only_machine.hpp"

namespace runnel::detail {
namespace {

/// Ends with the lock's holder; every access to a scope's children goes through one.
class scope_guard {
 public:
  explicit scope_guard(scope_node& s) noexcept : lock_(s.lock()) { lock_.lock(); }
  ~scope_guard() { lock_.unlock(); }
  scope_guard(const scope_guard&) = delete;
  scope_guard& operator=(const scope_guard&) = delete;

 private:
  object_lock& lock_;
};

// With the lock of the scope above held.

void link(scope_node& above, scope_child& c) noexcept {
  c.prev = nullptr;
  c.next = above.first_child;
  if (c.next != nullptr) c.next->prev = &c;
  above.first_child = &c;
  c.linked.store(true, std::memory_order_relaxed);
}

void unlink(scope_node& above, scope_child& c) noexcept {
  if (c.next != nullptr) c.next->prev = c.prev;
  (c.prev != nullptr ? c.prev->next : above.first_child) = c.next;
  c.linked.store(false, std::memory_order_release);  // pairs with unlink_from
}

/// Without the lock. True if c was linked.
bool unlink_from(scope_node* above, scope_child& c) noexcept {
  if (above == nullptr || !c.linked.load(std::memory_order_acquire)) return false;
  scope_guard hold(*above);
  if (!c.linked.load(std::memory_order_relaxed)) return false;
  unlink(*above, c);
  return true;
}

/// Unlinks everyone who waits, as a chain by `next`. With the lock held.
waiter* take_waiters(wait_queue& queue) noexcept {
  waiter* first = nullptr;
  waiter** end = &first;
  while (waiter* w = queue.pop()) {
    w->ok = true;
    *end = w;
    end = &w->next;
  }
  *end = nullptr;
  return first;
}

void wake(waiter* chain) noexcept {
  while (chain != nullptr) {
    parker* who = chain->who;
    chain = chain->next;  // before ready: the waiter is on the woken one's stack
    ready(who);
  }
}

enum class ended : std::uint8_t { before, before_complete, leaf, with_children };

/// Ends this scope alone.
ended end_one(scope_node& s, errc why, const std::exception_ptr& cause) noexcept {
  waiter* waiting = nullptr;
  bool channel = false;
  bool leaf = false;
  {
    scope_guard hold(s);
    if (s.state.load(std::memory_order_relaxed) != 0) {
      return s.complete ? ended::before_complete : ended::before;
    }
    race_release(&s.state);
    if (cause) s.cause = cause;
    channel = s.has_done.load(std::memory_order_relaxed);
    const auto state = static_cast<std::uint8_t>(why);
    s.state.store(channel ? state | scope_node::closing : state, std::memory_order_release);
    waiting = take_waiters(s.waiters);
    leaf = s.first_child == nullptr;
    s.complete = leaf;
  }
  if (channel) {
    s.done_channel.close();
    s.state.store(static_cast<std::uint8_t>(why), std::memory_order_release);
  }
  wake(waiting);
  s.disarm();
  return leaf ? ended::leaf : ended::with_children;
}

/// Blocks until whoever ends s has ended all below it.
void wait_complete(scope_node& s) noexcept {
  waiter w;
  bool complete = false;
  {
    scope_guard hold(s);
    complete = s.complete;
    if (!complete) {
      w.who = self();
      s.waiters.push_back(w);
    }
  }
  if (!complete) park(wait_reason::mutex_lock);
}

/// A user's call found that another one has ended s: blocks until that is done.
void wait_ended(scope_node& s, ended how) noexcept {
  if (how == ended::before) wait_complete(s);
  s.why();  // a scope without children is complete before its channel is closed
}

bool was_before(ended how) noexcept {
  return how == ended::before || how == ended::before_complete;
}

/// Takes one child out of s, with a reference to it; null: there is none, and s is complete.
scope_child* take_child(scope_node& s) noexcept {
  waiter* waiting = nullptr;
  scope_child* c = nullptr;
  {
    scope_guard hold(s);
    while ((c = s.first_child) != nullptr) {
      const bool alive =
          c->what == scope_child::kind::function || try_retain(*static_cast<scope_node*>(c));
      unlink(s, *c);
      if (alive) break;
    }
    if (c == nullptr) {
      s.complete = true;
      waiting = take_waiters(s.waiters);
    }
  }
  wake(waiting);
  return c;
}

/// Ends all below root, which the caller has ended.
void end_children(scope_node& root, errc why, const std::exception_ptr& cause, ender who) noexcept {
  const auto drop = who == ender::user ? &release : &release_from_machine;
  scope_node* at = &root;
  for (;;) {
    scope_child* c = take_child(*at);
    if (c == nullptr) {
      if (at == &root) return;
      scope_node* done = at;
      at = done->back;
      drop(done);
    } else if (c->what == scope_child::kind::function) {
      static_cast<context_function*>(c)->start();
    } else {
      scope_node& s = *static_cast<scope_node*>(c);
      const ended how = end_one(s, why, cause);
      if (how == ended::with_children) {
        s.back = at;
        at = &s;
      } else {
        if (was_before(how) && who == ender::user) wait_ended(s, how);
        drop(&s);
      }
    }
  }
}

}  // namespace

context_node::context_node(context_node* above) noexcept : parent(above) {
  if (above != nullptr) {
    above->retain();
    scope = above->scope;
    values = above->values;
  }
}

void release(context_node* node) noexcept {
  while (node != nullptr) {
    race_release_merge(&node->refs);
    if (node->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    race_acquire(&node->refs);
    context_node* above = node->parent;
    delete node;
    node = above;
  }
}

bool try_retain(context_node& node) noexcept {
  std::uint32_t n = node.refs.load(std::memory_order_relaxed);
  while (n != 0) {
    if (node.refs.compare_exchange_weak(n, n + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

void release_from_machine(context_node* node) noexcept {
  std::uint32_t n = node->refs.load(std::memory_order_relaxed);
  race_release_merge(&node->refs);
  while (n > 1) {
    if (node->refs.compare_exchange_weak(n, n - 1, std::memory_order_acq_rel)) return;
  }
  // The last one: a value's destructor may do anything, so it runs on a goroutine.
  struct last {
    explicit last(context_node* n) noexcept : node(n) {}
    last(last&& other) noexcept : node(std::exchange(other.node, nullptr)) {}
    ~last() { release(node); }
    void operator()() const noexcept {}
    context_node* node;
  };
  try {
    spawn(last(node));
  } catch (const std::bad_alloc&) {
    // Has freed it here after all.
  }
}

value_node::value_node(context_node* above, const void* k) noexcept
    : context_node(above), key(k), outer(values) {
  values = this;
}

scope_node::scope_node(context_node* above) noexcept
    : context_node(above), scope_child(kind::scope) {
  scope_node* outer = scope;
  scope = this;
  // As a channel (chan_core::make): most contexts do not outlive a lock's finding out.
  if (thread* only = runtime::only_machine()) lock_.bias_to(only);
  if (outer != nullptr) {
    has_deadline = outer->has_deadline;
    deadline = outer->deadline;
  }
}

scope_node::~scope_node() { unlink_from(parent != nullptr ? parent->scope : nullptr, *this); }

errc scope_node::why() const noexcept {
  std::uint8_t s = state.load(std::memory_order_acquire);
  if ((s & closing) != 0) {
    done_channel.recv();
    s = static_cast<std::uint8_t>(s & ~closing);
  }
  race_acquire(&state);
  return static_cast<errc>(s);
}

const recv_chan<void>& scope_node::done() {
  if (has_done.load(std::memory_order_acquire)) return done_out;
  const chan<void> fresh;
  bool open = true;
  for (;;) {
    {
      scope_guard hold(*this);
      if (has_done.load(std::memory_order_relaxed)) return done_out;
      const bool alive = state.load(std::memory_order_relaxed) == 0;
      if (alive || !open) {
        done_channel = fresh;
        done_out = fresh;
        has_done.store(true, std::memory_order_release);
        return done_out;
      }
    }
    // Ended before anyone asked: what is handed out must be closed already.
    race_acquire(&state);
    fresh.close();
    open = false;
  }
}

const selectable_ops scope_node::ops = {
    [](selectable& object, void*) noexcept {
      return static_cast<scope_node&>(object).state.load(std::memory_order_relaxed) != 0;
    },
    [](selectable& object, waiter& w, void*) noexcept {
      static_cast<scope_node&>(object).waiters.push_back(w);
    },
    [](selectable& object, waiter& w, void*) noexcept {
      static_cast<scope_node&>(object).waiters.remove(w);
    },
};

void end_scope(scope_node& scope, errc why, const std::exception_ptr& cause, ender who) noexcept {
  const ended how = end_one(scope, why, cause);
  if (was_before(how)) {
    if (who == ender::user) wait_ended(scope, how);
    return;
  }
  if (how == ended::with_children) end_children(scope, why, cause, who);
  unlink_from(scope.parent != nullptr ? scope.parent->scope : nullptr, scope);
}

void attach_scope(scope_node& s) noexcept {
  scope_node* above = s.parent != nullptr ? s.parent->scope : nullptr;
  if (above == nullptr) return;
  if (above->state.load(std::memory_order_acquire) == 0) {
    scope_guard hold(*above);
    if (above->state.load(std::memory_order_relaxed) == 0) {
      link(*above, s);
      above = nullptr;
    }
  }
  if (above != nullptr) {
    end_one(s, above->why(), above->cause);
  } else if (s.state.load(std::memory_order_acquire) != 0) {
    // It ended (its deadline was near) before it was linked; who ended it could not unlink it.
    unlink_from(s.parent->scope, s);
  }
}

context_function::~context_function() { detail::release(context); }

void attach_function(context_function& f, context_node* context) noexcept {
  f.published();
  scope_node* scope = context != nullptr ? context->scope : nullptr;
  if (scope == nullptr) {
    f.linked.store(true, std::memory_order_relaxed);  // so that it can be stopped
    f.release();
    return;
  }
  context->retain();
  f.context = context;
  {
    scope_guard hold(*scope);
    if (scope->state.load(std::memory_order_relaxed) == 0) {
      link(*scope, f);
      return;
    }
  }
  f.start();
}

bool stop_function(context_function& f) noexcept {
  if (f.context == nullptr) return f.linked.exchange(false, std::memory_order_relaxed);
  if (!unlink_from(f.context->scope, f)) return false;
  f.release();
  return true;
}

}  // namespace runnel::detail
