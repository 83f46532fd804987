// Synchronisation objects can be neither copied nor moved (that all of them cannot is asserted in
// the unit tests; here is that the compiler says so), and what else types can tell.
#include <runnel/sync.hpp>
#include <utility>

int main() {
  runnel::mutex m;
  runnel::wait_group wg;
  runnel::errgroup group;
  runnel::barrier b(1, [] {});
  wg.go([] {});
  wg.wait();
  group.go([] {});
  group.wait();
  b.arrive_and_wait();

#if RUNNEL_CASE == 1  // deleted
  runnel::mutex copy = m;
#endif
#if RUNNEL_CASE == 2  // deleted
  m = runnel::mutex();
#endif
#if RUNNEL_CASE == 3  // deleted
  runnel::wait_group moved = std::move(wg);
#endif
#if RUNNEL_CASE == 4  // deleted
  runnel::go([wg]() mutable { wg.done(); });
#endif
#if RUNNEL_CASE == 5  // wait_group::go takes a callable
  wg.go(1);
#endif
#if RUNNEL_CASE == 6  // errgroup::go takes a callable
  group.go([](int) {});
#endif
#if RUNNEL_CASE == 7  // completion function must be callable
  runnel::barrier refused(1, [](int) {});
#endif
}
