#include "debug/symbolize.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "debug/dwarf_functions.hpp"
#include "debug/libdw.hpp"
#include "debug/names.hpp"

namespace runnel::debug {
namespace {

void visit_quick(std::uintptr_t pc, source_visitor visitor, void* argument) {
  source_frame f;
  Dl_info info;
  if (::dladdr(reinterpret_cast<void*>(pc), &info) != 0) {
    if (info.dli_fname != nullptr) f.module = info.dli_fname;
    if (info.dli_sname != nullptr) f.function = info.dli_sname;
    const void* base = info.dli_sname != nullptr ? info.dli_saddr : info.dli_fbase;
    f.offset = pc - reinterpret_cast<std::uintptr_t>(base);
  } else {
    f.offset = pc;
  }
  visitor(argument, f);
}

}  // namespace

#if defined(RUNNEL_HAVE_LIBDW) && RUNNEL_HAVE_LIBDW

const libdw* libdw::load() noexcept {
  static libdw functions;
  static const bool loaded = [] {
    void* library = ::dlopen("libdw.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) return false;
    bool all = true;
#define RUNNEL_LIBDW_LOAD(name)                                                         \
  functions.name = reinterpret_cast<decltype(functions.name)>(::dlsym(library, #name)); \
  all = all && functions.name != nullptr;
    RUNNEL_LIBDW_FUNCTIONS(RUNNEL_LIBDW_LOAD)
#undef RUNNEL_LIBDW_LOAD
    return all;
  }();
  return loaded ? &functions : nullptr;
}

namespace {

// The running executable is read through /proc/self/exe: its path may by now name a newer build, or
// nothing. Other modules have no such door. A module without a path (the vdso) is not read.
int find_elf(Dwfl_Module*, void**, const char* name, Dwarf_Addr, char** path, Elf**) {
  char self[4096];
  const ssize_t n = ::readlink("/proc/self/exe", self, sizeof(self) - 1);
  const bool is_self = n > 0 && std::strncmp(name, self, static_cast<std::size_t>(n)) == 0;
  if (!is_self && name[0] != '/') return -1;
  const int fd = ::open(is_self ? "/proc/self/exe" : name, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) *path = ::strdup(name);
  return fd;
}

// Separate debug information is looked for by build id, in the file system. The standard callback
// would also set up a client for downloads, a matter of seconds and of half a dozen libraries. Of
// the C and C++ libraries symbols will do: theirs, if installed, takes a second to uncompress.
int find_debuginfo(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base,
                   const char* file, const char* link, GElf_Word checksum, char** path) {
  if (is_library(name)) return -1;
  return libdw::load()->dwfl_build_id_find_debuginfo(module, data, name, base, file, link, checksum,
                                                     path);
}

const Dwfl_Callbacks callbacks = {find_elf, find_debuginfo, nullptr, nullptr};

}  // namespace

struct symbolizer::session {
  explicit session(const libdw& functions) : dw(functions), dwfl(dw.dwfl_begin(&callbacks)) {
    if (dwfl == nullptr) return;
    dw.dwfl_report_begin(dwfl);
    if (dw.dwfl_linux_proc_report(dwfl, ::getpid()) != 0 ||
        dw.dwfl_report_end(dwfl, nullptr, nullptr) != 0) {
      dw.dwfl_end(dwfl);
      dwfl = nullptr;
    }
  }
  ~session() {
    if (dwfl != nullptr) dw.dwfl_end(dwfl);
  }
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  bool visit(std::uintptr_t pc, source_visitor visitor, void* argument);
  Dwarf_Die* unit_at(Dwfl_Module* module, Dwarf_Addr pc, Dwarf_Addr* bias) const;
  bool visit_scopes(Dwarf_Die* unit, Dwarf_Addr pc, Dwarf_Addr bias, source_frame f,
                    source_visitor visitor, void* argument);
  void set_call_site(Dwarf_Die* inlined, source_frame& f);
  void set_file(Dwarf_Die* unit, const char* name, source_frame& f);

  const libdw& dw;
  Dwfl* dwfl;
  std::map<Dwarf_Off, dwarf_functions> units;
  std::string path;  // backs source_frame::file
};

// The compilation unit that covers pc.
Dwarf_Die* symbolizer::session::unit_at(Dwfl_Module* module, Dwarf_Addr pc,
                                        Dwarf_Addr* bias) const {
  // By .debug_aranges, which Clang does not write; then the nearest unit that has them comes back.
  Dwarf_Die* unit = dw.dwfl_module_addrdie(module, pc, bias);
  if (unit != nullptr && dw.dwarf_haspc(unit, pc - *bias) > 0) return unit;
  unit = nullptr;
  while ((unit = dw.dwfl_module_nextcu(module, unit, bias)) != nullptr) {
    if (dw.dwarf_haspc(unit, pc - *bias) > 0) return unit;
  }
  return nullptr;
}

void symbolizer::session::set_file(Dwarf_Die* unit, const char* name, source_frame& f) {
  path.clear();
  Dwarf_Attribute attribute;
  const char* directory = dw.dwarf_formstring(dw.dwarf_attr(unit, DW_AT_comp_dir, &attribute));
  if (name[0] != '/' && directory != nullptr) path.append(directory).append("/");
  path.append(name);
  f.file = path;
}

// Makes the call of an inlined function the place of the next outer frame.
void symbolizer::session::set_call_site(Dwarf_Die* inlined, source_frame& f) {
  f.file = {};
  f.line = 0;
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dw.dwarf_formudata(dw.dwarf_attr(inlined, DW_AT_call_line, &attribute), &value) == 0) {
    f.line = static_cast<int>(value);
  }
  Dwarf_Die unit;
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  if (dw.dwarf_formudata(dw.dwarf_attr(inlined, DW_AT_call_file, &attribute), &value) != 0 ||
      dw.dwarf_diecu(inlined, &unit, nullptr, nullptr) == nullptr ||
      dw.dwarf_getsrcfiles(&unit, &files, &count) != 0) {
    return;
  }
  if (const char* name = dw.dwarf_filesrc(files, value, nullptr, nullptr)) set_file(&unit, name, f);
}

// Visits the frames that the debug information knows; f describes the machine-level one. False if
// it knows none.
bool symbolizer::session::visit_scopes(Dwarf_Die* unit, Dwarf_Addr pc, Dwarf_Addr bias,
                                       source_frame f, source_visitor visitor, void* argument) {
  const dwarf_functions& functions =
      units.try_emplace(dw.dwarf_dieoffset(unit) ^ bias, dw, unit).first->second;
  std::vector<Dwarf_Die> chain = functions.at(pc);
  const std::string_view symbol = f.function;
  while (!chain.empty()) {
    Dwarf_Die* die = &chain.back();
    f.inlined = chain.size() > 1;
    std::string name = functions.name(die);
    // What has no mangled name in the debug information may have one in the symbol table.
    if (!f.inlined && !name.starts_with("_Z") && symbol.starts_with("_Z")) name = symbol;
    f.function = name;
    f.has_parameters = functions.has_parameters(die);
    visitor(argument, f);
    if (!f.inlined) return true;
    set_call_site(die, f);
    chain.pop_back();
  }
  return false;
}

bool symbolizer::session::visit(std::uintptr_t pc, source_visitor visitor, void* argument) {
  Dwfl_Module* module = dwfl != nullptr ? dw.dwfl_addrmodule(dwfl, pc) : nullptr;
  if (module == nullptr) return false;
  source_frame f;
  Dwarf_Addr start = 0;
  const char* name =
      dw.dwfl_module_info(module, nullptr, &start, nullptr, nullptr, nullptr, nullptr, nullptr);
  if (name != nullptr) f.module = name;
  GElf_Off offset = 0;
  GElf_Sym symbol;
  if (const char* s =
          dw.dwfl_module_addrinfo(module, pc, &offset, &symbol, nullptr, nullptr, nullptr)) {
    f.function = s;
    f.offset = offset;
  } else {
    f.offset = pc - start;
  }
  Dwarf_Addr bias = 0;
  Dwarf_Die* unit = unit_at(module, pc, &bias);
  if (unit != nullptr) {
    Dwarf_Line* line = dw.dwarf_getsrc_die(unit, pc - bias);
    const char* file = line != nullptr ? dw.dwarf_linesrc(line, nullptr, nullptr) : nullptr;
    if (file != nullptr && dw.dwarf_lineno(line, &f.line) == 0) set_file(unit, file, f);
    if (visit_scopes(unit, pc - bias, bias, f, visitor, argument)) return true;
  }
  visitor(argument, f);
  return true;
}

#else

struct symbolizer::session {
  bool visit(std::uintptr_t, source_visitor, void*) { return false; }
};

#endif

symbolizer::symbolizer(effort how) noexcept : how_(how) {}
symbolizer::~symbolizer() = default;

void symbolizer::visit(std::uintptr_t pc, source_visitor visitor, void* argument) {
#if defined(RUNNEL_HAVE_LIBDW) && RUNNEL_HAVE_LIBDW
  if (how_ == effort::full && session_ == nullptr) {
    if (const libdw* dw = libdw::load()) session_ = std::make_unique<session>(*dw);
  }
#endif
  if (session_ != nullptr && session_->visit(pc, visitor, argument)) return;
  elf_symbols::found found;
  if (how_ == effort::full && symbols_.find(pc, found)) {
    source_frame f;
    f.function = found.function;
    f.module = found.module;
    f.offset = found.offset;
    visitor(argument, f);
    return;
  }
  visit_quick(pc, visitor, argument);
}

}  // namespace runnel::debug
