// The functions of one compilation unit, and the inlined calls inside them, as the debug
// information has them.
//
// Rejected: dwarf_getscopes, which does not find functions nested in the description of another
// one, as GCC nests the members of local classes: lambdas, that is.
#pragma once

#include "debug/libdw.hpp"

#if defined(RUNNEL_HAVE_LIBDW) && RUNNEL_HAVE_LIBDW

#include <string>
#include <vector>

namespace runnel::debug {

class dwarf_functions {
 public:
  /// Looks through the whole unit, once.
  dwarf_functions(const libdw& dw, Dwarf_Die* unit);

  /// The function whose code includes pc, then the calls inlined there, outermost first. Empty if
  /// no function does.
  std::vector<Dwarf_Die> at(Dwarf_Addr pc) const;

  /// The mangled name if it is known, else the name with those of the enclosing scopes.
  std::string name(Dwarf_Die* function) const;
  /// Not counting `this`.
  bool has_parameters(Dwarf_Die* function) const;

 private:
  struct piece {
    Dwarf_Addr low, high;
    Dwarf_Die function;
  };

  void collect(Dwarf_Die* parent);
  bool inner_scope(Dwarf_Die* scope, Dwarf_Addr pc, Dwarf_Die* inner) const;
  Dwarf_Die declaration_of(Dwarf_Die* function) const;

  const libdw& dw_;
  std::vector<piece> pieces_;
};

}  // namespace runnel::debug

#endif
