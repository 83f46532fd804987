// What the handler of an on_recv case wants to be given.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

namespace runnel::detail {

enum class handler_takes : std::uint8_t { nothing, value, optional };

template <class M>
struct member_parameter {};
template <class R, class F>
struct member_parameter<R (F::*)()> {
  using type = void;
};
template <class R, class F, class A>
struct member_parameter<R (F::*)(A)> {
  using type = A;
};
template <class R, class F>
struct member_parameter<R (F::*)() const> : member_parameter<R (F::*)()> {};
template <class R, class F>
struct member_parameter<R (F::*)() noexcept> : member_parameter<R (F::*)()> {};
template <class R, class F>
struct member_parameter<R (F::*)() const noexcept> : member_parameter<R (F::*)()> {};
template <class R, class F, class A>
struct member_parameter<R (F::*)(A) const> : member_parameter<R (F::*)(A)> {};
template <class R, class F, class A>
struct member_parameter<R (F::*)(A) noexcept> : member_parameter<R (F::*)(A)> {};
template <class R, class F, class A>
struct member_parameter<R (F::*)(A) const noexcept> : member_parameter<R (F::*)(A)> {};

/// The one parameter of a callable that has one signature; no type for templates and overloads.
template <class F>
struct handler_parameter {};
template <class F>
requires requires { &F::operator(); }
struct handler_parameter<F> : member_parameter<decltype(&F::operator())> {};
template <class R>
struct handler_parameter<R (*)()> {
  using type = void;
};
template <class R, class A>
struct handler_parameter<R (*)(A)> {
  using type = A;
};
template <class R>
struct handler_parameter<R (*)() noexcept> : handler_parameter<R (*)()> {};
template <class R, class A>
struct handler_parameter<R (*)(A) noexcept> : handler_parameter<R (*)(A)> {};

/// f(T), f(std::optional<T>) or f(). The parameter's type decides where there is one: asking
/// whether f can be called would not do, since a T converts to an optional, and asking a generic
/// lambda whether it takes an optional compiles its body with one.
template <class T, class F>
constexpr handler_takes handler_form() {
  using parameter = handler_parameter<std::decay_t<F>>;
  if constexpr (requires { typename parameter::type; }) {
    using P = std::remove_cvref_t<typename parameter::type>;
    if constexpr (std::is_void_v<P>) {
      return handler_takes::nothing;
    } else if constexpr (std::is_same_v<P, std::optional<T>>) {
      return handler_takes::optional;
    } else {
      return handler_takes::value;
    }
  } else if constexpr (std::is_invocable_v<F&>) {
    return handler_takes::nothing;
  } else if constexpr (std::is_invocable_v<F&, T>) {
    return handler_takes::value;
  } else {
    return handler_takes::optional;
  }
}

}  // namespace runnel::detail
