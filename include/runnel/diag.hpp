// Diagnostics: what all goroutines are doing, which of them leaked, what an uncaught exception
// does.
//
// Always compiled in, free until used. Reports have Go's format:
//
//   goroutine 7 "name" [chan receive, 2 minutes]:
//   worker(...)
//           /home/me/main.cpp:12 +0x1f
//   created by main in goroutine 1
//           /home/me/main.cpp:30 +0x8c
//
// Functions, files and lines come from libdw (package libdw1), if it is installed, and the
// program's debug information; without either, from what the dynamic linker knows. Frames of the
// library are left out unless the environment has RUNNEL_DEBUG=traceback=all.
//
// Unless the program handles it, SIGQUIT (control-backslash) writes such a report to standard error
// and ends the program with status 2.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <runnel/detail/config.hpp>
#include <runnel/detail/on_panic.hpp>
#include <vector>

namespace runnel {

/// Writes the state and stack of the caller, of all other goroutines and of plain threads blocked
/// in the library, while the program goes on: each stack is that of a moment, not all of the same
/// one. In the order of their ids; of more than 10 000 goroutines the oldest 10 000 are shown and
/// the rest counted, as in every report. Takes milliseconds; with much debug information to read,
/// seconds. Threads running goroutines are
/// interrupted by a real-time signal to have their stacks: system calls that cannot be restarted,
/// such as poll and nanosleep, may end with EINTR there. Throws std::bad_alloc, and what `out`
/// throws. Go: runtime.Stack(buf, true).
RUNNEL_API void dump_goroutines(std::ostream& out);

/// Finds goroutines that outlive a scope. What was begun after its construction, by anybody, and is
/// alive when the scope ends, is given a grace period to end; what then remains is reported to
/// standard error with state and stack. Go: go.uber.org/goleak.
///
///   { runnel::leak_check check; serve_for_a_while(); EXPECT_EQ(check.leaked(), 0); }
class RUNNEL_API leak_check {
 public:
  /// O(goroutines alive). Throws std::bad_alloc.
  explicit leak_check(std::chrono::milliseconds grace = std::chrono::milliseconds(100));
  /// As leaked(). Does not throw: what cannot be had for want of memory is left out.
  ~leak_check();
  leak_check(const leak_check&) = delete;
  leak_check& operator=(const leak_check&) = delete;

  /// How many are alive that were begun in the scope, the caller not counted. Returns as soon as
  /// there are none, else after the grace period. The first call that finds some reports them;
  /// later ones, and the destructor, do not report again.
  std::size_t leaked();

 private:
  std::size_t count() const;

  std::chrono::milliseconds grace_;
  std::vector<std::uint64_t> before_;  // ids alive at the construction, sorted
  bool reported_ = false;
};

}  // namespace runnel
