// Runs another program and collects what it wrote, for tests of reports and exit statuses.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace runnel_test {

struct program_options {
  std::vector<std::string> env = {};     // "NAME=value", added to (or replacing) our environment
  std::chrono::milliseconds limit = {};  // killed after this; zero: the default patience
  int signal = 0;                        // sent `signal_after` the start, unless 0
  std::chrono::milliseconds signal_after = {};
};

struct program_result {
  std::string out;         // what it wrote to stdout
  std::string err;         // what it wrote to stderr
  int status = -1;         // exit status; 128 + n when signal n ended it, as a shell tells it
  bool timed_out = false;  // it had to be killed
  std::chrono::milliseconds took = {};
};

// Starts `path` with `args`, its stdin at end of file, and waits for it. Usable from any thread;
// blocks the OS thread. Throws std::system_error if the program cannot be started.
program_result run_program(const std::string& path, const std::vector<std::string>& args = {},
                           const program_options& options = {});

// The executable built from tests/programs/<name>.cpp. Looked for in $RUNNEL_TEST_PROGRAM_DIR, the
// macro of that name, beside the running test program and in `programs` there and one level up.
std::string program_path(const std::string& name);

}  // namespace runnel_test
