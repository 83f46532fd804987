// What the handler of an on_recv case wants to be given, and how it is called.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <runnel/detail/config.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace runnel::detail {

/// The handler is called as the lvalue that it is kept as; one that can only be called as an
/// rvalue, as that.
template <class F, class... A>
RUNNEL_INLINE void call_handler(F& f, A&&... arguments) {
  if constexpr (std::is_invocable_v<F&, A...>) {
    f(std::forward<A>(arguments)...);
  } else {
    std::move(f)(std::forward<A>(arguments)...);
  }
}
template <class F, class... A>
concept handles = std::is_invocable_v<F&, A...> || std::is_invocable_v<F, A...>;

// ---- the types of a callable's parameters, as a tuple of them (which is never made)

template <class Function>
struct parameters {};
template <class R, class... A, bool N>
struct parameters<R(A...) noexcept(N)> {
  using type = std::tuple<A...>;
};
template <class R, class... A, bool N>
struct parameters<R(A...)& noexcept(N)> : parameters<R(A...)> {};
template <class R, class... A, bool N>
struct parameters<R(A...)&& noexcept(N)> : parameters<R(A...)> {};
template <class R, class... A, bool N>
struct parameters<R(A...) const noexcept(N)> : parameters<R(A...)> {};
template <class R, class... A, bool N>
struct parameters<R(A...) const& noexcept(N)> : parameters<R(A...)> {};
template <class R, class... A, bool N>
struct parameters<R(A...) const&& noexcept(N)> : parameters<R(A...)> {};

template <class First, class Tuple>
struct with_first;
template <class First, class... A>
struct with_first<First, std::tuple<A...>> {
  using type = std::tuple<First, A...>;
};

template <class MemberPointer>
struct parameters_of_member {};
template <class Function, class C>
struct parameters_of_member<Function C::*> : parameters<Function> {};

/// Of a decayed F; no type for templates and overloads.
template <class F>
struct parameters_of {};
template <class F>
requires requires { &F::operator(); }
struct parameters_of<F> : parameters_of_member<decltype(&F::operator())> {};
template <class F>
struct parameters_of<F*> : parameters<F> {};
/// As std::bind calls it: the object first.
template <class F, class C>
requires std::is_function_v<F>
struct parameters_of<F C::*> : with_first<C*, typename parameters<F>::type> {
};
template <class F>
struct parameters_of<std::reference_wrapper<F>> : parameters_of<std::decay_t<F>> {};

// ---- the type of that parameter which is given what was received

template <class Tuple>
struct first_or_void;
template <class... A>
struct first_or_void<std::tuple<A...>> : std::tuple_element<0, std::tuple<A..., void>> {};

/// Where in the bound arguments of std::bind the first placeholder is; their number if nowhere.
template <class... Bound>
constexpr std::size_t place_of_first() {
  const std::array<bool, sizeof...(Bound) + 1> is_it = {(std::is_placeholder_v<Bound> == 1)...,
                                                        true};
  std::size_t place = 0;
  while (!is_it[place]) ++place;
  return place;
}
template <std::size_t Place, class Tuple>
struct element_if_any {};
template <std::size_t Place, class... A>
requires(Place < sizeof...(A)) struct element_if_any<Place, std::tuple<A...>>
    : std::tuple_element<Place, std::tuple<A...>> {
};

template <class F, class... Bound>
struct bound_parameter {};
template <class F, class... Bound>
requires(place_of_first<Bound...>() < sizeof...(Bound) &&
         requires { typename parameters_of<F>::type; }) struct bound_parameter<F, Bound...>
    : element_if_any<place_of_first<Bound...>(), typename parameters_of<F>::type> {
};

/// void if it has no parameter; no type if that cannot be told.
template <class F>
struct handler_parameter {};
template <class F>
requires requires { typename parameters_of<F>::type; }
struct handler_parameter<F> : first_or_void<typename parameters_of<F>::type> {};
// What std::bind and std::bind<R> return (in libstdc++) takes anything, but what they bind may not.
template <template <class> class Bind, class F, class... Bound>
requires std::is_bind_expression_v<Bind<F(Bound...)>>
struct handler_parameter<Bind<F(Bound...)>> : bound_parameter<F, Bound...> {
};
template <template <class, class> class Bind, class R, class F, class... Bound>
requires std::is_bind_expression_v<Bind<R, F(Bound...)>>
struct handler_parameter<Bind<R, F(Bound...)>> : bound_parameter<F, Bound...> {
};
template <class F>
struct handler_parameter<std::reference_wrapper<F>> : handler_parameter<std::decay_t<F>> {};

// ---- what it is given

enum class handler_takes : std::uint8_t { nothing, value, optional };

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// f(T), f(std::optional<T>) or f(). The parameter's type decides where there is one: asking
/// whether f can be called would not do, since a T converts to an optional, and asking a generic
/// lambda whether it takes an optional compiles its body with one. Of an optional of something
/// that a T converts to, nobody means it to hold the T{} of a closed channel.
template <class T, class F>
constexpr handler_takes handler_form() {
  using parameter = handler_parameter<std::decay_t<F>>;
  if constexpr (requires { typename parameter::type; }) {
    using P = std::remove_cvref_t<typename parameter::type>;
    if constexpr (std::is_void_v<P>) {
      return handler_takes::nothing;
    } else if constexpr (std::is_same_v<P, std::optional<T>> ||
                         (is_optional<P> && !is_optional<T>)) {
      return handler_takes::optional;
    } else {
      return handler_takes::value;
    }
  } else if constexpr (handles<F>) {
    return handler_takes::nothing;
  } else if constexpr (handles<F, T>) {
    return handler_takes::value;
  } else {
    return handler_takes::optional;
  }
}

/// Whether f can be called with that. One question, not three: see handler_form.
template <class T, class F, handler_takes Form>
constexpr bool handles_form() {
  if constexpr (Form == handler_takes::nothing) {
    return handles<F>;
  } else if constexpr (Form == handler_takes::optional) {
    return handles<F, std::optional<T>>;
  } else {
    return handles<F, T>;
  }
}

}  // namespace runnel::detail
