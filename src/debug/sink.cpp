#include "debug/sink.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace runnel::debug {

sink& sink::put(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t n = std::min(text.size(), sizeof(buffer_) - used_);
    std::memcpy(buffer_ + used_, text.data(), n);
    used_ += n;
    text.remove_prefix(n);
    if (used_ == sizeof(buffer_)) flush();
  }
  return *this;
}

sink& sink::put_dec(std::uint64_t value) noexcept {
  char digits[20];
  std::size_t at = sizeof(digits);
  do {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return put({digits + at, sizeof(digits) - at});
}

sink& sink::put_hex(std::uint64_t value) noexcept {
  char digits[16];
  std::size_t at = sizeof(digits);
  do {
    digits[--at] = "0123456789abcdef"[value % 16];
    value /= 16;
  } while (value != 0);
  return put("0x").put({digits + at, sizeof(digits) - at});
}

void sink::flush() noexcept {
  const std::size_t n = used_;
  used_ = 0;
  if (n > 0) write_(argument_, buffer_, n);
}

void sink::write_stderr(void*, const char* text, std::size_t size) noexcept {
  while (size > 0) {
    const ssize_t n = ::write(STDERR_FILENO, text, size);
    if (n > 0) {
      text += n;
      size -= static_cast<std::size_t>(n);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
      return;  // nobody to tell
    } else if (errno == EAGAIN) {
      ::usleep(1000);  // a non-blocking pipe whose reader is slow
    }
  }
}

}  // namespace runnel::debug
