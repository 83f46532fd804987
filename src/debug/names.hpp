// How functions are shown, and which frames a reader is spared.
#pragma once

#include <string>
#include <string_view>

namespace runnel::debug {

/// Whose code a frame is. Go hides its runtime's frames; here the same is done with the library's.
enum class owner {
  user,     // shown
  library,  // of the C or C++ library: shown if user code called it, hidden if runnel did
  api,      // runnel's, outside its inner namespaces: shown only if nothing else would be
  innards,  // of runnel, of the language's runtime, of a sanitizer; where threads start
};

/// `function` is mangled or has its namespaces, as far as they are known; `module` is the file of
/// its code and `source` that of its source.
owner owner_of(std::string_view function, std::string_view module,
               std::string_view source = {}) noexcept;

/// The file of a module is one of the C or C++ library's.
bool is_library(std::string_view module) noexcept;

/// Demangled, without ABI tags, with its parameter list cut; as it stands if it is not mangled.
/// has_parameters tells whether the list was other than (), and is left alone where there was none.
std::string display_name(std::string_view function, bool& has_parameters);

}  // namespace runnel::debug
