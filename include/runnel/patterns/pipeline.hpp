// Pipelines: stages of goroutines, joined by channels.
//
//     auto pages = runnel::generate(ctx, urls) | runnel::transform(8, fetch) | runnel::collect();
//
// Rules for every stage
//  - It runs on goroutines of its own, owns its output channel, which is unbuffered, and closes it
//  at
//    the end: when its input is closed and worked off, when ctx has ended, when its function has
//    thrown, or when the last handle to its output was dropped. No goroutine is left behind then,
//    here or upstream.
//  - An exception that leaves a function ends the stage, travels down with the ends of the
//  channels,
//    and is rethrown by collect. Only the first one is kept; goexit counts as
//    panic("goexit called in a goroutine that was waited for"). failure() shows it to those who
//    receive by themselves.
//  - Starting a stage never blocks. It throws std::bad_alloc; nothing is left then.
//  - A stage is written stage(ctx, input, ...), or input | stage(...), which takes the context of
//  the
//    input's source; a channel that is no stage's output has background().
// Synchronizes: as the channels do: input sent → function called → result received.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/detail/spawn.hpp>
#include <runnel/detail/stage.hpp>
#include <runnel/detail/tee.hpp>
#include <runnel/select.hpp>
#include <runnel/sync/mutex.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace runnel {

namespace detail {

/// The right side of input | stage(...).
template <class F>
struct stage_adaptor {
  F apply;  // f(context, input)
};
template <class F>
stage_adaptor(F) -> stage_adaptor<F>;

/// What generate iterates over; arrays and channels have an overload of their own.
template <class Range>
concept stage_source = !std::is_array_v<std::remove_cvref_t<Range>> && !chan_that_receives<Range>;

template <class Range>
using range_value = std::iter_value_t<decltype(std::begin(std::declval<Range&>()))>;

/// The function of a stage, called for an input; without one if it comes from a channel of nothing.
template <class In, class F>
decltype(auto) call_stage(F& f, [[maybe_unused]] stage_value<In>&& v) {
  if constexpr (std::is_void_v<In>) {
    return std::invoke(f);
  } else {
    return std::invoke(f, std::move(v));
  }
}

template <class F, class In>
struct stage_call : std::invoke_result<F&, In> {};
template <class F>
struct stage_call<F, void> : std::invoke_result<F&> {};
/// What is sent on: a value, also where f returns a reference.
template <class F, class In>
using stage_result = std::decay_t<typename stage_call<F, In>::type>;

/// A positive number of workers.
constexpr int at_least_one(int workers) noexcept { return workers < 1 ? 1 : workers; }

template <class T>
recv_chan<T> as_input(const recv_chan<T>& c) noexcept {
  return c;
}
template <class T>
recv_chan<T> as_input(const chan<T>& c) noexcept {
  return c;
}

/// What the workers of an ordered stage share. Worker n's turn to send comes when it receives from
/// the baton of the one who took the input before its own. A result waits for those before it, so
/// as many batons as workers are enough: number t and number t + workers are never both unsent.
template <class In, class F>
struct ordered_work {
  ordered_work(recv_chan<In> input, int workers, F function)
      : in(std::move(input)), f(std::move(function)) {
    for (int i = 0; i < workers; ++i) batons.emplace_back(std::size_t{1});
    batons.back().send();
  }
  recv_chan<In> in;
  F f;
  std::vector<chan<void>> batons;
  mutex taking;           // held while one waits for the next input
  std::size_t taken = 0;  // guarded by taking
};

template <class In, class Out, class F>
void ordered_worker(ordered_work<In, F>& work, const producer<Out>& out) {
  const std::size_t n = work.batons.size();
  for (;;) {
    std::optional<stage_value<In>> v;
    std::size_t number = 0;
    {
      const std::lock_guard hold(work.taking);
      v = out.receive(work.in);
      if (!v) return;
      number = work.taken++;
    }
    Out result = call_stage<In>(work.f, std::move(*v));
    const chan<void>& my_turn = work.batons[(number + n - 1) % n];
    if (select(on_recv(my_turn), on_done(out.scope())) != 0) return;
    if (!out.send(std::move(result))) return;
    work.batons[number % n].send();
  }
}

template <class Inputs>
auto merge_all(const context& ctx, const Inputs& inputs) {
  using T = carried<typename Inputs::value_type>;
  recv_chan<T> output = make_stage<T>(ctx);
  const producer<T> first(output);
  for (const auto& input : inputs) {
    spawn([in = as_input(input), out = first] { out.run([&] { out.forward(in); }); });
  }
  return output;
}

}  // namespace detail

