// The fixture that every test of the library uses.
//
//   RUNNEL_TEST(chan, close_wakes_all) { ... }          body on a goroutine (through runnel::run)
//   RUNNEL_TEST_THREAD(chan, plain_sender) { ... }      body on the plain main thread
//   RUNNEL_TEST_BOTH(chan, fifo) { ... }                both
//
// Each registers the body once for max_procs 1, 2 and 8, as `chan.close_wakes_all/p1` and so on
// (`/p1_thread` on the plain thread). At its end the test fails if goroutines begun in it are
// still alive after a grace period, with a dump of them. A test that does not end within its
// deadline (60 s; 300 s under a sanitizer) has its goroutines dumped and the program killed.
//
// A suite name may not be shared with a plain TEST(): GoogleTest allows one fixture per suite.
// EXPECT_* and ASSERT_* may be used on any goroutine and thread; SCOPED_TRACE is kept by the OS
// thread, so it must not span anything that can park.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <runnel/diag.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <string>

#if defined(__SANITIZE_THREAD__)
#define RUNNEL_TEST_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define RUNNEL_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RUNNEL_TEST_TSAN 1
#elif __has_feature(address_sanitizer)
#define RUNNEL_TEST_ASAN 1
#endif
#endif
#ifndef RUNNEL_TEST_TSAN
#define RUNNEL_TEST_TSAN 0
#endif
#ifndef RUNNEL_TEST_ASAN
#define RUNNEL_TEST_ASAN 0
#endif

namespace runnel_test {

inline constexpr bool under_sanitizer = RUNNEL_TEST_TSAN != 0 || RUNNEL_TEST_ASAN != 0;

// By qemu-user; see CMakeLists.txt.
#if defined(RUNNEL_TEST_EMULATED)
inline constexpr bool emulated = true;
#else
inline constexpr bool emulated = false;
#endif

// How often a loop runs: n, or a tenth of it (at least one) where every step costs ten times more.
constexpr int rounds(int n) { return under_sanitizer || emulated ? (n + 9) / 10 : n; }

// How many goroutines a crowd has: n, or fewer where each of them makes every atomic operation of
// all the others dearer (the vector clocks of GCC 12's ThreadSanitizer). Still more than a
// processor's own queue can take.
constexpr int crowd(int n, int most = 600) { return RUNNEL_TEST_TSAN != 0 && n > most ? most : n; }

// How long something that must happen may take before a test gives it up. Generous on purpose:
// such a bound only turns a hang into a failure, nothing is measured by it.
std::chrono::milliseconds patience(std::chrono::milliseconds normal = std::chrono::seconds(10));

// Waits, asleep between looks, until `cond()` is true; false if it never was within `limit`.
bool eventually(const std::function<bool()>& cond, std::chrono::milliseconds limit = patience());

// what() of the panic that f throws; "no panic" if it returns.
std::string panic_text(const std::function<void()>& f);

// Lets other goroutines and threads go ahead, often enough that whoever can reach its next park
// point will have reached it on an idle machine. For provoking an interleaving, never for
// relying on one.
void let_others_run();

// Replaces the deadline of the test that is running, counted from now.
void set_deadline(std::chrono::seconds limit);

// All goroutines as runnel::dump_goroutines writes them.
std::string goroutine_dump();

enum class place { goroutine, thread, both };

// Registers `body` with GoogleTest as described above; for the macros below.
bool add_test(const char* suite, const char* name, const char* file, int line, void (*body)(),
              place where);

}  // namespace runnel_test

#define RUNNEL_TEST_AT(Suite, Name, Place)                                                     \
  static void Suite##_##Name##_body();                                                         \
  [[maybe_unused]] static const bool Suite##_##Name##_added = ::runnel_test::add_test(         \
      #Suite, #Name, __FILE__, __LINE__, &Suite##_##Name##_body, ::runnel_test::place::Place); \
  static void Suite##_##Name##_body()

#define RUNNEL_TEST(Suite, Name) RUNNEL_TEST_AT(Suite, Name, goroutine)
#define RUNNEL_TEST_THREAD(Suite, Name) RUNNEL_TEST_AT(Suite, Name, thread)
#define RUNNEL_TEST_BOTH(Suite, Name) RUNNEL_TEST_AT(Suite, Name, both)
