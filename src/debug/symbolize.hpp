// From code addresses to functions and source lines.
//
// By libdw, loaded when a report is first written (its headers are needed at build time only), with
// inlined calls as frames of their own; without it, or without debug information, by dladdr; then
// as module and offset.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "debug/elf_symbols.hpp"

namespace runnel::debug {

/// One source-level frame. Texts are valid during the visit.
struct source_frame {
  std::string_view function;  // mangled, else with its namespaces; empty: unknown
  std::string_view module;    // file of the executable or library; empty: unknown
  std::string_view file;      // absolute where that can be known; empty: unknown
  int line = 0;
  std::uintptr_t offset = 0;   // from the function's start, else (function empty) the module's
  bool inlined = false;        // into the next frame
  bool has_parameters = true;  // false: known to have none; for names that are not mangled
};

using source_visitor = void (*)(void* argument, const source_frame& frame);

/// `full` may allocate and read files, and takes a while the first time; `quick` is dladdr only.
enum class effort { quick, full };

/// Sees the modules loaded when it is first asked; so lives for one report. Not thread-safe.
class symbolizer {
 public:
  explicit symbolizer(effort how) noexcept;
  ~symbolizer();
  symbolizer(const symbolizer&) = delete;
  symbolizer& operator=(const symbolizer&) = delete;

  /// Visits the source-level frames at pc, innermost first; at least one.
  void visit(std::uintptr_t pc, source_visitor visitor, void* argument);

 private:
  struct session;
  effort how_;
  std::unique_ptr<session> session_;
  elf_symbols symbols_;
};

}  // namespace runnel::debug
