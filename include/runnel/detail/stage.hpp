// What a pipeline's stage keeps with its output channel: its context and the exception that ended
// it.
//
// A stage_core lies behind its channel's ring (element_ops::extra), so that recv_chan<T> is all a
// user ever sees of a stage. Consumers hold counted handles to the channel; the stage's goroutines,
// its producers, hold the channel uncounted and a count of their own. So the last consumer's
// leaving is noticed: it ends the stage's scope, and with it every wait of the producers. They then
// drop their handles on the stage's input, whose stage in turn loses its consumer, and so on
// upstream.
//
// Invariants
//  - producers_ counts producer objects; the last closes the channel.
//  - stakes_ is 1 for the consumers, 1 for the producers; who takes the last frees the channel.
//  - error_ is written once, by who changed failed_, and before that one's producer count is given
//    back, hence before the channel is closed.
#pragma once

#include <atomic>
#include <exception>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/config.hpp>
#include <runnel/detail/fatal.hpp>
#include <runnel/detail/goexit_text.hpp>
#include <runnel/select.hpp>
#include <type_traits>
#include <utility>
#include <variant>

namespace runnel::detail {

class stage_core {
 public:
  /// A channel with one consumer's handle and one producer. The stage's scope ends with ctx.
  RUNNEL_API static chan_core* make(const element_ops& ops, const context& ctx);
  /// Whose output c is; null if it is not a stage's. c may be null.
  RUNNEL_API static stage_core* of(chan_core* c) noexcept;

  stage_core(const stage_core&) = delete;
  stage_core& operator=(const stage_core&) = delete;

  const context& source() const noexcept { return source_; }
  const context& scope() const noexcept { return scope_.ctx; }
  chan_core* channel() const noexcept { return channel_; }
  /// What ended the stage; for consumers once the channel is closed.
  std::exception_ptr error() const noexcept { return error_; }

  void add_producer() noexcept { producers_.fetch_add(1, std::memory_order_relaxed); }
  RUNNEL_API void drop_producer() noexcept;
  /// Ends the stage by an exception; only the first one is kept.
  RUNNEL_API void fail(std::exception_ptr error) noexcept;

  RUNNEL_API static bool retire(void* extra) noexcept;

 private:
  stage_core(chan_core* c, const context& ctx);
  ~stage_core() = default;
  bool drop_stake() noexcept;

  chan_core* const channel_;
  const context source_;
  const cancelable scope_;
  std::exception_ptr error_;
  std::atomic<int> producers_{1};
  std::atomic<int> stakes_{2};
  std::atomic<bool> failed_{false};
  std::atomic<bool> abandoned_{false};  // the consumers' stake has been taken
};

template <class T>
inline constexpr element_ops stage_ops = [] {
  element_ops ops = ops_for<T>;
  ops.extra = sizeof(stage_core);
  ops.retire = &stage_core::retire;
  return ops;
}();

/// What a stage handles for a T; a channel of nothing is a channel of std::monostate to it.
template <class T>
using stage_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// A receive from a channel of nothing that says whether it was closed, which on_recv does not.
class receipt_case {
 public:
  receipt_case(const recv_chan<void>& c, std::optional<std::monostate>& received) noexcept
      : core_(chan_access::core(c)), received_(&received) {}
  void prepare(select_record& r) noexcept {
    r.object = core_;
    r.slot = &nothing_;
    r.make = nullptr;
    r.kind = select_kind::recv;
  }
  void finish(const select_record& r) noexcept {
    if (r.end == select_end::done) received_->emplace();
  }

