#include "debug/dwarf_functions.hpp"

#if defined(RUNNEL_HAVE_LIBDW) && RUNNEL_HAVE_LIBDW

#include <cstdlib>
#include <memory>

#include "debug/names.hpp"

namespace runnel::debug {

dwarf_functions::dwarf_functions(const libdw& dw, Dwarf_Die* unit) : dw_(dw) { collect(unit); }

void dwarf_functions::collect(Dwarf_Die* parent) {
  Dwarf_Die die;
  if (dw_.dwarf_child(parent, &die) != 0) return;
  do {
    switch (dw_.dwarf_tag(&die)) {
      case DW_TAG_subprogram: {
        Dwarf_Addr base = 0;
        Dwarf_Addr low = 0;
        Dwarf_Addr high = 0;
        std::ptrdiff_t at = 0;
        while ((at = dw_.dwarf_ranges(&die, at, &base, &low, &high)) > 0) {
          pieces_.push_back({low, high, die});
        }
        collect(&die);
        break;
      }
      case DW_TAG_namespace:
      case DW_TAG_structure_type:
      case DW_TAG_class_type:
      case DW_TAG_union_type:
      case DW_TAG_lexical_block:
        collect(&die);
        break;
      default:
        break;
    }
  } while (dw_.dwarf_siblingof(&die, &die) == 0);
}

bool dwarf_functions::inner_scope(Dwarf_Die* scope, Dwarf_Addr pc, Dwarf_Die* inner) const {
  if (dw_.dwarf_child(scope, inner) != 0) return false;
  do {
    const int tag = dw_.dwarf_tag(inner);
    if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) &&
        dw_.dwarf_haspc(inner, pc) > 0) {
      return true;
    }
  } while (dw_.dwarf_siblingof(inner, inner) == 0);
  return false;
}

std::vector<Dwarf_Die> dwarf_functions::at(Dwarf_Addr pc) const {
  std::vector<Dwarf_Die> chain;
  for (const piece& p : pieces_) {
    if (pc < p.low || pc >= p.high) continue;
    chain.push_back(p.function);
    Dwarf_Die scope = p.function;
    Dwarf_Die inner;
    while (inner_scope(&scope, pc, &inner)) {
      if (dw_.dwarf_tag(&inner) == DW_TAG_inlined_subroutine) chain.push_back(inner);
      scope = inner;
    }
    break;
  }
  return chain;
}

// An instance refers to its abstract description, that one to the declaration inside its class.
Dwarf_Die dwarf_functions::declaration_of(Dwarf_Die* function) const {
  Dwarf_Die die = *function;
  constexpr int longest_chain = 8;
  for (int i = 0; i < longest_chain; ++i) {
    Dwarf_Attribute attribute;
    Dwarf_Die next;
    if ((dw_.dwarf_attr(&die, DW_AT_abstract_origin, &attribute) == nullptr &&
         dw_.dwarf_attr(&die, DW_AT_specification, &attribute) == nullptr) ||
        dw_.dwarf_formref_die(&attribute, &next) == nullptr) {
      break;
    }
    die = next;
  }
  return die;
}

std::string dwarf_functions::name(Dwarf_Die* function) const {
  for (unsigned which : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    Dwarf_Attribute attribute;
    if (dw_.dwarf_attr_integrate(function, which, &attribute) != nullptr) {
      if (const char* s = dw_.dwarf_formstring(&attribute)) return s;
    }
  }
  const char* own = dw_.dwarf_diename(function);
  if (own == nullptr) return {};
  std::string qualified = own;
  Dwarf_Die declaration = declaration_of(function);
  Dwarf_Die* raw = nullptr;
  const int n = dw_.dwarf_getscopes_die(&declaration, &raw);
  const std::unique_ptr<Dwarf_Die, decltype(&std::free)> scopes(raw, &std::free);
  for (int i = 1; i < n; ++i) {  // the first is the declaration itself
    Dwarf_Die* scope = scopes.get() + i;
    const char* outer = dw_.dwarf_diename(scope);
    switch (dw_.dwarf_tag(scope)) {
      case DW_TAG_namespace:
        qualified.insert(0, "::").insert(0, outer != nullptr ? outer : "(anonymous namespace)");
        break;
      case DW_TAG_structure_type:
      case DW_TAG_class_type:
      case DW_TAG_union_type:
        // GCC gives lambdas no name.
        qualified.insert(0, "::").insert(0, outer != nullptr ? outer : "{lambda}");
        break;
      case DW_TAG_subprogram: {
        // Described here without its namespaces, which its own declaration has.
        bool unused = false;
        return display_name(name(scope), unused) + "::" + qualified;
      }
      default:
        break;
    }
  }
  // GCC does not always say where a lambda is, but nothing else is an operator() of nothing.
  return qualified == "operator()" ? "{lambda}" : qualified;
}

bool dwarf_functions::has_parameters(Dwarf_Die* function) const {
  Dwarf_Die die;
  if (dw_.dwarf_child(function, &die) != 0) return false;
  do {
    if (dw_.dwarf_tag(&die) == DW_TAG_formal_parameter &&
        dw_.dwarf_hasattr_integrate(&die, DW_AT_artificial) == 0) {
      return true;
    }
  } while (dw_.dwarf_siblingof(&die, &die) == 0);
  return false;
}

}  // namespace runnel::debug

#endif
