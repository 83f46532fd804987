// What happens to an exception that leaves a goroutine, main or a thread.
#pragma once

#include <exception>
#include <runnel/detail/config.hpp>
#include <type_traits>
#include <utility>

namespace runnel {
namespace detail {

struct panic_handler {
  void (*call)(const panic_handler& self, std::exception_ptr exception);
  // The one it replaced. Handlers live for ever, since one may be running while it is replaced.
  const panic_handler* previous = nullptr;
};

/// Null: the default report. Returns the handler that was set.
RUNNEL_API const panic_handler* exchange_panic_handler(const panic_handler* handler) noexcept;

}  // namespace detail

/// Makes handler(exception_ptr) take the place of the report ("panic: ...", the stack) that follows
/// an exception nobody catches. It runs in the goroutine or thread that threw, on top of the stack
/// as it was at the throw, and may use the library; when it returns, standard output is flushed and
/// the program ends with status 2, without destructors. An exception that leaves the handler, or
/// comes up in another goroutine meanwhile, is reported by default. nullptr: back to the report.
/// Any thread; the last call counts. Go has no counterpart: a panic there always prints.
template <class F>
void on_panic(F&& handler) {
  if constexpr (std::is_same_v<std::decay_t<F>, std::nullptr_t>) {
    detail::exchange_panic_handler(nullptr);
  } else {
    struct holder : detail::panic_handler {
      std::decay_t<F> function;
      explicit holder(F&& f)
          : panic_handler{[](const panic_handler& self, std::exception_ptr e) {
              const_cast<holder&>(static_cast<const holder&>(self)).function(std::move(e));
            }},
            function(std::forward<F>(f)) {}
    };
    auto* mine = new holder(std::forward<F>(handler));
    mine->previous = detail::exchange_panic_handler(mine);
  }
}

}  // namespace runnel
