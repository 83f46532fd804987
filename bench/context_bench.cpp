// The rows of Go's context benchmarks, and those of x/sync/semaphore and x/time/rate, which take a
// context.
#include <benchmark/benchmark.h>

#include <deque>
#include <runnel/chan.hpp>
#include <runnel/context.hpp>
#include <runnel/rate.hpp>
#include <runnel/select.hpp>
#include <string>
#include <utility>
#include <vector>

#include "harness.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;
using runnel::cancel_func;
using runnel::context;

const runnel::context_key<std::string> text_key{"key"};

/// Children of one parent come and go in parallel, with some user work between.
const row common_parent{"CommonParentCancel", [](run& r) {
                          const context root = runnel::with_value(runnel::background(), text_key,
                                                                  std::string("value"));
                          auto parent = runnel::with_cancel(root);
                          r.reset_timer();
                          parallel(r, [&](share& mine) {
                            while (mine.next()) {
                              auto child = runnel::with_cancel(parent.ctx);
                              benchmark::DoNotOptimize(*child.ctx.value(text_key) == "value");
                              work(100);
                              child.cancel();
                              work(100);
                            }
                          });
                        }};

/// Creates and cancels ten contexts per operation while Alive others have a deadline pending.
template <int Alive>
void with_timeout(run& r) {
  const context root = runnel::background();
  const auto procs = static_cast<std::size_t>(runnel::max_procs());
  std::vector<std::vector<cancel_func>> others(procs);
  runnel::wait_group ready;
  for (auto& mine : others) {
    ready.add();
    runnel::go([&] {
      for (std::size_t i = 0; i < Alive / procs; ++i)
        mine.push_back(runnel::with_timeout(root, 1h).cancel);
      ready.done();
    });
  }
  ready.wait();
  r.reset_timer();
  parallel(r, [&](share& mine) {
    std::vector<cancel_func> cancels(10);
    while (mine.next()) {
      for (auto& cancel : cancels) cancel = runnel::with_timeout(root, 1h).cancel;
      for (auto& cancel : cancels) cancel();
    }
  });
  r.stop_timer();
}

const row with_timeout_40{"WithTimeout40", with_timeout<40>};
const row with_timeout_4000{"WithTimeout4000", with_timeout<4000>};
const row with_timeout_400000{"WithTimeout400000", with_timeout<400000>};

/// A chain of contexts; the cancel functions are kept, as dropping one would cancel its context.
void chain(context ctx, std::vector<cancel_func>& cancels, int depth) {
  for (int d = 0; d < depth; ++d) {
    auto child = runnel::with_cancel(ctx);
    ctx = std::move(child.ctx);
    cancels.push_back(std::move(child.cancel));
  }
}

/// Builds a chain below a live parent and cancels it from the top.
template <int Depth>
void cancel_tree(run& r) {
  std::vector<cancel_func> cancels;
  cancels.reserve(Depth);
  for (std::int64_t i = 0; i < r.n(); ++i) {
    auto top = runnel::with_cancel(runnel::background());
    chain(top.ctx, cancels, Depth);
    top.cancel();
    cancels.clear();
  }
}

const row cancel_tree_1{"CancelTree1", cancel_tree<1>};
const row cancel_tree_10{"CancelTree10", cancel_tree<10>};
const row cancel_tree_100{"CancelTree100", cancel_tree<100>};
const row cancel_tree_1000{"CancelTree1000", cancel_tree<1000>};

const row cancel_tree_closed{"CancelTreeClosed100", [](run& r) {
                               std::vector<cancel_func> cancels;
                               cancels.reserve(100);
                               for (std::int64_t i = 0; i < r.n(); ++i) {
                                 auto top = runnel::with_cancel(runnel::background());
                                 top.cancel();
                                 chain(top.ctx, cancels, 100);
                                 cancels.clear();
                               }
                             }};

const row check_err{"CheckCanceledErr", [](run& r) {
                      auto top = runnel::with_cancel(runnel::background());
                      top.cancel();
                      for (std::int64_t i = 0; i < r.n(); ++i)
                        r.require(bool(top.ctx.err()), "the context is canceled");
                    }};

