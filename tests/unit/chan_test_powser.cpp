// Power series whose terms are produced on demand by networks of goroutines: the program of
// Go's test/chan/powser1.go (M. D. McIlroy's "Squinting at Power Series"), which has some
// thousand goroutines ask each other for terms over unbuffered channels. Unlike the original it
// ends: every wait is a select with a channel that is closed at the end, and the test's leak
// check sees all those goroutines off.
#include <array>
#include <cstdint>
#include <numeric>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <vector>

#include "support/crew.hpp"
#include "support/test.hpp"

using runnel::chan;
using runnel::on_recv;
using runnel::on_send;

namespace {

struct rational {
  std::int64_t num = 0;
  std::int64_t den = 1;  // 0: the end of a finite series
  bool is_end() const { return den == 0; }
  friend bool operator==(const rational&, const rational&) = default;
};

constexpr rational end_of_series{1, 0};

rational make(std::int64_t num, std::int64_t den = 1) {
  const std::int64_t g = std::gcd(num, den);
  if (den < 0) return {-num / g, -den / g};
  return {num / g, den / g};
}
rational operator+(rational a, rational b) {
  const std::int64_t g = std::gcd(a.den, b.den);
  return make(a.num * (b.den / g) + b.num * (a.den / g), a.den * (b.den / g));
}
rational operator*(rational a, rational b) {
  const rational x = make(a.num, b.den);
  const rational y = make(b.num, a.den);
  return {x.num * y.num, x.den * y.den};
}
rational operator-(rational a) { return {-a.num, a.den}; }

// A series: whoever wants a term sends on `request`, then receives it from `data`.
struct series {
  chan<void> request;
  chan<rational> data;
};

// Leaves the goroutine: unwinds to the function given to `network::begin`.
struct stopped {};

class network {
 public:
  network() = default;
  network(const network&) = delete;
  network& operator=(const network&) = delete;
  ~network() { stop_.close(); }

  rational get(const series& s) {
    ask(s);
    rational value;
    if (runnel::select(on_recv(s.data, value), on_recv(stop_)) == 1) throw stopped();
    return value;
  }

  series repeat(rational c) {
    return produce([this, c](const series& out) {
      for (;;) put(out, c);
    });
  }

  series add(const series& u, const series& v) {
    return produce([=, this](const series& out) {
      for (;;) {
        await_request(out);
        const auto [a, b] = get_both(u, v);
        if (a.is_end() && b.is_end()) {
          give(out, end_of_series);
        } else if (a.is_end()) {
          give(out, b);
          copy(v, out);
        } else if (b.is_end()) {
          give(out, a);
          copy(u, out);
        } else {
          give(out, a + b);
        }
      }
    });
  }

  series scale(rational c, const series& u) {
    return produce([=, this](const series& out) {
      for (;;) {
        await_request(out);
        const rational a = get(u);
        if (a.is_end()) break;
        give(out, c * a);
      }
      give(out, end_of_series);
    });
  }

  series shift(rational c, const series& u) {
    return produce([=, this](const series& out) {
      put(out, c);
      copy(u, out);
    });
  }

  // (u0 + x U)(v0 + x V) = u0 v0 + x (u0 V + v0 U) + x² U V
  series multiply(const series& u, const series& v) {
    return produce([=, this](const series& out) {
      await_request(out);
      const auto [a, b] = get_both(u, v);
      if (a.is_end() || b.is_end()) {
        give(out, end_of_series);
        return;
      }
      give(out, a * b);
      const auto uu = split(u);
      const auto vv = split(v);
      const series w = add(scale(a, vv[0]), scale(b, uu[0]));
      await_request(out);
      give(out, get(w));
      copy(add(w, multiply(uu[1], vv[1])), out);
    });
  }

