// limits MODE: what the environment and resource limits do.
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <new>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/time.hpp>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using runnel::chan;

namespace {

int procs() {
  std::printf("%d\n", runnel::max_procs());
  return 0;
}

// With a RUNNEL_MAXPROCS that is no number of processors: the default counts.
int procs_same_as_default() {
  std::printf("%d\n", runnel::max_procs());
  return runnel::max_procs() >= 1 && runnel::max_procs() <= runnel::num_cpu() ? 0 : 1;
}

int procs_on_one_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(sched_getcpu()), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) return 1;
  std::printf("%d %d\n", runnel::max_procs(), runnel::num_cpu());
  return 0;
}

std::size_t virtual_bytes() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * 4096;
}

// Unless RUNNEL_DEBUG=stacklimit=... takes the system's place: sanitizers cannot live with its
// limit themselves, and qemu-user keeps it from its guest.
void limit_address_space_to(std::size_t bytes) {
  if (std::getenv("RUNNEL_DEBUG") != nullptr) return;
  const rlimit limit{bytes, bytes};
  if (setrlimit(RLIMIT_AS, &limit) != 0) throw std::system_error(errno, std::generic_category());
}

// Begins goroutines that stay until go throws; then all of them end, and everything works again.
int address_space() {
  runnel::run([] {});
  limit_address_space_to(virtual_bytes() + (std::size_t{600} << 20));
  for (int round = 0; round < 3; ++round) {
    const chan<void> release;
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
    bool exhausted = false;
    while (!exhausted && begun < 10'000'000) {
      try {
        runnel::go([&] {
          release.recv();
          ++ended;
        });
        ++begun;
      } catch (const std::bad_alloc&) {
        exhausted = true;
      }
    }
    if (!exhausted || begun < 100) {
      std::printf("exhausted: %d after %d\n", exhausted ? 1 : 0, begun.load());
      return 1;
    }
    release.close();
    while (ended != begun) runnel::sleep_for(1ms);
    while (runnel::num_goroutine() != 0) runnel::sleep_for(1ms);
    // usable again: stacks are there once more
    const chan<int> c;
    for (int i = 0; i < 50; ++i) runnel::go([c, i] { c.send(i); });
    int sum = 0;
    for (int i = 0; i < 50; ++i) sum += *c.recv();
    if (sum != 50 * 49 / 2) return 2;
  }
  std::puts("OK");
  return 0;
}

// As above, by a goroutine that lets none of them begin until go has thrown: each that go has
// begun must have its stack then.
int burst_fills_address_space() {
  runnel::run([] {});
  limit_address_space_to(virtual_bytes() + (std::size_t{400} << 20));
  return runnel::run([] {
    const chan<void> release;
    const chan<int> parked(1 << 20);
    int begun = 0;
    try {
      for (; begun < 1 << 20; ++begun) {
        runnel::go([=] {
          parked.send(1);
          release.recv();
        });
      }
    } catch (const std::bad_alloc&) {
    }
    if (begun < 100 || begun == 1 << 20) return 1;
    for (int i = 0; i < begun; ++i) parked.recv();
    release.close();
    while (runnel::num_goroutine() != 1) runnel::sleep_for(1ms);
    std::puts("OK");
    return 0;
  });
}

// What goroutines of a burst were promised is for others when they have ended: of 256 stacks (of a
// limit of 64 MiB) nearly all can be had. A relief of this processor, which a busy machine or a
// sanitizer brings about, keeps up to 192 for itself: hence some tries for one without.
int after_a_burst() {
  const auto stacks_to_be_had = [] {
    int parked = 0;
    const chan<void> release;
    try {
      for (int round = 0; round < 3; ++round) {
        try {
          for (int i = 0; i < 200; ++i) runnel::go([] {});
        } catch (const std::bad_alloc&) {
          if (runnel::stats().relieved == 0) return 0;
        }
        while (runnel::num_goroutine() != 1) runnel::yield();
      }
      for (; parked < 1000; ++parked) runnel::go({.name = "named"}, [=] { release.recv(); });
    } catch (const std::bad_alloc&) {
    }
    release.close();
    while (runnel::num_goroutine() != 1) runnel::sleep_for(1ms);
    return parked;
  };
  int begun = 0;
  int least = 50;
  for (int tries = 0; tries < 4 && least != 250; ++tries) {
    const std::uint64_t relieved = runnel::stats().relieved;
    begun = runnel::run(stacks_to_be_had);
    if (runnel::stats().relieved == relieved) least = 250;
    runnel::sleep_for(100ms);  // by then the relief has retired
  }
  std::puts(begun >= least && begun <= 256 ? "OK" : std::to_string(begun).c_str());
  return 0;
}

