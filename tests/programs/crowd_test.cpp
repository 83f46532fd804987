// Reports of many goroutines: all are shown, in the order of their ids, up to a number that nobody
// reads to the end; beyond that the rest is counted.
#include <gtest/gtest.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "support/program.hpp"
#include "support/test.hpp"

namespace {

struct crowd_report {
  std::vector<std::uint64_t> ids;  // in the order shown
  int stacks = 0;                  // of those in receive_here
  std::string elided;
};

auto run_crowd(const std::string& mode) {
  runnel_test::program_options options;
  options.limit = runnel_test::patience(std::chrono::seconds(60));
  // The emulator has threads of its own, which for all the library knows may wake somebody.
  if (runnel_test::emulated) options.env = {"RUNNEL_DEBUG=ignorethreads=1"};
  return runnel_test::run_program(runnel_test::program_path("diag_reports"), {mode}, options);
}

crowd_report report_of(const std::string& mode) {
  const auto r = run_crowd(mode);
  EXPECT_EQ(r.status, 2) << r.err;
  crowd_report report;
  std::istringstream in(r.err);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("goroutine ")) report.ids.push_back(std::stoull(line.substr(10)));
    if (line == "receive_here(...)") ++report.stacks;
    if (line.ends_with(" goroutines elided...")) report.elided = line;
  }
  return report;
}

void expect_ascending(const std::vector<std::uint64_t>& ids) {
  for (std::size_t i = 1; i < ids.size(); ++i) ASSERT_LT(ids[i - 1], ids[i]);
}

}  // namespace

TEST(crowd, all_are_shown) {
  const crowd_report report = report_of("many_goroutines");
  EXPECT_EQ(report.ids.size(), 300U);
  EXPECT_EQ(report.stacks, 300);
  EXPECT_EQ(report.elided, "");
  expect_ascending(report.ids);
}

#if RUNNEL_TEST_TSAN

// ThreadSanitizer, like Go's race detector, ends a program of so many itself; not silently, and no
// report of ours is left half-way.
TEST(crowd, more_than_thread_sanitizer_has_room_for) {
  const auto r = run_crowd("more_goroutines_than_are_shown");
  EXPECT_EQ(r.status, 66) << r.err;
  EXPECT_NE(r.err.find("ThreadSanitizer: Thread limit"), std::string::npos) << r.err;
  EXPECT_EQ(r.err.find("fatal error"), std::string::npos) << r.err;
}

#else

TEST(crowd, beyond_what_anybody_reads_they_are_counted) {
  const crowd_report report = report_of("more_goroutines_than_are_shown");
  EXPECT_EQ(report.ids.size(), 10'000U);
  EXPECT_EQ(report.stacks, 10'000);
  EXPECT_EQ(report.elided, "...3 goroutines elided...");
  expect_ascending(report.ids);
}

#endif