  series differentiate(const series& u) {
    return produce([=, this](const series& out) {
      await_request(out);
      if (!get(u).is_end()) {
        for (std::int64_t i = 1;; ++i) {
          const rational a = get(u);
          if (a.is_end()) break;
          give(out, make(i) * a);
          await_request(out);
        }
      }
      give(out, end_of_series);
    });
  }

  series integrate(rational constant, const series& u) {
    return produce([=, this](const series& out) {
      put(out, constant);
      for (std::int64_t i = 1;; ++i) {
        await_request(out);
        const rational a = get(u);
        if (a.is_end()) {
          give(out, end_of_series);
          return;
        }
        give(out, make(1, i) * a);
      }
    });
  }

  // exp(U) solves Z' = Z U': it is defined by a series that asks itself for terms.
  series exponential(const series& u) {
    const std::array<series, 2> z;
    split_into(integrate(make(1), multiply(z[0], differentiate(u))), z);
    return z[1];
  }

  series reciprocal(const series& u) {
    return produce([=, this](const series& out) {
      const std::array<series, 2> z;
      await_request(out);
      const rational first = get(u);
      const rational inverse = make(first.den, first.num);
      give(out, inverse);
      split_into(multiply(scale(-inverse, u), shift(inverse, z[0])), z);
      copy(z[1], out);
    });
  }

  // U(c x^n)
  series substitute_monomial(const series& u, rational c0, int n) {
    return produce([=, this](const series& out) {
      rational c = make(1);
      for (;;) {
        await_request(out);
        const rational a = get(u);
        give(out, a.is_end() ? a : a * c);
        if (a.is_end()) return;
        c = c * c0;
        for (int i = 1; i < n; ++i) put(out, make(0));
      }
    });
  }

  std::array<series, 2> split(const series& u) {
    const std::array<series, 2> out;
    split_into(u, out);
    return out;
  }

 private:
  template <class F>
  void begin(F f) {
    goroutines_.go([f = std::move(f)]() mutable {
      try {
        f();
      } catch (const stopped&) {
      }
    });
  }

  template <class F>
  series produce(F f) {
    const series out;
    begin([=] { f(out); });
    return out;
  }

  void ask(const series& s) {
    if (runnel::select(on_send(s.request), on_recv(stop_)) == 1) throw stopped();
  }
  void await_request(const series& s) {
    if (runnel::select(on_recv(s.request), on_recv(stop_)) == 1) throw stopped();
  }
  void give(const series& s, rational v) {
    if (runnel::select(on_send(s.data, v), on_recv(stop_)) == 1) throw stopped();
  }
  void put(const series& s, rational v) {
    await_request(s);
    give(s, v);
  }
  void copy(const series& from, const series& to) {
    for (;;) {
      await_request(to);
      give(to, get(from));
    }
  }

  // Asks both and takes both answers, in whatever order they are ready: one at a time could
  // deadlock when the two have a common ancestor. Nil channels switch off what is done.
  std::array<rational, 2> get_both(const series& u, const series& v) {
    std::array<chan<void>, 2> request{u.request, v.request};
    std::array<chan<rational>, 2> data{nullptr, nullptr};
    std::array<rational, 2> out;
    for (int remaining = 4; remaining > 0; --remaining) {
      const std::size_t chosen =
          runnel::select(on_send(request[0]), on_send(request[1]), on_recv(data[0], out[0]),
                         on_recv(data[1], out[1]), on_recv(stop_));
      if (chosen == 4) throw stopped();
      const std::size_t side = chosen % 2;
      if (chosen < 2) {
        data[side] = (side == 0 ? u : v).data;
        request[side] = nullptr;
      } else {
        data[side] = nullptr;
      }
    }
    return out;
  }

  void split_into(const series& in, const std::array<series, 2>& out) {
    const chan<void> go_on;
    begin([=, this] { split_step(in, out, go_on); });
    begin([=, this] { signal(go_on); });
  }
  void signal(const chan<void>& c) {
    if (runnel::select(on_send(c), on_recv(stop_)) == 1) throw stopped();
  }
  void wait_for(const chan<void>& c) {
    if (runnel::select(on_recv(c), on_recv(stop_)) == 1) throw stopped();
  }