/// input | stage(...)
template <detail::chan_that_receives C, class F>
auto operator|(const C& input, detail::stage_adaptor<F> stage) {
  return stage.apply(detail::source_of(input), detail::as_input(input));
}
template <detail::chan_that_receives C, class F>
auto operator|(const std::vector<C>& inputs, detail::stage_adaptor<F> stage) {
  return stage.apply(inputs.empty() ? background() : detail::source_of(inputs.front()), inputs);
}

/// Sends the elements of `range`, which is copied (or moved) in. They are copied out of it, or
/// moved if they cannot be copied. The end of ctx is seen between two elements, not by a range that
/// waits for its next one, unless that is a channel.
template <detail::stage_source Range>
auto generate(const context& ctx, Range&& range) -> recv_chan<detail::range_value<Range>> {
  using T = detail::range_value<Range>;
  recv_chan<T> output = detail::make_stage<T>(ctx);
  detail::spawn([out = detail::producer<T>(output),
                 elements = std::decay_t<Range>(std::forward<Range>(range))]() mutable {
    out.run([&] {
      for (auto&& element : elements) {
        if constexpr (std::is_copy_constructible_v<T>) {
          if (!out.send(T(element))) return;
        } else {
          if (!out.send(T(std::move(element)))) return;
        }
      }
    });
  });
  return output;
}
/// Sends on what comes from a channel (std::monostate for chan<void>), as iterating it yields; but
/// the end of ctx ends the wait for the next value, too.
template <detail::chan_that_receives C>
auto generate(const context& ctx, const C& input)
    -> recv_chan<detail::stage_value<detail::carried<C>>> {
  using T = detail::stage_value<detail::carried<C>>;
  recv_chan<T> output = detail::make_stage<T>(ctx);
  detail::spawn([in = detail::as_input(input), out = detail::producer<T>(output)] {
    out.run([&] { out.forward(in); });
  });
  return output;
}
template <class T>
recv_chan<T> generate(const context& ctx, std::initializer_list<T> values) {
  return generate(ctx, std::vector<T>(values));
}
template <class T, std::size_t N>
recv_chan<T> generate(const context& ctx, const T (&values)[N]) {
  return generate(ctx, std::vector<T>(std::begin(values), std::end(values)));
}

/// Sends f(v) for every input v, in the order in which they are ready; `workers` goroutines (at
/// least one) call f at the same time, on the one copy of it. What f returns is sent by value; if
/// the input is a channel of nothing, f takes nothing.
template <detail::chan_that_receives C, class F>
auto transform(const context& ctx, const C& input, int workers, F&& f)
    -> recv_chan<detail::stage_result<std::decay_t<F>, detail::carried<C>>> {
  using In = detail::carried<C>;
  using Out = detail::stage_result<std::decay_t<F>, In>;
  static_assert(!std::is_void_v<Out>, "the function of a transform returns what is sent on");
  recv_chan<Out> output = detail::make_stage<Out>(ctx);
  const detail::producer<Out> first(output);
  const auto function = std::make_shared<std::decay_t<F>>(std::forward<F>(f));
  for (int i = detail::at_least_one(workers); i != 0; --i) {
    detail::spawn([in = detail::as_input(input), out = first, function] {
      out.run([&] {
        while (std::optional<detail::stage_value<In>> v = out.receive(in)) {
          if (!out.send(Out(detail::call_stage<In>(*function, std::move(*v))))) return;
        }
      });
    });
  }
  return output;
}
template <class F>
auto transform(int workers, F&& f) {
  return detail::stage_adaptor{[workers, function = std::decay_t<F>(std::forward<F>(f))](
                                   const context& ctx, const auto& input) mutable {
    return transform(ctx, input, workers, std::move(function));
  }};
}

