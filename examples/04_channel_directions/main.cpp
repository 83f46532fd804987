// Channel directions: a signature says who sends and who receives, and the compiler holds everyone
// to it.
#include <iostream>
#include <runnel/runnel.hpp>
#include <string_view>

void count(runnel::send_chan<int> out, int up_to) {
  for (int i = 1; i <= up_to; ++i) out.send(i);
  out.close();  // only the sending side can close, for only it knows when nothing more will come
}

void square(runnel::recv_chan<int> in, runnel::send_chan<int> out) {
  for (int i : in) out.send(i * i);
  out.close();
}

void print(runnel::recv_chan<int> in) {
  for (int i : in) std::cout << i << '\n';
}

// Each of these calls is a compile error; the program only states it.
template <class C>
concept can_send = requires(C ch) {
  ch.send(1);
};
template <class C>
concept can_recv = requires(C ch) {
  ch.recv();
};
template <class C>
concept can_close = requires(C ch) {
  ch.close();
};

static_assert(can_send<runnel::send_chan<int>> && !can_recv<runnel::send_chan<int>>);
static_assert(can_recv<runnel::recv_chan<int>> && !can_send<runnel::recv_chan<int>>);
static_assert(!can_close<runnel::recv_chan<int>>);

// The mistake: with the whole channel in its hands the receiver may close it, and the sender
// panics.
void close_on_the_wrong_side() {
  runnel::chan<int> numbers, enough;
  runnel::go([=] {
    numbers.recv();
    numbers.close();
    enough.close();
  });
  numbers.send(1);
  enough.recv();
  numbers.send(2);
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) close_on_the_wrong_side();
  runnel::chan<int> numbers, squares;
  runnel::go(count, numbers, 5);  // a chan<int> becomes the half that is asked for
  runnel::go(square, numbers, squares);
  print(squares);
}
