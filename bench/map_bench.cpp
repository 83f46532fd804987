// The rows of Go's sync map benchmarks, on concurrent_map.
#include <benchmark/benchmark.h>

#include <atomic>

#include "harness.hpp"

namespace bench {
namespace {

using map = runnel::concurrent_map<std::int64_t, std::int64_t>;

/// Fills a map with the keys 0 … present-1, then runs one goroutine per processor over disjoint key
/// ranges.
template <class Body>
void map_row(run& r, std::int64_t present, Body body) {
  map m;
  for (std::int64_t i = 0; i < present; ++i) (void)m.load_or_store(i, i);
  for (std::int64_t i = 0; i < 2 * present; ++i) (void)m.load(i % present);
  std::atomic<std::int64_t> goroutines{0};
  r.reset_timer();
  parallel(r, [&](share& mine) { body(mine, goroutines++ * r.n(), m); });
  // Go's collector frees the map elsewhere and later; here it happens after the clock has stopped.
  r.stop_timer();
}

template <std::int64_t Hits, std::int64_t Misses>
void load(run& r) {
  map_row(r, Hits, [](share& mine, std::int64_t i, map& m) {
    for (; mine.next(); ++i) benchmark::DoNotOptimize(m.load(i % (Hits + Misses)));
  });
}

const row load_hits{"MapLoadMostlyHits", load<1023, 1>};
const row load_misses{"MapLoadMostlyMisses", load<1, 1023>};

constexpr std::int64_t hits = 128;
constexpr std::int64_t misses = 128;

const row load_or_store_balanced{
    "MapLoadOrStoreBalanced", [](run& r) {
      map_row(r, hits, [](share& mine, std::int64_t i, map& m) {
        for (; mine.next(); ++i) {
          const std::int64_t j = i % (hits + misses);
          benchmark::DoNotOptimize(m.load_or_store(j < hits ? j : i, i));
        }
      });
    }};

const row load_or_store_unique{"MapLoadOrStoreUnique", [](run& r) {
                                 map_row(r, 0, [](share& mine, std::int64_t i, map& m) {
                                   for (; mine.next(); ++i)
                                     benchmark::DoNotOptimize(m.load_or_store(i, i));
                                 });
                               }};

const row load_or_store_collision{"MapLoadOrStoreCollision", [](run& r) {
                                    map_row(r, 1, [](share& mine, std::int64_t, map& m) {
                                      while (mine.next())
                                        benchmark::DoNotOptimize(m.load_or_store(0, 0));
                                    });
                                  }};

const row load_and_delete_balanced{
    "MapLoadAndDeleteBalanced", [](run& r) {
      map_row(r, hits, [](share& mine, std::int64_t i, map& m) {
        for (; mine.next(); ++i) {
          const std::int64_t j = i % (hits + misses);
          benchmark::DoNotOptimize(m.load_and_delete(j < hits ? j : i));
        }
      });
    }};

const row load_and_delete_unique{"MapLoadAndDeleteUnique", [](run& r) {
                                   map_row(r, 0, [](share& mine, std::int64_t i, map& m) {
                                     for (; mine.next(); ++i)
                                       benchmark::DoNotOptimize(m.load_and_delete(i));
                                   });
                                 }};

const row load_and_delete_collision{"MapLoadAndDeleteCollision", [](run& r) {
                                      map_row(r, 1, [](share& mine, std::int64_t, map& m) {
                                        while (mine.next()) {
                                          if (m.load_and_delete(0)) m.store(0, 0);
                                        }
                                      });
                                    }};

const row range{"MapRange", [](run& r) {
                  map_row(r, 1 << 10, [](share& mine, std::int64_t, map& m) {
                    while (mine.next()) {
                      m.range([](const std::int64_t& key, const std::int64_t& value) {
                        benchmark::DoNotOptimize(key);
                        benchmark::DoNotOptimize(value);
                        return true;
                      });
                    }
                  });
                }};

const row swap_collision{"MapCompareAndSwapCollision", [](run& r) {
                           map_row(r, 1, [](share& mine, std::int64_t, map& m) {
                             while (mine.next()) {
                               if (m.compare_and_swap(0, 0, 42)) m.compare_and_swap(0, 42, 0);
                             }
                           });
                         }};

const row swap_hits{"MapCompareAndSwapMostlyHits", [](run& r) {
                      constexpr std::int64_t all = 1024;
                      map_row(r, all - 1, [](share& mine, std::int64_t i, map& m) {
                        for (; mine.next(); ++i) {
                          const std::int64_t j = i % all;
                          const std::int64_t v = j < all - 1 ? j : i;
                          m.compare_and_swap(v, v, v);
                        }
                      });
                    }};

}  // namespace
}  // namespace bench
