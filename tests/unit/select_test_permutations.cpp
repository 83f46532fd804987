// Selects in every shape: the systematic part of Go's test/chan/select5.go. Each shape is a
// wanted case beside none to four distractors (never ready), with the default before, after or
// absent, in the variadic and in the span form, for buffered, blocked and closed channels.
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <span>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using runnel::chan;
using runnel::on_recv;
using runnel::on_send;
using runnel::otherwise;
using runnel::select_case;

namespace {

enum class default_at { none, front, back };

struct shape {
  unsigned distractors;  // bit set: send to an empty unbuffered, receive from it, both on nil
  default_at fallback;
  std::size_t position;  // of the wanted case among the distractors
};

std::vector<shape> all_shapes() {
  std::vector<shape> shapes;
  for (unsigned bits = 0; bits < 16; ++bits) {
    for (const auto fallback : {default_at::none, default_at::front, default_at::back}) {
      for (std::size_t position = 0; position < 5; ++position) {
        shapes.push_back({bits, fallback, position});
      }
    }
  }
  return shapes;
}

// Runs a select of that shape around `wanted`; true if `wanted` was the one that ran.
bool run_shape(const shape& s, select_case wanted) {
  const chan<int> idle;
  const chan<int> nil = nullptr;
  const auto never = [] { ADD_FAILURE() << "a case ran that can never be ready"; };
  std::vector<select_case> cases;
  if ((s.distractors & 1U) != 0) cases.push_back(on_send(idle, 1, never));
  if ((s.distractors & 2U) != 0) cases.push_back(on_recv(idle, never));
  if ((s.distractors & 4U) != 0) cases.push_back(on_send(nil, 1, never));
  if ((s.distractors & 8U) != 0) cases.push_back(on_recv(nil, never));
  if (s.fallback == default_at::front) cases.insert(cases.begin(), otherwise());
  if (s.fallback == default_at::back) cases.push_back(otherwise());
  const std::size_t at = std::min(s.position, cases.size());
  cases.insert(cases.begin() + static_cast<std::ptrdiff_t>(at), std::move(wanted));
  return runnel::select(std::span<select_case>(cases)) == at;
}

}  // namespace

RUNNEL_TEST_BOTH(select_permutations, receive_what_is_buffered) {
  const chan<int> c(1);
  int n = 0;
  for (const shape& s : all_shapes()) {
    c.send(++n);
    int x = 0;
    ASSERT_TRUE(run_shape(s, on_recv(c, x)));
    ASSERT_EQ(x, n);
    c.send(++n);
    ASSERT_TRUE(run_shape(s, on_recv(c, [&](int v) { x = v; })));
    ASSERT_EQ(x, n);
  }
}

RUNNEL_TEST_BOTH(select_permutations, send_into_the_buffer) {
  const chan<int> c(1);
  int n = 0;
  for (const shape& s : all_shapes()) {
    ASSERT_TRUE(run_shape(s, on_send(c, ++n)));
    ASSERT_EQ(c.recv(), n);
  }
}

RUNNEL_TEST_BOTH(select_permutations, nothing_ready_takes_the_default_and_touches_nothing) {
  const chan<int> c(1);
  for (shape s : all_shapes()) {
    if (s.fallback == default_at::none) continue;
    int x = 7;
    ASSERT_FALSE(run_shape(s, on_recv(c, x)));
    ASSERT_EQ(x, 7);
    c.send(1);
    ASSERT_FALSE(run_shape(s, on_send(c, 2)));
    ASSERT_EQ(c.recv(), 1);
    ASSERT_EQ(c.size(), 0U);
  }
}

RUNNEL_TEST_BOTH(select_permutations, closed_channel_is_ready_to_receive) {
  const chan<int> c(1);
  c.close();
  for (const shape& s : all_shapes()) {
    int x = 7;
    ASSERT_TRUE(run_shape(s, on_recv(c, x)));
    ASSERT_EQ(x, 0);
  }
}

RUNNEL_TEST_BOTH(select_permutations, closed_channel_panics_on_send) {
  const chan<int> c(1);
  c.close();
  for (const shape& s : all_shapes()) ASSERT_THROW(run_shape(s, on_send(c, 1)), runnel::panic);
}

RUNNEL_TEST_BOTH(select_permutations, blocked_until_a_peer_comes) {
  const chan<int> in;
  const chan<int> out;
  const auto shapes = all_shapes();
  runnel_test::crew peer;
  int blocking_shapes = 0;
  for (const shape& s : shapes) blocking_shapes += s.fallback == default_at::none ? 1 : 0;
  peer.go([&] {
    for (int i = 0; i < blocking_shapes; ++i) {
      in.send(i);
      EXPECT_EQ(out.recv(), i * 2);
    }
  });
  int i = 0;
  for (const shape& s : shapes) {
    if (s.fallback != default_at::none) continue;
    int x = -1;
    ASSERT_TRUE(run_shape(s, on_recv(in, x)));
    ASSERT_EQ(x, i);
    ASSERT_TRUE(run_shape(s, on_send(out, i * 2)));
    ++i;
  }
}
