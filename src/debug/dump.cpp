#include "debug/dump.hpp"

#include <exception>
#include <memory>
#include <ostream>
#include <runnel/detail/config.hpp>
#include <runnel/diag.hpp>
#include <system_error>
#include <thread>

#include "arch/sanitizer.hpp"
#include "debug/report.hpp"

namespace runnel::debug {
namespace {

struct dump {
  snapshot caller;
  census all;
  selection which;
  bool with_caller = false;
  std::string text;
  std::exception_ptr failure;

  void write() noexcept {
    arch::tsan_ignore_begin();
    try {
      take_census(all, which);
      sink out([](void* argument, const char* piece,
                  std::size_t size) { static_cast<std::string*>(argument)->append(piece, size); },
               &text);
      report_writer report(out, effort::full);
      if (with_caller) report.write(caller);
      do {
        report.write(all);
      } while (take_next_part(all));
    } catch (...) {
      failure = std::current_exception();
    }
    arch::tsan_ignore_end();
  }
};

}  // namespace

RUNNEL_NOINLINE std::string report_of(selection which, bool with_caller) {
  const auto d = std::make_unique<dump>();
  take_current(d->caller);
  d->which = which;
  d->which.except = &d->caller;
  d->with_caller = with_caller;
  // A thread of its own has stack enough for the reading of debug information and for
  // demangling; a goroutine may have little left.
  try {
    std::thread(&dump::write, d.get()).join();
  } catch (const std::system_error&) {
    d->write();
  }
  if (d->failure != nullptr) std::rethrow_exception(d->failure);
  return std::move(d->text);
}

}  // namespace runnel::debug

namespace runnel {

void dump_goroutines(std::ostream& out) { out << debug::report_of({}, true); }

}  // namespace runnel
