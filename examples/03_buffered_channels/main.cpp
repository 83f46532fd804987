// Buffered channels: a send waits only while the buffer is full; what was sent before close still
// arrives.
#include <atomic>
#include <iostream>
#include <runnel/runnel.hpp>
#include <string_view>

void fill_and_drain() {
  runnel::chan<int> box(3);
  for (int i = 1; i <= 3; ++i) box.send(i);  // no receiver yet, and none is needed
  std::cout << "buffered: " << box.size() << " of " << box.capacity() << '\n';

  const bool full = box.try_send(4) == runnel::chan_status::would_block;
  std::cout << "a fourth would block: " << std::boolalpha << full << '\n';

  box.close();
  for (int i : box) std::cout << "drained: " << i << '\n';
}

// A buffer of two is a semaphore: a value in it is a permit taken.
void two_at_a_time() {
  const runnel::chan<void> permits(2);
  runnel::wait_group wg;
  std::atomic<int> working = 0, worked = 0;
  std::atomic<bool> crowded = false;
  for (int i = 0; i < 100; ++i) {
    wg.go([&] {
      permits.send();
      const runnel::defer give_back{[&] { permits.recv(); }};
      if (++working > 2) crowded = true;
      runnel::yield();
      ++worked;
      --working;
    });
  }
  wg.wait();
  std::cout << worked << " worked, more than two at once: " << crowded << '\n';
}

// The mistake: the producer forgets to close, so the loop over the channel never ends.
void forget_to_close() {
  runnel::chan<int> box(3);
  runnel::go([box] {
    for (int i = 1; i <= 3; ++i) box.send(i);
  });
  int sum = 0;
  for (int i : box) sum += i;
  std::cout << sum << '\n';
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) forget_to_close();
  fill_and_drain();
  two_at_a_time();
}