const row err_ok{"ErrOK", [](run& r) {
                   auto top = runnel::with_cancel(runnel::background());
                   for (std::int64_t i = 0; i < r.n(); ++i)
                     r.require(!top.ctx.err(), "the context is alive");
                 }};

const row check_done{"CheckCanceledDone", [](run& r) {
                       auto top = runnel::with_cancel(runnel::background());
                       top.cancel();
                       for (std::int64_t i = 0; i < r.n(); ++i) {
                         runnel::select(runnel::on_recv(top.ctx.done()), runnel::otherwise());
                       }
                     }};

const row cancel_done{"ContextCancelDone", [](run& r) {
                        auto top = runnel::with_cancel(runnel::background());
                        parallel(r, [&](share& mine) {
                          while (mine.next()) {
                            runnel::select(runnel::on_recv(top.ctx.done()), runnel::otherwise());
                          }
                        });
                      }};

/// A chain of values; a look-up of a key that is not there passes all of them.
struct deep {
  std::deque<runnel::context_key<int>> keys;
  runnel::context_key<int> absent{"absent"};
  context ctx = runnel::background();

  explicit deep(int depth) {
    for (int i = 0; i < depth; ++i) ctx = runnel::with_value(ctx, keys.emplace_back("key"), i);
  }
};

template <int Depth>
void deep_value(run& r) {
  const deep chained(Depth);
  r.reset_timer();
  // Without hiding the context from the compiler, which sees all of value(), the look-up happens
  // once, before the loop.
  const context* ctx = &chained.ctx;
  for (std::int64_t i = 0; i < r.n(); ++i) {
    benchmark::DoNotOptimize(ctx);
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(ctx->value(chained.absent));
  }
}

const row deep_same_10{"DeepValueSameGoRoutine10", deep_value<10>};
const row deep_same_100{"DeepValueSameGoRoutine100", deep_value<100>};

template <int Depth>
void deep_value_new(run& r) {
  const deep chained(Depth);
  r.reset_timer();
  for (std::int64_t i = 0; i < r.n(); ++i) {
    runnel::wait_group wg;
    wg.add();
    runnel::go([&] {
      benchmark::DoNotOptimize(chained.ctx.value(chained.absent));
      wg.done();
    });
    wg.wait();
  }
}

const row deep_new_10{"DeepValueNewGoRoutine10", deep_value_new<10>};
const row deep_new_100{"DeepValueNewGoRoutine100", deep_value_new<100>};

const row weighted_uncontended{"WeightedUncontended", [](run& r) {
                                 const context ctx = runnel::background();
                                 runnel::weighted_semaphore sem(2);
                                 for (std::int64_t i = 0; i < r.n(); ++i) {
                                   r.require(!sem.acquire(ctx, 1), "the context is alive");
                                   sem.release(1);
                                 }
                               }};

const row weighted_many{"WeightedMany", [](run& r) {
                          const context ctx = runnel::background();
                          runnel::weighted_semaphore sem(128);
                          for (std::int64_t i = 0; i < r.n(); ++i) {
                            for (int k = 0; k < 16; ++k)
                              r.require(!sem.acquire(ctx, 8), "the context is alive");
                            for (int k = 0; k < 16; ++k) sem.release(8);
                          }
                        }};

const row weighted_contended{"WeightedContended", [](run& r) {
                               const context ctx = runnel::background();
                               runnel::weighted_semaphore sem(2);
                               parallel(
                                   r,
                                   [&](share& mine) {
                                     while (mine.next()) {
                                       (void)sem.acquire(ctx, 1);
                                       sem.release(1);
                                     }
                                   },
                                   10);
                             }};

const row rate_allow{"RateAllow", [](run& r) {
                       runnel::rate_limiter limiter(runnel::every(1s), 1);
                       parallel(r, [&](share& mine) {
                         while (mine.next()) benchmark::DoNotOptimize(limiter.allow());
                       });
                     }};

const row rate_wait{"RateWait", [](run& r) {
                      const context ctx = runnel::background();
                      runnel::rate_limiter limiter(runnel::per_second(static_cast<double>(r.n())),
                                                   static_cast<int>(r.n()));
                      for (std::int64_t i = 0; i < r.n(); ++i)
                        r.require(!limiter.wait(ctx, 1), "the context is alive");
                    }};

}  // namespace
}  // namespace bench
