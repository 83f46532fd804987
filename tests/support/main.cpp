// The test programs' main: GoogleTest's, with a deadline for every test.
//
// The deadline is an alarm(2), not a watchdog thread: a thread outside the library could in
// principle wake a goroutine, so its mere presence would keep the runtime from ever reporting
// a deadlock in the tests. The first alarm asks the runtime for its own dump (SIGQUIT, which
// ends the program with status 2); if even that does not come, the second one kills.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "test.hpp"

namespace {

// Written by the main thread before the alarm is set, read by the handler.
char running_test[512];
volatile std::sig_atomic_t alarms = 0;

void write_text(const char* text) {
  // Nothing can be done about a report that cannot be written.
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, text, std::strlen(text));
}

void on_alarm(int) {
  alarms = alarms + 1;
  if (alarms > 1) {
    write_text("\ntest deadline: no dump came either, aborting\n");
    std::abort();
  }
  write_text("\ntest deadline exceeded: ");
  write_text(running_test);
  write_text("\n");
  ::alarm(20);
  ::kill(::getpid(), SIGQUIT);
}

unsigned deadline_seconds() {
  const char* scale = std::getenv("RUNNEL_TEST_SLOWNESS");  // e.g. 10 under qemu-user
  const unsigned factor =
      scale != nullptr ? static_cast<unsigned>(std::strtoul(scale, nullptr, 10)) : 1U;
  return (runnel_test::under_sanitizer ? 300U : 60U) * (factor == 0 ? 1U : factor);
}

class deadline_listener : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo& test) override {
    std::snprintf(running_test, sizeof running_test, "%s.%s", test.test_suite_name(), test.name());
    alarms = 0;
    ::alarm(deadline_seconds());
  }
  void OnTestEnd(const ::testing::TestInfo&) override { ::alarm(0); }
};

}  // namespace

void runnel_test::set_deadline(std::chrono::seconds limit) {
  ::alarm(static_cast<unsigned>(limit.count()));
}

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  struct sigaction action = {};
  action.sa_handler = on_alarm;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGALRM, &action, nullptr);
  ::testing::UnitTest::GetInstance()->listeners().Append(new deadline_listener);
  return RUN_ALL_TESTS();
}
