// Select: wait for several channels at once; of the ready cases one is chosen by chance.
#include <iostream>
#include <optional>
#include <runnel/runnel.hpp>
#include <string_view>

runnel::chan<int> every_second_from(int first) {
  runnel::chan<int> out;
  runnel::go([=] {
    for (int i = first; i <= 10; i += 2) out.send(i);
    out.close();
  });
  return out;
}

// A closed channel is always ready, so its case is switched off: no case of a nil channel ever
// fires.
void until_both_are_closed() {
  runnel::chan<int> odd = every_second_from(1), even = every_second_from(2);
  int odd_sum = 0, even_sum = 0;
  while (odd || even) {
    std::optional<int> o, e;
    const auto chosen = runnel::select(runnel::on_recv(odd, o), runnel::on_recv(even, e));
    odd_sum += o.value_or(0);
    even_sum += e.value_or(0);
    if (chosen == 0 && !o) odd = nullptr;
    if (chosen == 1 && !e) even = nullptr;
  }
  std::cout << "odd " << odd_sum << ", even " << even_sum << '\n';
}

void do_not_wait() {
  runnel::chan<int> quiet;
  runnel::select(runnel::on_recv(quiet, [](int) { std::cout << "a value?\n"; }),
                 runnel::otherwise([] { std::cout << "nothing ready\n"; }));
}

// Both sends are ready whenever the receiver is: the select tosses a coin.
void toss_a_coin() {
  runnel::chan<int> coin;
  runnel::chan<void> enough;
  runnel::go([=] {
    while (runnel::select(runnel::on_recv(enough), runnel::on_send(coin, 0),
                          runnel::on_send(coin, 1)) != 0) {
    }
  });
  int seen[2] = {0, 0};
  for (int i = 0; i < 1000; ++i) ++seen[*coin.recv()];
  enough.close();
  std::cout << "both sides seen: " << std::boolalpha << (seen[0] > 0 && seen[1] > 0) << '\n';
}

// What a loop does that keeps a closed channel among its cases: it spins.
void spin_on_a_closed_channel() {
  runnel::chan<int> closed, quiet;
  closed.close();
  int chosen = 0;
  for (int i = 0; i < 1000; ++i) {
    if (runnel::select(runnel::on_recv(closed), runnel::on_recv(quiet)) == 0) ++chosen;
  }
  std::cout << "closed, yet chosen: " << chosen << " of 1000\n";
}

// The mistake: every case is switched off and the loop has no way out.
void select_for_ever() {
  runnel::chan<int> odd = nullptr, even = nullptr;
  for (;;) runnel::select(runnel::on_recv(odd), runnel::on_recv(even));
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) select_for_ever();
  until_both_are_closed();
  do_not_wait();
  toss_a_coin();
  spin_on_a_closed_channel();
}
