#include "debug/names.hpp"

#include <cxxabi.h>

#include <array>
#include <cstdlib>
#include <memory>

namespace runnel::debug {
namespace {

template <std::size_t N>
bool starts_with_any(std::string_view text, const std::array<std::string_view, N>& starts) {
  for (std::string_view s : starts) {
    if (text.starts_with(s)) return true;
  }
  return false;
}

// A mangled name is judged as it is: there a namespace is a fixed text at a known place, where a
// demangled one may begin with a return type that mentions any namespace.
owner owner_of_mangled(std::string_view name) noexcept {
  static constexpr std::array<std::string_view, 7> hidden = {
      "10__cxxabiv1", "St9terminate", "St11__terminate", "6__asan",
      "6__tsan",      "6__lsan",      "11__sanitizer"};
  static constexpr std::array<std::string_view, 4> inner = {"6runnel6detail", "6runnel7runtime",
                                                            "6runnel4arch", "6runnel5debug"};
  name.remove_prefix(2);
  // Of an entity local to a function, the function counts.
  while (name.starts_with('Z')) name.remove_prefix(1);
  if (name.starts_with('N')) {
    name.remove_prefix(1);
    const std::size_t qualifiers = name.find_first_not_of("rVKRO");
    name.remove_prefix(qualifiers == std::string_view::npos ? 0 : qualifiers);
  }
  if (starts_with_any(name, hidden) || starts_with_any(name, inner)) return owner::innards;
  if (name.starts_with("6runnel")) return owner::api;
  // S begins the abbreviations of std and of what is in it.
  if (name.starts_with('S') || name.starts_with("9__gnu_cxx")) return owner::library;
  return owner::user;
}

owner owner_of_plain(std::string_view name) noexcept {
  static constexpr std::array<std::string_view, 6> hidden = {
      "__cxxabiv1::", "std::terminate", "std::__terminate",
      "__asan::",     "__tsan::",       "__sanitizer::"};
  static constexpr std::array<std::string_view, 4> inner = {
      "runnel::detail::", "runnel::runtime::", "runnel::arch::", "runnel::debug::"};
  static constexpr std::array<std::string_view, 13> hidden_c = {"runnel_",
                                                                "__cxa_",
                                                                "_Unwind_",
                                                                "__gxx_personality",
                                                                "__interceptor_",
                                                                "___interceptor",
                                                                "__asan",
                                                                "__tsan",
                                                                "__lsan",
                                                                "__sanitizer",
                                                                "__restore_rt",
                                                                "__libc_start_",
                                                                "__kernel_rt_sigreturn"};
  // Where threads start; they lie outside of the C library in a static program.
  static constexpr std::array<std::string_view, 6> starts = {"_start", "start_thread", "clone",
                                                             "clone3", "__clone",      "__clone3"};
  if (starts_with_any(name, hidden) || starts_with_any(name, inner) ||
      starts_with_any(name, hidden_c)) {
    return owner::innards;
  }
  for (std::string_view s : starts) {
    if (name == s) return owner::innards;
  }
  if (name.starts_with("runnel::")) return owner::api;
  if (name.starts_with("std::") || name.starts_with("__gnu_cxx::")) return owner::library;
  return owner::user;
}

// +1 and -1 for what opens and closes a bracket.
int bracket(char c) noexcept {
  if (c == '<' || c == '(' || c == '[' || c == '{') return 1;
  if (c == '>' || c == ')' || c == ']' || c == '}') return -1;
  return 0;
}

// Cuts the parameter list, which what qualifies a member and the suffix of a clone may follow:
// "f(int) const [clone .cold]". False if there is none, as in the name of a variable.
bool cut_parameters(std::string& name, bool& has_parameters) {
  const std::size_t close = name.rfind(')');
  // "{lambda(int)#1}" ends in a brace and "(anonymous namespace)::x" in a name.
  if (close == std::string::npos || name.find_first_of("}:", close) != std::string::npos) {
    return false;
  }
  int depth = 0;
  for (std::size_t i = close + 1; i-- > 0;) {
    if (name[i] == ')') ++depth;
    if (name[i] == '(' && --depth == 0) {
      const std::string_view list(name.data() + i + 1, close - i - 1);
      has_parameters = !list.empty();
      name.resize(i);
      return true;
    }
  }
  return false;
}

// libstdc++'s "[abi:cxx11]", on functions that return a string, say.
void cut_abi_tags(std::string& name) {
  for (std::size_t at; (at = name.find("[abi:")) != std::string::npos;) {
    const std::size_t end = name.find(']', at);
    if (end == std::string::npos) return;
    name.erase(at, end + 1 - at);
  }
}

// Cuts the return type, which the encoding of a template's instance has: all up to the last space
// outside of brackets, but for those before a qualifier and within "operator new".
void cut_return_type(std::string& name) {
  const std::string_view text = name;
  int depth = 0;
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (depth == 0 && rest.starts_with("operator") && (i == start || text[i - 1] == ':')) break;
    depth += bracket(text[i]);
    if (depth == 0 && text[i] == ' ' && !rest.starts_with(" const") &&
        !rest.starts_with(" volatile") && !rest.starts_with(" &")) {
      start = i + 1;
    }
  }
  name.erase(0, start);
}

// "{lambda()#1}" demangled, "<lambda()>" in GCC's debug information, "$_0" in Clang's.
bool ends_in_lambda(std::string_view name) noexcept {
  const std::size_t clang = name.rfind("$_");
  if (clang != std::string_view::npos) {
    return name.find_first_not_of("0123456789", clang + 2) == std::string_view::npos;
  }
  int depth = 0;
  for (std::size_t i = name.size(); i-- > 0;) {
    depth -= bracket(name[i]);
    if (depth == 0) {
      return name.substr(i).starts_with("{lambda") || name.substr(i).starts_with("<lambda");
    }
  }
  return false;
}

// GCC describes instances of templates over local classes, such as lambdas, without namespaces:
// then the header they come from tells.
owner owner_of_source(std::string_view source) noexcept {
  if (source.find("/include/runnel/detail/") != std::string_view::npos) return owner::innards;
  if (source.find("/include/runnel/") != std::string_view::npos) return owner::api;
  if (source.find("/include/c++/") != std::string_view::npos) return owner::library;
  return owner::user;
}

bool has_namespace(std::string_view plain) noexcept {
  return plain.substr(0, plain.find_first_of("<({")).find("::") != std::string_view::npos;
}

}  // namespace

