// Rate limiting: a ticker spaces work evenly, a token bucket lets a burst through and then the
// average.
#include <atomic>
#include <chrono>
#include <iostream>
#include <runnel/runnel.hpp>
#include <string_view>

using namespace std::chrono_literals;
using std::chrono::steady_clock;

void evenly_by_ticker() {
  const auto begin = steady_clock::now();
  runnel::ticker ticker(10ms);
  for (int request = 1; request <= 5; ++request) {
    ticker.c().recv();
    std::cout << "request " << request << '\n';
  }
  std::cout << "5 in 50 ms or more: " << std::boolalpha << (steady_clock::now() - begin >= 50ms)
            << '\n';
}

// The bucket begins full. One token an hour: within this program it is never refilled.
void in_bursts() {
  runnel::rate_limiter limiter(runnel::every(1h), 3);
  std::cout << "burst:";
  for (int request = 1; request <= 5; ++request) std::cout << (limiter.allow() ? " yes" : " no");
  std::cout << '\n';
}

// wait sleeps until a token is there, and refuses at once where the context would end sooner.
void wait_for_a_token() {
  const auto begin = steady_clock::now();
  runnel::rate_limiter quick(runnel::every(10ms), 1);
  for (int i = 0; i < 4; ++i) quick.wait(runnel::background());
  std::cout << "4 waits in 30 ms or more: " << (steady_clock::now() - begin >= 30ms) << '\n';

  runnel::rate_limiter slow(runnel::every(1h), 1);
  auto [ctx, cancel] = runnel::with_timeout(runnel::background(), 1min);
  slow.wait(ctx);
  std::cout << "refused: " << std::boolalpha << bool(slow.wait(ctx))
            << ", and still alive: " << !ctx.err() << '\n';
}

int allowed_of_nine(bool one_for_all) {
  runnel::rate_limiter shared(runnel::every(1h), 3);
  std::atomic<int> allowed = 0;
  runnel::wait_group wg;
  for (int worker = 0; worker < 3; ++worker) {
    wg.go([&] {
      runnel::rate_limiter own(runnel::every(1h), 3);
      for (int request = 0; request < 3; ++request) {
        if ((one_for_all ? shared : own).allow()) ++allowed;
      }
    });
  }
  wg.wait();
  return allowed;
}

// The mistake: a limiter for each worker limits each worker, not the whole.
void one_limiter_each() {
  std::cout << "one limiter for all: " << allowed_of_nine(true) << " of 9\n";
  std::cout << "one limiter each: " << allowed_of_nine(false) << " of 9\n";
}

int main() {
  evenly_by_ticker();
  in_bursts();
  wait_for_a_token();
  one_limiter_each();
}
