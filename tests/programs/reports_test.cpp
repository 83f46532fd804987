// Runs the programs of this directory and compares what they do with NAME.MODE.expected: the exit
// status, stdout and stderr, to the letter where they are not allowed to vary.
//
// An .expected file holds `key: value` lines (status; args, which replace MODE; env, any number;
// signal, sent after 300 ms (emulated, 3 s); repeat, how often to run it; within, milliseconds it
// may take), then the sections `stdout:` and `stderr:`. A section that
// is absent is not looked at. A key or section with a suffix counts only there and replaces the one
// without: .race, .asan, .clang (compiled by), .emulated (by qemu-user). In a section
//   <n>     stands for a decimal number, <*> for anything within the line,
//   ...     alone on a line for any number of whole lines.
// Each file is a test of its own, with RUNNEL_MAXPROCS 1, 2 and 8 unless its env sets that.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/program.hpp"
#include "support/test.hpp"

namespace fs = std::filesystem;
using runnel_test::emulated;
using runnel_test::program_options;
using runnel_test::program_result;

namespace {

#if defined(__clang__)
constexpr bool clang = true;
#else
constexpr bool clang = false;
#endif

/// What a key or section of an .expected file says for this build: its name without the suffix;
/// empty if it is for another build.
std::string name_here(const std::string& name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos) return name;
  const std::map<std::string, bool> builds{{"race", RUNNEL_TEST_TSAN != 0},
                                           {"asan", RUNNEL_TEST_ASAN != 0},
                                           {"clang", clang},
                                           {"emulated", emulated}};
  return builds.at(name.substr(dot + 1)) ? name.substr(0, dot) : "";
}