bool is_library(std::string_view module) noexcept {
  static constexpr std::array<std::string_view, 9> files = {
      "libc.so", "libc-",      "libstdc++.so", "libc++.so", "libgcc_s.so",
      "libm.so", "libpthread", "ld-linux",     "linux-vdso"};
  const std::size_t slash = module.rfind('/');
  if (slash != std::string_view::npos) module.remove_prefix(slash + 1);
  return starts_with_any(module, files);
}

owner owner_of(std::string_view function, std::string_view module,
               std::string_view source) noexcept {
  const bool mangled = function.starts_with("_Z");
  owner o = mangled ? owner_of_mangled(function) : owner_of_plain(function);
  if (o == owner::user && !mangled && !has_namespace(function)) o = owner_of_source(source);
  return o == owner::user && is_library(module) ? owner::library : o;
}

std::string display_name(std::string_view function, bool& has_parameters) {
  std::string name(function);
  if (function.starts_with("_Z")) {
    int status = -1;
    const std::unique_ptr<char, decltype(&std::free)> text(
        abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), &std::free);
    if (status == 0 && text != nullptr) {
      name = text.get();
      cut_abi_tags(name);
      if (cut_parameters(name, has_parameters)) cut_return_type(name);
    }
  }
  // That what runs is a lambda's operator() goes without saying.
  static constexpr std::string_view call = "::operator()";
  if (name.ends_with(call) &&
      ends_in_lambda(std::string_view(name).substr(0, name.size() - call.size()))) {
    name.resize(name.size() - call.size());
  }
  return name;
}

}  // namespace runnel::debug