// What was to run in the goroutine is destroyed when go fails.
int failed_go_keeps_nothing() {
  runnel::run([] {});
  limit_address_space_to(virtual_bytes() + (std::size_t{400} << 20));
  const chan<void> release;
  const auto token = std::make_shared<int>(0);
  try {
    for (;;) runnel::go([release, token] { release.recv(); });
  } catch (const std::bad_alloc&) {
  }
  const auto holders = [&] { return static_cast<std::size_t>(token.use_count()) - 1; };
  // Who is about to begin holds it twice: a captured const cannot be moved, it is copied.
  for (int i = 0; holders() != runnel::num_goroutine() && i < 10'000; ++i) runnel::sleep_for(1ms);
  std::printf("%s\n", holders() == runnel::num_goroutine() ? "OK" : "leaked");
  release.close();
  while (runnel::num_goroutine() != 0) runnel::sleep_for(1ms);
  return token.use_count() == 1 ? 0 : 1;
}

// More than the largest stack there is, and one for which there is no room.
int huge_stack() {
  const auto token = std::make_shared<int>(0);
  for (const std::size_t size : {~std::size_t{0}, std::size_t{1} << 40, std::size_t{1} << 33}) {
    try {
      runnel::go({.stack_size = size}, [token] {});
      std::printf("a stack of %zu bytes?\n", size);
    } catch (const std::bad_alloc&) {
    }
  }
  std::printf("%ld\n", token.use_count());
  return 0;
}

// No thread can be made any more: blocking calls queue up instead of failing.
int threads() {
  runnel::run([] {});
  const rlimit limit{0, 0};
  if (setrlimit(RLIMIT_NPROC, &limit) != 0) return 1;
  std::atomic<int> done{0};
  for (int i = 0; i < 50; ++i) {
    runnel::go([&] {
      runnel::blocking([] { std::this_thread::sleep_for(1ms); });
      ++done;
    });
  }
  while (done != 50) runnel::sleep_for(1ms);
  std::puts("OK");
  return 0;
}

int huge_channel() {
  int caught = 0;
  try {
    const chan<char> c(std::size_t{1} << 50);
  } catch (const std::bad_alloc&) {
    ++caught;
  } catch (const runnel::panic&) {
    ++caught;
  }
  std::printf("%d\n", caught);
  return 0;
}

// Busy by the CPU's time: at least 0.4 s by the clock, with two CPUs.
int busy_for_a_moment() {
  const chan<int> c;
  for (int i = 0; i < 4; ++i) {
    runnel::go([c] {
      while (std::clock() < CLOCKS_PER_SEC * 4 / 5) runnel::yield();
      c.send(1);
    });
  }
  for (int i = 0; i < 4; ++i) c.recv();
  std::puts("OK");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, int (*)()> modes{
      {"procs", procs},
      {"procs_same_as_default", procs_same_as_default},
      {"procs_on_one_cpu", procs_on_one_cpu},
      {"address_space", address_space},
      {"burst_fills_address_space", burst_fills_address_space},
      {"after_a_burst", after_a_burst},
      {"failed_go_keeps_nothing", failed_go_keeps_nothing},
      {"huge_stack", huge_stack},
      {"threads", threads},
      {"huge_channel", huge_channel},
      {"busy_for_a_moment", busy_for_a_moment},
  };
  const auto mode = modes.find(argc > 1 ? argv[1] : "");
  if (mode == modes.end()) return 64;
  return mode->second();
}
