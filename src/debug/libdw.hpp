// libdw's functions, found at run time. The types and constants come from its headers; without
// those at build time (RUNNEL_HAVE_LIBDW) there is nothing here.
#pragma once

#if defined(RUNNEL_HAVE_LIBDW) && RUNNEL_HAVE_LIBDW

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

// clang-format off
#define RUNNEL_LIBDW_FUNCTIONS(apply)                                                           \
  apply(dwfl_begin) apply(dwfl_end) apply(dwfl_report_begin) apply(dwfl_report_end)             \
  apply(dwfl_linux_proc_report) apply(dwfl_addrmodule) apply(dwfl_module_info)                  \
  apply(dwfl_module_addrinfo) apply(dwfl_module_addrdie) apply(dwfl_module_nextcu)              \
  apply(dwfl_build_id_find_debuginfo) apply(dwarf_getsrc_die) apply(dwarf_linesrc)              \
  apply(dwarf_lineno)                                                                           \
  apply(dwarf_haspc) apply(dwarf_ranges) apply(dwarf_child) apply(dwarf_siblingof)              \
  apply(dwarf_tag) apply(dwarf_dieoffset) apply(dwarf_getscopes_die) apply(dwarf_attr)          \
  apply(dwarf_attr_integrate) apply(dwarf_formref_die) apply(dwarf_formstring)                  \
  apply(dwarf_formudata) apply(dwarf_hasattr_integrate) apply(dwarf_diename) apply(dwarf_diecu) \
  apply(dwarf_getsrcfiles) apply(dwarf_filesrc)
// clang-format on

namespace runnel::debug {

struct libdw {
// NOLINTNEXTLINE(bugprone-macro-parentheses): declares a member, which parentheses would obscure
#define RUNNEL_LIBDW_MEMBER(name) decltype(&::name) name;
  RUNNEL_LIBDW_FUNCTIONS(RUNNEL_LIBDW_MEMBER)
#undef RUNNEL_LIBDW_MEMBER

  /// Loads the library at the first call; null if there is none (of a version that will do).
  static const libdw* load() noexcept;
};

}  // namespace runnel::debug

#endif
