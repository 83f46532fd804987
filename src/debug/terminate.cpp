// Uncaught exceptions. The search for a handler finds none (a goroutine's first frame ends its
// stack), so std::terminate is called with the stack still as it was at the throw.
#include <cxxabi.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <runnel/detail/config.hpp>
#include <runnel/detail/on_panic.hpp>
#include <string>
#include <typeinfo>

#include "debug/last_words.hpp"

namespace runnel::debug {
namespace {

std::atomic<const detail::panic_handler*> user_handler{nullptr};
std::atomic<bool> in_user_handler{false};

// The text as it stands in the report: further lines are indented, so that they cannot be mistaken
// for the report's own.
std::string indented(const char* text) {
  std::string result;
  for (; *text != '\0'; ++text) {
    result.push_back(*text);
    if (*text == '\n') result.push_back('\t');
  }
  return result;
}

std::string type_name(const std::type_info& type) {
  int status = -1;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return status == 0 && text != nullptr ? text.get() : type.name();
}

// By name rather than typeid, which the library may be built without.
bool is_panic(const std::type_info& type) noexcept {
  return std::strcmp(type.name(), "N6runnel5panicE") == 0;
}

// What follows "panic: ".
std::string describe(const std::exception_ptr& exception) {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "unknown exception";
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    std::string text = indented(e.what());
    return is_panic(*type) ? text : text + " (" + type_name(*type) + ")";
  } catch (...) {
    return type_name(*type);
  }
}

[[noreturn]] RUNNEL_NOINLINE void on_terminate() noexcept {
  const std::exception_ptr exception = std::current_exception();
  ending e;
  if (exception == nullptr) {
    e.headline = {"fatal error: terminate called without an active exception"};
    end_program(e);
  }
  const detail::panic_handler* handler = user_handler.load(std::memory_order_acquire);
  // While one handler runs, what it throws or another goroutine does is reported as without it.
  if (handler != nullptr && !in_user_handler.exchange(true, std::memory_order_acq_rel)) {
    handler->call(*handler, exception);
    exit_silently();
  }
  std::string text;
  try {
    text = describe(exception);
  } catch (...) {
    text = "(no memory to say why)";
  }
  e.headline = {"panic: ", text};
  end_program(e);
}

}  // namespace

void install_terminate_handler() noexcept {
  static std::atomic<bool> done{false};
  if (done.exchange(true, std::memory_order_relaxed)) return;
  const std::terminate_handler other = std::set_terminate(&on_terminate);
#if defined(__GLIBCXX__)
  // One that the program has chosen stays.
  if (other != &__gnu_cxx::__verbose_terminate_handler && other != &std::abort) {
    std::set_terminate(other);
  }
#endif
}

namespace {
// An exception may leave main before anything has started the runtime.
[[maybe_unused]] const bool installed_early = (install_terminate_handler(), true);
}  // namespace

}  // namespace runnel::debug

namespace runnel::detail {

const panic_handler* exchange_panic_handler(const panic_handler* handler) noexcept {
  debug::install_terminate_handler();
  return debug::user_handler.exchange(handler, std::memory_order_acq_rel);
}

}  // namespace runnel::detail
