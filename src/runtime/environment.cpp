#include "runtime/environment.hpp"

#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/scheduler.hpp"

namespace runnel::runtime {
namespace {

/// Nothing for what is no number, or one beyond all use.
std::optional<unsigned> number(std::string_view text) noexcept {
  unsigned n = 0;
  if (text.empty()) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9' || n > 10'000'000) return std::nullopt;
    n = n * 10 + static_cast<unsigned>(c - '0');
  }
  return n;
}

/// Of an item of RUNNEL_DEBUG; 0, and a line about it, if it has none.
unsigned number_of(std::string_view item, std::string_view value) noexcept {
  const std::optional<unsigned> n = number(value);
  if (!n.has_value()) {
    std::fprintf(stderr, "runnel: RUNNEL_DEBUG: no number in \"%.*s\"; ignored\n",
                 static_cast<int>(item.size()), item.data());
  }
  return n.value_or(0);
}

/// First line of a small file; empty if it cannot be read.
std::string first_line(const std::string& path) {
  std::string line;
  if (std::FILE* f = std::fopen(path.c_str(), "re")) {
    char text[512];
    if (std::fgets(text, sizeof text, f) != nullptr) line = text;
    std::fclose(f);
  }
  return line;
}

/// CPUs that quota per period amount to; 0: unlimited or unreadable.
double cpus_of(double quota, double period) noexcept {
  return quota > 0 && period > 0 ? quota / period : 0;
}

double smaller(double a, double b) noexcept { return a == 0 ? b : b == 0 || a < b ? a : b; }

/// cgroup v2: cpu.max of the group and of all above it, "QUOTA PERIOD" or "max PERIOD".
double quota_v2(const std::string& group) {
  double limit = 0;
  for (std::string path = group;;) {
    const std::string line = first_line("/sys/fs/cgroup" + path + "/cpu.max");
    double quota = 0;
    double period = 0;
    if (std::sscanf(line.c_str(), "%lf %lf", &quota, &period) == 2) {
      limit = smaller(limit, cpus_of(quota, period));
    }
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos || path.size() <= 1) break;
    path.resize(slash);
  }
  return limit;
}

double quota_v1(const std::string& group) {
  for (const char* root : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
    for (const std::string& path : {std::string(root) + group, std::string(root)}) {
      const double quota = std::atof(first_line(path + "/cpu.cfs_quota_us").c_str());
      const double period = std::atof(first_line(path + "/cpu.cfs_period_us").c_str());
      if (const double cpus = cpus_of(quota, period); cpus != 0) return cpus;
    }
  }
  return 0;
}

double cgroup_quota() {
  double limit = 0;
  std::FILE* f = std::fopen("/proc/self/cgroup", "re");
  if (f == nullptr) return 0;
  char text[1024];
  while (std::fgets(text, sizeof text, f) != nullptr) {
    text[std::strcspn(text, "\n")] = '\0';
    const char* controllers = std::strchr(text, ':');
    const char* group = controllers != nullptr ? std::strchr(controllers + 1, ':') : nullptr;
    if (group == nullptr) continue;
    const std::string_view names(controllers + 1,
                                 static_cast<std::size_t>(group - controllers - 1));
    if (names.empty()) limit = smaller(limit, quota_v2(group + 1));
    if (names.find("cpu") == 0 && names.find("cpuset") != 0)
      limit = smaller(limit, quota_v1(group + 1));
  }
  std::fclose(f);
  return limit;
}

}  // namespace

environment read_environment() noexcept {
  environment env;
  if (const char* procs = std::getenv("RUNNEL_MAXPROCS")) {
    env.max_procs = number(procs).value_or(0);
    if (env.max_procs == 0 && *procs != '\0') {
      std::fprintf(stderr, "runnel: RUNNEL_MAXPROCS=%s is not a positive number; ignored\n", procs);
    }
  }
  const char* debug = std::getenv("RUNNEL_DEBUG");
  std::string_view rest = debug != nullptr ? debug : "";
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(item.size() < rest.size() ? item.size() + 1 : item.size());
    const std::string_view key = item.substr(0, item.find('='));
    const std::string_view value = key.size() < item.size() ? item.substr(key.size() + 1) : "1";
    if (key == "schedtrace") {
      env.schedtrace_ms = number_of(item, value);
    } else if (key == "chaos") {
      env.chaos = value != "0";
    } else if (key == "traceback") {
      env.traceback_all = value == "all";
    } else if (key == "stacklimit") {
      env.stack_limit_mib = number_of(item, value);
    } else if (key == "ignorethreads") {
      env.ignore_threads = value != "0";
    } else {
      std::fprintf(stderr, "runnel: RUNNEL_DEBUG: unknown item \"%.*s\"; ignored\n",
                   static_cast<int>(item.size()), item.data());
    }
  }
  return env;
}

unsigned available_cpus() noexcept {
  // Machines with more CPUs than cpu_set_t has bits make the first call fail with EINVAL.
  for (std::size_t cpus = 1024; cpus <= 1U << 16; cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) return 1;
    const std::size_t size = CPU_ALLOC_SIZE(cpus);
    const bool ok = sched_getaffinity(0, size, set) == 0;
    const int n = ok ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (n > 0) return static_cast<unsigned>(n);
  }
  return 1;
}

unsigned default_max_procs() noexcept {
  const unsigned cpus = available_cpus();
  try {
    const double quota = cgroup_quota();
    if (quota > 0 && quota < cpus) {
      const auto whole = static_cast<unsigned>(quota);
      return whole < quota ? whole + 1 : whole;
    }
  } catch (const std::bad_alloc&) {
    return cpus;
  }
  return cpus;
}

}  // namespace runnel::runtime