 private:
  chan_core* core_;
  std::optional<std::monostate>* received_;
  char nothing_;
};

/// The case that receives a stage's next input into v, which stays empty if there is none.
template <class T>
auto on_input(const recv_chan<T>& in, std::optional<stage_value<T>>& v) {
  if constexpr (std::is_void_v<T>) {
    return receipt_case(in, v);
  } else {
    return on_recv(in, v);
  }
}

/// The case that sends v, which is copied or moved as it is passed.
template <class T, class V>
auto on_output(const chan<T>& out, V&& v) {
  if constexpr (std::is_void_v<T>) {
    return on_send(out);
  } else {
    return on_send(out, std::forward<V>(v));
  }
}

/// Blocks until the next value of `in` is in v; v is empty if there is none any more. False: scope
/// has ended instead.
template <class T>
bool receive_within(const context& scope, const recv_chan<T>& in,
                    std::optional<stage_value<T>>& v) {
  return !scope.err() && select(on_input(in, v), on_done(scope)) == 0;
}

/// A stage's goroutine's hold on its output. The last of them to go closes the channel.
template <class T>
class producer {
 public:
  /// For the one producer a new stage has.
  explicit producer(const recv_chan<T>& output) noexcept
      : producer(stage_core::of(chan_access::core(output))) {}
  producer(const producer& other) noexcept : producer(other.stage_) { stage_->add_producer(); }
  producer(producer&& other) noexcept
      : stage_(std::exchange(other.stage_, nullptr)), output_(std::move(other.output_)) {}
  producer& operator=(producer&& other) noexcept {
    std::swap(stage_, other.stage_);
    std::swap(output_, other.output_);
    return *this;
  }
  ~producer() {
    chan_access::release(output_);
    if (stage_ != nullptr) stage_->drop_producer();
  }

  const context& scope() const noexcept { return stage_->scope(); }
  /// Where to send. A handle that does not count, and must not be copied.
  const chan<T>& output() const noexcept { return output_; }
  void fail(std::exception_ptr error) const noexcept { stage_->fail(std::move(error)); }

  /// Blocks until a consumer has taken v. False: the stage is to end.
  bool send(stage_value<T>&& v) const {
    return !scope().err() && select(on_output(output_, std::move(v)), on_done(scope())) == 0;
  }

  /// Blocks for the next value of the stage's input. Empty: the stage is to end, because its scope
  /// has ended, or the input, whose exception it then takes over.
  template <class In>
  std::optional<stage_value<In>> receive(const recv_chan<In>& in) const {
    std::optional<stage_value<In>> v;
    if (!receive_within(scope(), in, v)) return std::nullopt;
    if (!v) inherit_error(in);
    return v;
  }
  /// Sends on all that comes from `in`, until the stage is to end.
  template <class In>
  void forward(const recv_chan<In>& in) const {
    while (std::optional<stage_value<In>> v = receive(in)) {
      if (!send(std::move(*v))) return;
    }
  }
  template <class In>
  void inherit_error(const recv_chan<In>& in) const noexcept {
    const stage_core* before = stage_core::of(chan_access::core(in));
    if (before != nullptr && before->error()) fail(before->error());
  }

  /// Runs the body of one of the stage's goroutines. What leaves it ends the stage, goexit too.
  template <class Body>
  void run(Body&& body) const {
    struct watch {
      const producer* self;
      ~watch() {
        if (self != nullptr) self->fail(std::make_exception_ptr(panic(goexit_text)));
      }
    } left_by_goexit{this};
    try {
      body();
    } catch (...) {
      if (caught_goexit()) throw;
      fail(std::current_exception());
    }
    left_by_goexit.self = nullptr;
  }

 private:
  explicit producer(stage_core* stage) noexcept
      : stage_(stage), output_(chan_access::adopt<chan<T>>(stage->channel())) {}

  stage_core* stage_;
  chan<T> output_;
};

/// A stage's output channel.
template <class T>
recv_chan<T> make_stage(const context& ctx) {
  return chan_access::adopt<recv_chan<T>>(stage_core::make(stage_ops<T>, ctx));
}

/// The context that a stage behind c is to have.
inline context source_of(const chan_handle& c) noexcept {
  const stage_core* stage = stage_core::of(chan_access::core(c));
  return stage != nullptr ? stage->source() : background();
}

}  // namespace runnel::detail
