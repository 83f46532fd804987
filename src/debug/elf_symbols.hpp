// Functions by the symbol tables of the program and its libraries: the fallback where libdw is not
// installed. Unlike dladdr it knows functions that are not exported, that is, all of most
// programs'.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace runnel::debug {

class elf_symbols {
 public:
  struct found {
    std::string_view function;  // empty: unknown
    std::string_view module;
    std::uintptr_t offset = 0;  // from the function's start, else the module's
  };

  /// Where pc lies. False: in no module. Texts are valid as long as this object.
  bool find(std::uintptr_t pc, found& result);

 private:
  struct symbol {
    std::uint64_t address, size;
    std::uint32_t name;  // in names
  };
  struct module {
    std::string path;
    std::vector<symbol> symbols;  // by address
    std::string names;
  };

  static void read(const char* path, module& m);
  static void read_table(const char* image, std::size_t size, module& m);

  std::map<std::uintptr_t, module> modules_;  // by load bias
};

}  // namespace runnel::debug
