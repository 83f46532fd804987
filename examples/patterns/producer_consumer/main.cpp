// Producer and consumer: a bounded buffer between them slows the quick one down to the slow one's
// pace.
#include <algorithm>
#include <atomic>
#include <iostream>
#include <runnel/runnel.hpp>

int main() {
  constexpr int producers = 3, consumers = 2, items = 1000;
  constexpr int capacity = 4;
  const runnel::chan<int> buffer(capacity);
  std::atomic<int> ahead = 0, furthest_ahead = 0;  // produced and not yet consumed

  runnel::wait_group producing;
  for (int p = 0; p < producers; ++p) {
    producing.go([&, p] {
      for (int i = p + 1; i <= items; i += producers) {
        buffer.send(i);
        const int now = ++ahead;
        for (int most = furthest_ahead; most < now;) {
          if (furthest_ahead.compare_exchange_weak(most, now)) break;
        }
      }
    });
  }

  std::atomic<int> count = 0, sum = 0;
  runnel::wait_group consuming;
  for (int c = 0; c < consumers; ++c) {
    consuming.go([&] {
      for (int i : buffer) {
        --ahead;
        ++count;
        sum += i;
      }
    });
  }

  producing.wait();  // several producers: none of them may close, only who has waited for all
  buffer.close();
  consuming.wait();
  std::cout << "consumed " << count << ", sum " << sum << '\n';
  std::cout << "never further ahead than the buffer and the hands: " << std::boolalpha
            << (furthest_ahead <= capacity + producers + consumers) << '\n';
}
