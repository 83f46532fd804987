// dump MODE: waits to be sent SIGQUIT.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <string>

using namespace std::chrono_literals;
using runnel::chan;

[[gnu::noinline]] void parked_in_here(const chan<int>& c) {
  c.recv();
  asm volatile("");
}

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const chan<int> c;
  if (mode == "parked") {
    runnel::go({.name = "receiver"}, [c] { parked_in_here(c); });
    runnel::go({.name = "sleeper"}, [] { runnel::sleep_for(1h); });
    c.send(0);  // the receiver is there
    runnel::go({.name = "receiver 2"}, [c] { parked_in_here(c); });
    for (;;) ::pause();
  }
  if (mode == "main_receives") {
    runnel::go({.name = "sleeper"}, [] { runnel::sleep_for(1h); });
    c.recv();
  }
  if (mode == "hogs") {
    for (int i = 0; i < 4; ++i) {
      runnel::go({.name = "hog"}, [] {
        for (volatile bool stop = false; !stop;) {
        }
      });
    }
    runnel::sleep_for(1h);
  }
  return 64;
}
