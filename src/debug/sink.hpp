// Where a report goes: formatted into a small buffer, handed on in pieces. Never allocates, so that
// it serves in a signal handler and when memory is exhausted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace runnel::debug {

class sink {
 public:
  /// Takes `size` bytes of a report.
  using writer = void (*)(void* argument, const char* text, std::size_t size);

  sink(writer write, void* argument) noexcept : write_(write), argument_(argument) {}
  ~sink() { flush(); }
  sink(const sink&) = delete;
  sink& operator=(const sink&) = delete;

  sink& put(std::string_view text) noexcept;
  sink& put(char c) noexcept { return put(std::string_view(&c, 1)); }
  sink& put_dec(std::uint64_t value) noexcept;
  /// As 0x7f.
  sink& put_hex(std::uint64_t value) noexcept;
  void flush() noexcept;

  /// Writes to standard error, whatever its buffer or state; never fails visibly.
  static void write_stderr(void*, const char* text, std::size_t size) noexcept;

 private:
  writer write_;
  void* argument_;
  std::size_t used_ = 0;
  char buffer_[1024];
};

}  // namespace runnel::debug
