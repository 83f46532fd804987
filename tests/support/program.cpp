#include "program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "test.hpp"

extern char** environ;

namespace runnel_test {
namespace {

using clock = std::chrono::steady_clock;

[[noreturn]] void throw_errno(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

struct pipe_pair {
  pipe_pair() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) throw_errno(errno, "pipe2");
    read_end = fds[0];
    write_end = fds[1];
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  ~pipe_pair() {
    close_end(read_end);
    close_end(write_end);
  }
  static void close_end(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  int read_end;
  int write_end;
};

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> result;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string entry = *e;
    const std::string name = entry.substr(0, entry.find('=') + 1);
    bool replaced = false;
    for (const auto& x : extra) replaced = replaced || x.compare(0, name.size(), name) == 0;
    if (!replaced) result.push_back(entry);
  }
  result.insert(result.end(), extra.begin(), extra.end());
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

pid_t start(const std::string& path, const std::vector<std::string>& args,
            const program_options& options, const pipe_pair& out, const pipe_pair& err) {
  std::vector<std::string> argument_strings{path};
  argument_strings.insert(argument_strings.end(), args.begin(), args.end());
  std::vector<std::string> environment_strings = merged_environment(options.env);
  std::vector<char*> argv = pointers(argument_strings);
  std::vector<char*> envp = pointers(environment_strings);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write_end, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write_end, STDERR_FILENO);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, path.c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw_errno(error, "posix_spawn " + path);
  return pid;
}

// Reads what is there; false at the end of the file.
bool drain(int fd, std::string& into) {
  std::array<char, 65536> buffer;
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) into.append(buffer.data(), static_cast<std::size_t>(n));
  return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

// Collects both streams until the program has closed them, sending the signal and killing at
// the times asked for.
void collect(pid_t pid, pipe_pair& out, pipe_pair& err, clock::time_point began,
             const program_options& options, program_result& result) {
  const auto limit = options.limit.count() > 0 ? options.limit : patience(std::chrono::seconds(30));
  bool signal_due = options.signal != 0;
  while (out.read_end >= 0 || err.read_end >= 0) {
    const auto elapsed = clock::now() - began;
    if (signal_due && elapsed >= options.signal_after) {
      ::kill(pid, options.signal);
      signal_due = false;
    }
    if (elapsed > limit && !result.timed_out) {
      result.timed_out = true;
      ::kill(pid, SIGKILL);
    }
    std::array<pollfd, 2> fds{pollfd{out.read_end, POLLIN, 0}, pollfd{err.read_end, POLLIN, 0}};
    ::poll(fds.data(), fds.size(), 10);
    if (fds[0].revents != 0 && !drain(out.read_end, result.out)) {
      pipe_pair::close_end(out.read_end);
    }
    if (fds[1].revents != 0 && !drain(err.read_end, result.err)) {
      pipe_pair::close_end(err.read_end);
    }
  }
}

}  // namespace

program_result run_program(const std::string& path, const std::vector<std::string>& args,
                           const program_options& options) {
  pipe_pair out;
  pipe_pair err;
  const auto began = clock::now();
  const pid_t pid = start(path, args, options, out, err);
  pipe_pair::close_end(out.write_end);
  pipe_pair::close_end(err.write_end);

  program_result result;
  collect(pid, out, err, began, options, result);
  int wait_status = 0;
  while (::waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  result.took = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began);
  result.status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
  return result;
}

std::string program_path(const std::string& name) {
  namespace fs = std::filesystem;
  std::vector<fs::path> places;
  if (const char* dir = std::getenv("RUNNEL_TEST_PROGRAM_DIR")) places.emplace_back(dir);
#ifdef RUNNEL_TEST_PROGRAM_DIR
  places.emplace_back(RUNNEL_TEST_PROGRAM_DIR);
#endif
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  places.insert(places.end(), {here, here / "programs", here.parent_path() / "programs"});
  for (const auto& place : places) {
    if (fs::exists(place / name)) return (place / name).string();
  }
  throw std::runtime_error("no test program " + name + "; built beside " + here.string() + "?");
}

}  // namespace runnel_test
