#include <algorithm>
#include <chrono>
#include <runnel/diag.hpp>
#include <runnel/time.hpp>

#include "debug/dump.hpp"
#include "debug/sink.hpp"
#include "runtime/inspect.hpp"

namespace runnel {
namespace {

std::uint64_t caller_id() noexcept {
  runtime::goroutine_view g{};
  runtime::thread_view t{};
  return runtime::current(g, t) ? g.id : 0;
}

// Which goroutines a check is about: not those known before, nor the one that asks.
struct begun_since {
  const std::vector<std::uint64_t>& before;
  std::uint64_t caller;
  std::vector<std::uint64_t> alive = {};

  bool covers(std::uint64_t id) const {
    return id != caller && !std::binary_search(before.begin(), before.end(), id);
  }
};

}  // namespace

// Ids cannot be compared with the last one given out: processors take them in batches.
leak_check::leak_check(std::chrono::milliseconds grace) : grace_(grace) {
  runtime::for_each_goroutine(
      [](void* argument, const runtime::goroutine_view& g) {
        static_cast<std::vector<std::uint64_t>*>(argument)->push_back(g.id);
      },
      &before_);
  std::sort(before_.begin(), before_.end());
}

leak_check::~leak_check() {
  try {
    leaked();
  } catch (...) {
  }
}

std::size_t leak_check::count() const {
  begun_since c{before_, caller_id()};
  runtime::for_each_goroutine(
      [](void* argument, const runtime::goroutine_view& g) {
        auto& begun = *static_cast<begun_since*>(argument);
        if (begun.covers(g.id)) begun.alive.push_back(g.id);
      },
      &c);
  // Who took the first turn just now may have been seen before and after.
  std::sort(c.alive.begin(), c.alive.end());
  return static_cast<std::size_t>(std::unique(c.alive.begin(), c.alive.end()) - c.alive.begin());
}

std::size_t leak_check::leaked() {
  const auto until = std::chrono::steady_clock::now() + grace_;
  std::size_t n = count();
  for (auto step = std::chrono::microseconds(50);
       n != 0 && std::chrono::steady_clock::now() < until; n = count()) {
    sleep_for(step);
    step = std::min(2 * step, std::chrono::microseconds(5000));
  }
  if (n == 0 || reported_) return n;
  reported_ = true;
  begun_since c{before_, caller_id()};
  debug::selection which;
  which.wanted = [](void* argument, std::uint64_t id) {
    return static_cast<const begun_since*>(argument)->covers(id);
  };
  which.argument = &c;
  which.threads = false;
  const std::string report = debug::report_of(which, false);
  if (report.empty()) return count();  // they ended just now
  debug::sink out(&debug::sink::write_stderr, nullptr);
  out.put("leak_check: ").put_dec(n).put(n == 1 ? " goroutine is" : " goroutines are");
  out.put(" still alive\n\n").put(report);
  return n;
}

}  // namespace runnel