  // Serves one term to both readers of a split series. The one that runs ahead gets it at once;
  // a successor goroutine serves its next terms and queues up behind `wait` for the other.
  void split_step(const series& in, std::array<series, 2> out, const chan<void>& wait) {
    bool both = false;
    const std::size_t first =
        runnel::select(on_recv(out[0].request), on_recv(wait), on_recv(stop_));
    if (first == 2) throw stopped();
    if (first == 1) {
      both = true;
      const std::size_t second =
          runnel::select(on_recv(out[0].request), on_recv(out[1].request), on_recv(stop_));
      if (second == 2) throw stopped();
      if (second == 1) std::swap(out[0], out[1]);
    }
    ask(in);
    const chan<void> release;
    begin([=, this] { split_step(in, out, release); });
    rational value;
    if (runnel::select(on_recv(in.data, value), on_recv(stop_)) == 1) throw stopped();
    give(out[0], value);
    if (!both) wait_for(wait);
    put(out[1], value);
    signal(release);
  }

  chan<void> stop_;
  runnel_test::swarm goroutines_;  // last: its destructor waits for those who use the rest
};

void expect_terms(network& net, const series& s, const std::vector<rational>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const rational term = net.get(s);
    ASSERT_EQ(term, expected[i]) << "term " << i << " is " << term.num << "/" << term.den;
  }
}

}  // namespace

RUNNEL_TEST_BOTH(chan_powser, constant_series) {
  network net;
  const std::vector<rational> ones(10, make(1));
  expect_terms(net, net.repeat(make(1)), ones);
  expect_terms(net, net.add(net.repeat(make(1)), net.repeat(make(2))),
               std::vector<rational>(10, make(3)));
  expect_terms(net, net.scale(make(-1), net.repeat(make(2))), std::vector<rational>(10, make(-2)));
}

RUNNEL_TEST_BOTH(chan_powser, derivative_and_integral) {
  network net;
  std::vector<rational> counting;
  std::vector<rational> harmonic{make(0)};
  for (int i = 1; i <= 10; ++i) {
    counting.push_back(make(i));
    harmonic.push_back(make(1, i));
  }
  expect_terms(net, net.differentiate(net.repeat(make(1))), counting);
  expect_terms(net, net.integrate(make(0), net.repeat(make(1))), harmonic);
}

RUNNEL_TEST_BOTH(chan_powser, product) {
  network net;
  std::vector<rational> counting;
  for (int i = 1; i <= 10; ++i) counting.push_back(make(i));
  expect_terms(net, net.multiply(net.repeat(make(1)), net.repeat(make(1))), counting);
}

RUNNEL_TEST_BOTH(chan_powser, exponential) {
  network net;
  expect_terms(net, net.exponential(net.repeat(make(1))),
               {make(1), make(1), make(3, 2), make(13, 6), make(73, 24), make(167, 40),
                make(4051, 720), make(37633, 5040), make(43817, 4480), make(4596553, 362880)});
}

RUNNEL_TEST_BOTH(chan_powser, reciprocal) {
  network net;
  // 1 / (1 + x + x² + ...) = 1 - x
  expect_terms(net, net.reciprocal(net.repeat(make(1))),
               {make(1), make(-1), make(0), make(0), make(0), make(0)});
}

RUNNEL_TEST_BOTH(chan_powser, arc_tangent) {
  network net;
  const series alternating = net.substitute_monomial(net.repeat(make(1)), make(-1), 2);
  std::vector<rational> expected;
  for (int i = 0, sign = 1; i < 10; ++i) {
    if (i % 2 == 0) {
      expected.push_back(make(0));
    } else {
      expected.push_back(make(sign, i));
      sign = -sign;
    }
  }
  expect_terms(net, net.integrate(make(0), alternating), expected);
}
