#include "debug/elf_symbols.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace runnel::debug {
namespace {

struct query {
  std::uintptr_t pc;
  std::uintptr_t bias;
  const char* name;  // empty: the program itself
};

int contains(dl_phdr_info* info, std::size_t, void* argument) {
  query& q = *static_cast<query*>(argument);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    const std::uintptr_t start = info->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && q.pc >= start && q.pc - start < segment.p_memsz) {
      q.bias = info->dlpi_addr;
      q.name = info->dlpi_name;
      return 1;
    }
  }
  return 0;
}

// The section header at `index`, if the file is whole there.
const Elf64_Shdr* section(const char* image, std::size_t size, std::size_t index) {
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image);
  const std::size_t at = header->e_shoff + index * sizeof(Elf64_Shdr);
  if (index >= header->e_shnum || at % alignof(Elf64_Shdr) != 0 || at + sizeof(Elf64_Shdr) > size) {
    return nullptr;
  }
  const auto* s = reinterpret_cast<const Elf64_Shdr*>(image + at);
  return s->sh_offset <= size && s->sh_size <= size - s->sh_offset ? s : nullptr;
}

}  // namespace

// .symtab if there is one, else .dynsym. The file may be anything by now: nothing in it is trusted.
void elf_symbols::read_table(const char* image, std::size_t size, module& m) {
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image);
  if (size < sizeof *header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64) {
    return;
  }
  const Elf64_Shdr* table = nullptr;
  for (std::size_t i = 0; i < header->e_shnum; ++i) {
    const Elf64_Shdr* s = section(image, size, i);
    if (s == nullptr) continue;
    if (s->sh_type == SHT_SYMTAB || (s->sh_type == SHT_DYNSYM && table == nullptr)) table = s;
  }
  if (table == nullptr || table->sh_offset % alignof(Elf64_Sym) != 0) return;
  const Elf64_Shdr* names = section(image, size, table->sh_link);
  if (names == nullptr || names->sh_size == 0) return;
  m.names.assign(image + names->sh_offset, names->sh_size);
  m.names.back() = '\0';
  const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image + table->sh_offset);
  for (std::size_t i = 0; i < table->sh_size / sizeof *symbols; ++i) {
    const Elf64_Sym& s = symbols[i];
    if (ELF64_ST_TYPE(s.st_info) == STT_FUNC && s.st_shndx != SHN_UNDEF &&
        s.st_name < m.names.size()) {
      m.symbols.push_back({s.st_value, s.st_size, s.st_name});
    }
  }
  std::sort(m.symbols.begin(), m.symbols.end(),
            [](const symbol& a, const symbol& b) { return a.address < b.address; });
}

void elf_symbols::read(const char* path, module& m) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  struct stat status {};
  if (::fstat(fd, &status) == 0 && status.st_size > 0) {
    const auto size = static_cast<std::size_t>(status.st_size);
    void* image = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (image != MAP_FAILED) {
      read_table(static_cast<const char*>(image), size, m);
      ::munmap(image, size);
    }
  }
  ::close(fd);
}

bool elf_symbols::find(std::uintptr_t pc, found& result) {
  query q{pc, 0, nullptr};
  if (::dl_iterate_phdr(&contains, &q) == 0) return false;
  const auto [at, is_new] = modules_.try_emplace(q.bias);
  module& m = at->second;
  if (is_new) {
    const bool program = *q.name == '\0';
    char self[4096];
    const ssize_t n = program ? ::readlink("/proc/self/exe", self, sizeof self) : 0;
    m.path = n > 0 ? std::string(self, static_cast<std::size_t>(n)) : std::string(q.name);
    read(program ? "/proc/self/exe" : q.name, m);
  }
  result.module = m.path;
  const std::uint64_t address = pc - q.bias;
  const auto after =
      std::upper_bound(m.symbols.begin(), m.symbols.end(), address,
                       [](std::uint64_t value, const symbol& s) { return value < s.address; });
  // Assembly's functions may have no size; they reach to the next one.
  if (after != m.symbols.begin()) {
    const symbol& s = *(after - 1);
    if (s.size == 0 || address - s.address < s.size) {
      result.function = m.names.c_str() + s.name;
      result.offset = address - s.address;
      return true;
    }
  }
  result.function = {};
  result.offset = address;
  return true;
}

}  // namespace runnel::debug
