// Graceful shutdown: SIGINT or SIGTERM ends the intake; what has been taken is finished before the
// exit.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <runnel/runnel.hpp>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;

// Blocked before the runtime's first thread starts, so that every thread inherits it and only
// sigwait sees the signals. A handler could hardly do anything: it may neither lock nor send.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// The first signal ends the context. The second ends the process: someone has lost patience.
runnel::context until_signal(const sigset_t& signals) {
  auto [ctx, cancel] = runnel::with_cancel(runnel::background());
  runnel::go([signals, cancel = std::move(cancel)]() mutable {
    const auto next = [&] {
      int signal = 0;
      sigwait(&signals, &signal);
      return signal;
    };
    runnel::blocking(next);
    cancel();
    std::_Exit(128 + runnel::blocking(next));
  });
  return ctx;
}

// Takes requests until the context ends. Unless someone is there to press Ctrl-C, the program sends
// the signal to itself, as soon as three requests are in.
int take_requests(const runnel::context& ctx, const runnel::chan<int>& requests, bool someone) {
  int taken = 0;
  while (!ctx.err()) {
    runnel::select(runnel::on_send(requests, taken + 1, [&] { ++taken; }), runnel::on_done(ctx));
    if (!someone && taken == 3) kill(getpid(), SIGTERM), ctx.done().recv();
    if (someone) runnel::select(runnel::on_timeout(300ms), runnel::on_done(ctx));
  }
  return taken;
}

int main(int argc, char** argv) {
  const bool someone = argc > 1 && argv[1] == std::string_view("--wait");
  const runnel::context ctx = until_signal(block_signals());

  const runnel::chan<int> requests(8);
  std::atomic<int> finished = 0;
  runnel::wait_group workers;
  for (int w = 0; w < 2; ++w) {
    workers.go([&] {
      for ([[maybe_unused]] int request : requests) {
        runnel::sleep_for(50ms);  // the work; it is not cut short by the signal
        ++finished;
      }
    });
  }

  const int taken = take_requests(ctx, requests, someone);
  std::cout << "signal: no more requests\n";
  requests.close();

  const bool in_time = runnel::select(runnel::on_wait(workers), runnel::on_timeout(10s)) == 0;
  std::cout << "finished what was taken: " << std::boolalpha << (finished == taken) << '\n';
  return in_time ? EXIT_SUCCESS : EXIT_FAILURE;
}
