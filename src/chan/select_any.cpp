// Select over a number of cases known only at run time. Go: reflect.Select.
#include <cstddef>
#include <memory>
#include <new>
#include <runnel/detail/select_core.hpp>
#include <runnel/select.hpp>
#include <span>

#include "chan/transfer.hpp"

namespace runnel::detail {
namespace {

/// What the cases have to do around the wait; see case_around_wait.
class around_any {
 public:
  explicit around_any(std::span<select_case> cases) : cases_(cases) {
    for (select_case& c : cases_) c.before_wait();
  }
  ~around_any() {
    for (select_case& c : cases_) c.after_wait();
  }
  around_any(const around_any&) = delete;
  around_any& operator=(const around_any&) = delete;

 private:
  const std::span<select_case> cases_;
};

std::size_t run_prepared(std::span<select_case> cases, select_record* records, void* space,
                         bool ordered) {
  std::size_t chosen = 0;
  {
    const around_any surroundings(cases);
    chosen = select_run(records, cases.size(), space, ordered, no_case);
  }
  cases[chosen].finish(records[chosen]);
  return chosen;
}

template <std::size_t N>
std::size_t select_any_small(std::span<select_case> cases, bool ordered) {
  select_record records[N];
  alignas(chan_waiter) std::byte space[N * select_space];
  for (std::size_t i = 0; i < cases.size(); ++i) cases[i].prepare(records[i]);
  return run_prepared(cases, records, space, ordered);
}

std::size_t select_any(std::span<select_case> cases, bool ordered) {
  if (cases.empty()) select_nothing();
  // Two sizes, because a waiting goroutine keeps this frame.
  if (cases.size() <= 4) return select_any_small<4>(cases, ordered);
  if (cases.size() <= 16) return select_any_small<16>(cases, ordered);
  const std::size_t n = cases.size();
  const std::unique_ptr<std::byte[]> memory(
      new std::byte[n * (sizeof(select_record) + select_space)]);
  auto* records = reinterpret_cast<select_record*>(memory.get());
  for (std::size_t i = 0; i < n; ++i) cases[i].prepare(*::new (records + i) select_record);
  return run_prepared(cases, records, records + n, ordered);
}

}  // namespace
}  // namespace runnel::detail

namespace runnel {

std::size_t select(std::span<select_case> cases) { return detail::select_any(cases, false); }
std::size_t select_ordered(std::span<select_case> cases) { return detail::select_any(cases, true); }

}  // namespace runnel