struct expectation {
  std::string program;
  std::vector<std::string> args;
  std::vector<std::string> env;
  int status = 0;
  int signal = 0;
  int repeat = 1;
  int within_ms = 0;
  bool has_out = false;
  bool has_err = false;
  std::vector<std::string> out;
  std::vector<std::string> err;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

void read_header_line(expectation& e, const std::string& key, const std::string& value) {
  if (key == "status")
    e.status = std::stoi(value);
  else if (key == "args")
    e.args = words_of(value);
  else if (key == "env")
    e.env.push_back(value);
  else if (key == "signal")
    e.signal = std::stoi(value);
  else if (key == "repeat")
    e.repeat = std::stoi(value);
  else if (key == "within")
    e.within_ms = std::stoi(value);
  else
    throw std::runtime_error("unknown key: " + key);
}

bool reports_deadlock(const expectation& e) {
  return !e.err.empty() && e.err[0].starts_with("fatal error: all goroutines are asleep");
}

expectation read_expectation(const fs::path& file) {
  expectation e;
  const std::string stem = file.stem().string();
  const std::size_t dot = stem.find('.');
  e.program = stem.substr(0, dot);
  if (dot != std::string::npos) e.args = {stem.substr(dot + 1)};
  std::ifstream in(file);
  std::vector<std::string>* section = nullptr;
  std::vector<std::string> ignored;
  for (std::string line; std::getline(in, line);) {
    const bool heads = !line.empty() && line.back() == ':' && line.compare(0, 3, "std") == 0;
    if (heads) {
      const std::string name = name_here(line.substr(0, line.size() - 1));
      section = name == "stdout" ? &e.out : name == "stderr" ? &e.err : &ignored;
      section->clear();  // what is said for this build comes after what is said for all
      if (section == &e.out) e.has_out = true;
      if (section == &e.err) e.has_err = true;
    } else if (section != nullptr) {
      section->push_back(line);
    } else if (!line.empty() && line[0] != '#') {
      const std::size_t colon = line.find(": ");
      const std::string name = name_here(line.substr(0, colon));
      if (!name.empty()) read_header_line(e, name, line.substr(colon + 2));
    }
  }
  // The emulator has threads of its own, which for all the library knows may wake somebody.
  if (emulated && reports_deadlock(e)) e.env.emplace_back("RUNNEL_DEBUG=ignorethreads=1");
  return e;
}

// Whether a line matches a pattern with <n> and <*>.
bool line_matches(std::string_view pattern, std::string_view line) {
  if (pattern.empty()) return line.empty();
  if (pattern.substr(0, 3) == "<*>") {
    for (std::size_t skip = 0; skip <= line.size(); ++skip) {
      if (line_matches(pattern.substr(3), line.substr(skip))) return true;
    }
    return false;
  }
  if (pattern.substr(0, 3) == "<n>") {
    const std::size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
    return digits > 0 && line_matches(pattern.substr(3), line.substr(digits));
  }
  return !line.empty() && line[0] == pattern[0] && line_matches(pattern.substr(1), line.substr(1));
}

using line_range = std::vector<std::string>;

// Whether lines match patterns with "..." among them, both from the given positions on.
bool lines_match(const line_range& patterns, std::size_t p, const line_range& lines,
                 std::size_t l) {
  for (; p < patterns.size(); ++p, ++l) {
    if (patterns[p] == "...") {
      for (std::size_t next = l; next <= lines.size(); ++next) {
        if (lines_match(patterns, p + 1, lines, next)) return true;
      }
      return false;
    }
    if (l == lines.size() || !line_matches(patterns[p], lines[l])) return false;
  }
  return l == lines.size();
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + '\n';
  return text;
}

// Sanitizers and emulators add to how long a start takes, not to what is reported.
std::chrono::milliseconds allowed(int ms) {
  return std::chrono::milliseconds(ms) * (runnel_test::under_sanitizer ? 10 : 1) +
         std::chrono::milliseconds(std::getenv("RUNNEL_TEST_SLOWNESS") != nullptr ? 10'000 : 0);
}

void check(const expectation& e, const program_result& r) {
  const std::string all = "\n--- stdout\n" + r.out + "--- stderr\n" + r.err + "---";
  EXPECT_FALSE(r.timed_out) << "killed after " << r.took.count() << " ms" << all;
  EXPECT_EQ(r.status, e.status) << all;
  if (e.has_out) {
    EXPECT_TRUE(lines_match(e.out, 0, lines_of(r.out), 0)) << "stdout is not\n"
                                                           << joined(e.out) << "but" << all;
  }
  if (e.has_err) {
    EXPECT_TRUE(lines_match(e.err, 0, lines_of(r.err), 0)) << "stderr is not\n"
                                                           << joined(e.err) << "but" << all;
  }
  if (e.within_ms > 0) {
    EXPECT_LE(r.took, allowed(e.within_ms)) << all;
  }
}

class report_test : public ::testing::Test {
 public:
  // procs 0: the expectation itself says how many
  report_test(fs::path file, int procs) : file_(std::move(file)), procs_(procs) {}

 private:
  void TestBody() override {
    const expectation e = read_expectation(file_);
    program_options options;
    options.env = e.env;
    if (procs_ > 0) options.env.push_back("RUNNEL_MAXPROCS=" + std::to_string(procs_));
    options.signal = e.signal;
    options.signal_after = std::chrono::milliseconds(emulated ? 3000 : 300);
    for (int i = 0; i < runnel_test::rounds(e.repeat) && !HasFailure(); ++i) {
      check(e, runnel_test::run_program(runnel_test::program_path(e.program), e.args, options));
    }
  }

  fs::path file_;
  int procs_;
};

void add_one(const fs::path& file, const std::string& suffix, int procs) {
  const std::string stem = file.stem().string();
  const std::size_t dot = stem.find('.');
  const std::string mode = dot == std::string::npos ? "run" : stem.substr(dot + 1);
  ::testing::RegisterTest(stem.substr(0, dot).c_str(), (mode + suffix).c_str(), nullptr, nullptr,
                          __FILE__, __LINE__,
                          [=]() -> report_test* { return new report_test(file, procs); });
}

bool register_all() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(RUNNEL_TEST_EXPECTATIONS)) {
    if (entry.path().extension() == ".expected") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const auto env = read_expectation(file).env;
    if (std::any_of(env.begin(), env.end(),
                    [](const std::string& v) { return v.rfind("RUNNEL_MAXPROCS=", 0) == 0; })) {
      add_one(file, "", 0);
      continue;
    }
    for (const int procs : {1, 2, 8}) add_one(file, "/p" + std::to_string(procs), procs);
  }
  return !files.empty();
}

const bool registered = register_all();

}  // namespace

TEST(reports, there_are_expectations_and_the_matcher_discriminates) {
  EXPECT_TRUE(registered);
  EXPECT_TRUE(line_matches("goroutine <n> [running]:", "goroutine 17 [running]:"));
  EXPECT_FALSE(line_matches("goroutine <n> [running]:", "goroutine x [running]:"));
  EXPECT_FALSE(line_matches("goroutine <n> [running]:", "goroutine 17 [running]: "));
  EXPECT_TRUE(line_matches("a<*>c", "abbbc"));
  EXPECT_FALSE(line_matches("a<*>c", "abbb"));
  EXPECT_TRUE(lines_match({"a", "...", "b"}, 0, {"a", "x", "y", "b"}, 0));
  EXPECT_TRUE(lines_match({"a", "...", "b"}, 0, {"a", "b"}, 0));
  EXPECT_FALSE(lines_match({"a", "...", "b"}, 0, {"a", "x"}, 0));
  EXPECT_FALSE(lines_match({"a"}, 0, {"a", "b"}, 0));
}
