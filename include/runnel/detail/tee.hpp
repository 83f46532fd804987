// The loop of tee: selects whose number of cases is the number of outputs.
//
// The records are filled in by hand: a select_case would own the channel it sends to, and so stand
// for a consumer that has not gone.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <runnel/detail/caught_goexit.hpp>
#include <runnel/detail/select_core.hpp>
#include <runnel/detail/stage.hpp>
#include <utility>
#include <vector>

namespace runnel::detail {

/// Waits for one of the records that are ready to be waited for.
inline std::size_t select_records(std::vector<select_record>& records) {
  const std::size_t units =
      (records.size() * select_space + sizeof(chan_waiter) - 1) / sizeof(chan_waiter);
  const std::unique_ptr<chan_waiter[]> space(new chan_waiter[units]);
  return select_run(records.data(), records.size(), space.get(), false, no_case);
}

/// Outputs that have no consumers any more are removed, by moving the last one into their place.
template <class T>
void remove_output(std::vector<producer<T>>& outs, std::size_t at) {
  std::swap(outs[at], outs.back());
  outs.pop_back();
}

/// The next input; empty when it is closed (ended: false) or nobody is left to send to (true).
template <class T>
std::optional<stage_value<T>> receive_for_all(const recv_chan<T>& in,
                                              std::vector<producer<T>>& outs, bool& ended) {
  using done = decltype(on_done(outs[0].scope()));
  for (;;) {
    ended = outs.empty();
    if (ended) return std::nullopt;
    std::optional<stage_value<T>> v;
    auto next = on_input(in, v);
    std::vector<done> dones;
    std::vector<select_record> records(outs.size() + 1);
    dones.reserve(outs.size());
    for (std::size_t k = 0; k < outs.size(); ++k) {
      dones.push_back(on_done(outs[k].scope()));
      dones[k].prepare(records[k]);
    }
    next.prepare(records.back());
    const std::size_t chosen = select_records(records);
    if (chosen == outs.size()) {
      next.finish(records[chosen]);
      return v;
    }
    remove_output(outs, chosen);
  }
}

/// Sends v to every output that still has consumers, in whatever order they take it.
template <class T>
void send_to_all(std::vector<producer<T>>& outs, const stage_value<T>& v) {
  using send = decltype(on_output(outs[0].output(), v));
  using done = decltype(on_done(outs[0].scope()));
  std::size_t pending = outs.size();  // outs[0 .. pending) have yet to take v
  while (pending != 0) {
    // Records 2k and 2k + 1: outs[k] takes v, or will not take anything any more.
    std::vector<send> sends;
    std::vector<done> dones;
    std::vector<select_record> records(2 * pending);
    sends.reserve(pending);
    dones.reserve(pending);
    for (std::size_t k = 0; k < pending; ++k) {
      sends.push_back(on_output(outs[k].output(), v));
      dones.push_back(on_done(outs[k].scope()));
      sends[k].prepare(records[2 * k]);
      dones[k].prepare(records[2 * k + 1]);
    }
    const std::size_t chosen = select_records(records);
    const std::size_t k = chosen / 2;
    --pending;
    if (chosen % 2 == 0) sends[k].finish(records[chosen]);
    std::swap(outs[k], outs[pending]);
    if (chosen % 2 == 1) remove_output(outs, pending);
  }
}

template <class T>
void tee_loop(const recv_chan<T>& in, std::vector<producer<T>>& outs) {
  try {
    bool ended = false;
    while (const std::optional<stage_value<T>> v = receive_for_all(in, outs, ended))
      send_to_all(outs, *v);
    for (const producer<T>& out : outs) out.inherit_error(in);
  } catch (...) {
    if (caught_goexit()) throw;
    for (const producer<T>& out : outs) out.fail(std::current_exception());
  }
}

}  // namespace runnel::detail
