// The rows of Go's runtime/proc_test.go: spawning, yielding, a hog, and a matrix product by
// goroutines.
#include <atomic>
#include <cmath>
#include <runnel/chan.hpp>
#include <runnel/select.hpp>
#include <vector>

#include "harness.hpp"

namespace bench {
namespace {

using runnel::chan;

/// Each goroutine starts the next one, n times; the last one reports.
void create_next(std::int64_t n, const chan<bool>& done) {
  if (n == 0) {
    chan<bool> kept = done;  // the receiver may drop its handle while this send is still returning
    kept.send(true);
    return;
  }
  runnel::go([n, &done] { create_next(n - 1, done); });
}

void create_chains(run& r, int chains) {
  chan<bool> done;
  for (int i = 0; i < chains; ++i) runnel::go([&] { create_next(r.n() / chains, done); });
  for (int i = 0; i < chains; ++i) (void)done.recv();
}

const row create{"CreateGoroutines", [](run& r) { create_chains(r, 1); }};
const row create_parallel{"CreateGoroutinesParallel",
                          [](run& r) { create_chains(r, runnel::max_procs()); }};

const row create_capture{"CreateGoroutinesCapture", [](run& r) {
                           constexpr int n = 4;
                           std::atomic<bool> wrong{false};
                           for (std::int64_t i = 0; i < r.n(); ++i) {
                             runnel::wait_group wg;
                             wg.add(n);
                             for (int j = 0; j < n; ++j) {
                               runnel::go([&, j] {
                                 if (j >= n) wrong = true;
                                 wg.done();
                               });
                             }
                             wg.wait();
                           }
                           r.require(!wrong, "captured the wrong value");
                         }};

/// Returns once every processor has run a goroutine at the same time as all the others.
void occupy_all_procs() {
  const int all = runnel::max_procs();
  std::atomic<int> here{0};
  runnel::wait_group wg;
  wg.add(all);
  for (int i = 0; i < all; ++i) {
    runnel::go([&] {
      ++here;
      while (here.load() < all) {
      }
      for (auto start = clock::now(); clock::now() - start < std::chrono::milliseconds(1);) {
      }
      wg.done();
    });
  }
  wg.wait();
}

const row create_single{"CreateGoroutinesSingle", [](run& r) {
                          occupy_all_procs();
                          r.reset_timer();
                          runnel::wait_group wg;
                          wg.add(static_cast<int>(r.n()));
                          for (std::int64_t i = 0; i < r.n(); ++i) runnel::go([&] { wg.done(); });
                          wg.wait();
                        }};

/// n rounds of ping-pong on one processor that a third goroutine never gives up by itself.
const row hog{"PingPongHog", [](run& r) {
                const int before = runnel::max_procs(1);
                chan<bool> stop;
                chan<bool> done;
                chan<bool> ping;
                chan<bool> pong;
                runnel::go([=] {
                  while (runnel::select(runnel::on_recv(stop), runnel::otherwise()) != 0) {
                  }
                  done.send(true);
                });
                const std::int64_t n = r.n();
                runnel::go([=] {
                  for (std::int64_t i = 0; i < n; ++i) pong.send(ping.recv().value());
                  stop.close();
                  done.send(true);
                });
                runnel::go([=] {
                  for (std::int64_t i = 0; i < n; ++i) ping.send(pong.recv().value());
                  done.send(true);
                });
                r.reset_timer();
                ping.send(true);
                (void)stop.recv();
                r.stop_timer();
                (void)ping.recv();
                for (int i = 0; i < 3; ++i) (void)done.recv();
                runnel::max_procs(before);
              }};

/// Two goroutines per processor do n yields in all.
const row yield{"Yield", [](run& r) {
                  const int n = 2 * runnel::max_procs();
                  const std::int64_t each = r.n() / n;
                  runnel::wait_group wg;
                  wg.add(n);
                  for (int g = 0; g < n; ++g) {
                    runnel::go([&wg, each] {
                      for (std::int64_t i = 0; i < each; ++i) runnel::yield();
                      wg.done();
                    });
                  }
                  wg.wait();
                }};

using matrix = std::vector<std::vector<double>>;

struct factors {
  matrix x, y, z;
};

struct block {
  std::size_t i0, i1, j0, j1, k0, k1;
};

void multiply(factors& m, const block& b);

void multiply_both(factors& m, const block& low, const block& high) {
  chan<void> ready(1);
  runnel::go([&m, low, ready] {
    multiply(m, low);
    ready.send();
  });
  multiply(m, high);
  ready.recv();
}

/// Halves the longest side until the block is small; rows and columns in parallel, the sum in
/// sequence.
void multiply(factors& m, const block& b) {
  constexpr std::size_t small = 8;
  const std::size_t di = b.i1 - b.i0;
  const std::size_t dj = b.j1 - b.j0;
  const std::size_t dk = b.k1 - b.k0;
  block low = b;
  block high = b;
  if (di >= dj && di >= dk && di >= small) {
    low.i1 = high.i0 = b.i0 + di / 2;
    multiply_both(m, low, high);
  } else if (dj >= dk && dj >= small) {
    low.j1 = high.j0 = b.j0 + dj / 2;
    multiply_both(m, low, high);
  } else if (dk >= small) {
    low.k1 = high.k0 = b.k0 + dk / 2;
    multiply(m, low);
    multiply(m, high);
  } else {
    for (std::size_t i = b.i0; i < b.i1; ++i) {
      for (std::size_t j = b.j0; j < b.j1; ++j) {
        for (std::size_t k = b.k0; k < b.k1; ++k) m.z[i][j] += m.x[i][k] * m.y[k][j];
      }
    }
  }
}

/// One operation is one multiply-add, so the side is the cube root of n.
const row matmult{"Matmult", [](run& r) {
                    const auto n =
                        static_cast<std::size_t>(std::cbrt(static_cast<double>(r.n()))) + 1;
                    const matrix zero(n, std::vector<double>(n));
                    factors m{zero, zero, zero};
                    r.reset_timer();
                    multiply(m, {0, n, 0, n, 0, n});
                  }};

}  // namespace
}  // namespace bench