/// As transform, but sends the results in the order of the inputs. At most `workers` inputs have
/// been taken and not yet sent on.
template <detail::chan_that_receives C, class F>
auto transform_ordered(const context& ctx, const C& input, int workers, F&& f)
    -> recv_chan<detail::stage_result<std::decay_t<F>, detail::carried<C>>> {
  using In = detail::carried<C>;
  using Out = detail::stage_result<std::decay_t<F>, In>;
  using work_type = detail::ordered_work<In, std::decay_t<F>>;
  static_assert(!std::is_void_v<Out>, "the function of a transform returns what is sent on");
  recv_chan<Out> output = detail::make_stage<Out>(ctx);
  const detail::producer<Out> first(output);
  workers = detail::at_least_one(workers);
  const auto work =
      std::make_shared<work_type>(detail::as_input(input), workers, std::forward<F>(f));
  for (int i = 0; i < workers; ++i) {
    detail::spawn(
        [out = first, work] { out.run([&] { detail::ordered_worker<In, Out>(*work, out); }); });
  }
  return output;
}
template <class F>
auto transform_ordered(int workers, F&& f) {
  return detail::stage_adaptor{[workers, function = std::decay_t<F>(std::forward<F>(f))](
                                   const context& ctx, const auto& input) mutable {
    return transform_ordered(ctx, input, workers, std::move(function));
  }};
}

/// Sends what comes from any of the inputs.
template <detail::chan_that_receives C>
auto merge(const context& ctx, const std::vector<C>& inputs) -> recv_chan<detail::carried<C>> {
  return detail::merge_all(ctx, inputs);
}
template <detail::chan_that_receives C>
auto merge(const context& ctx, std::initializer_list<C> inputs) -> recv_chan<detail::carried<C>> {
  return detail::merge_all(ctx, inputs);
}
template <detail::chan_that_receives C, detail::chan_that_receives... More>
auto merge(const context& ctx, const C& input, const More&... more)
    -> recv_chan<detail::carried<C>> {
  return merge(ctx, std::vector<recv_chan<detail::carried<C>>>{detail::as_input(input),
                                                               detail::as_input(more)...});
}

inline auto merge() {
  return detail::stage_adaptor{
      [](const context& ctx, const auto& inputs) { return merge(ctx, inputs); }};
}

/// Sends every input to each of n outputs. A slow consumer holds up the others by one value; one
/// that has gone does not.
template <detail::chan_that_receives C>
auto tee(const context& ctx, const C& input, int n) -> std::vector<recv_chan<detail::carried<C>>> {
  using T = detail::carried<C>;
  std::vector<recv_chan<T>> outputs;
  std::vector<detail::producer<T>> producers;
  for (int i = 0; i < n; ++i) {
    outputs.push_back(detail::make_stage<T>(ctx));
    producers.emplace_back(outputs.back());
  }
  if (n <= 0) return outputs;
  detail::spawn([in = detail::as_input(input), outs = std::move(producers)]() mutable {
    detail::tee_loop(in, outs);
  });
  return outputs;
}
inline auto tee(int n) {
  return detail::stage_adaptor{
      [n](const context& ctx, const auto& input) { return tee(ctx, input, n); }};
}

/// What ended the stage whose output c is; null if nothing did, or c is no stage's. For those who
/// receive by themselves, after the channel was closed.
inline std::exception_ptr failure(const detail::chan_handle& c) noexcept {
  const detail::stage_core* stage = detail::stage_core::of(detail::chan_access::core(c));
  return stage != nullptr ? stage->error() : nullptr;
}

/// Blocks until c is closed and returns all it received (std::monostate from a channel of nothing);
/// if an exception ended a stage, rethrows
/// it. If only the context ended, returns what had come by then: see ctx.err().
template <detail::chan_that_receives C>
auto collect(const C& c) -> std::vector<detail::stage_value<detail::carried<C>>> {
  std::vector<detail::stage_value<detail::carried<C>>> all;
  const auto input = detail::as_input(c);
  if constexpr (std::is_void_v<detail::carried<C>>) {
    while (input.recv()) all.emplace_back();
  } else {
    while (auto v = input.recv()) all.push_back(std::move(*v));
  }
  if (const std::exception_ptr error = failure(input)) std::rethrow_exception(error);
  return all;
}
inline auto collect() {
  return detail::stage_adaptor{[](const context&, const auto& input) { return collect(input); }};
}

}  // namespace runnel
