import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;

/** The concurrent hash map, with boxed keys and values. */
final class MapRows {
  private static final int HITS = 128;
  private static final int MISSES = 128;

  private MapRows() {}

  /** What one thread does to the map, with its own range of keys from the first on. */
  private interface Part {
    void run(ConcurrentMap<Long, Long> map, long first, long count);
  }

  static void addTo(Map<String, Harness.Body> rows) {
    rows.put("MapLoadMostlyHits", n -> load(n, 1023, 1));
    rows.put("MapLoadMostlyMisses", n -> load(n, 1, 1023));
    rows.put("MapLoadOrStoreBalanced", n -> mapRow(n, HITS, MapRows::loadOrStoreBalanced));
    rows.put("MapLoadOrStoreUnique", n -> mapRow(n, 0, MapRows::loadOrStoreUnique));
    rows.put("MapLoadOrStoreCollision", n -> mapRow(n, 1, MapRows::loadOrStoreCollision));
    rows.put("MapLoadAndDeleteBalanced", n -> mapRow(n, HITS, MapRows::loadAndDeleteBalanced));
    rows.put("MapLoadAndDeleteUnique", n -> mapRow(n, 0, MapRows::loadAndDeleteUnique));
    rows.put("MapLoadAndDeleteCollision", n -> mapRow(n, 1, MapRows::loadAndDeleteCollision));
    rows.put("MapRange", n -> mapRow(n, 1024, MapRows::range));
    rows.put("MapCompareAndSwapCollision", n -> mapRow(n, 1, MapRows::swapCollision));
    rows.put("MapCompareAndSwapMostlyHits", n -> mapRow(n, 1023, MapRows::swapHits));
  }

  /** Fills a map with the keys 0 ... present-1, then runs one thread for each processor over disjoint ranges. */
  private static Harness.Sample mapRow(long n, long present, Part part) throws Exception {
    ConcurrentMap<Long, Long> map = new ConcurrentHashMap<>();
    for (long i = 0; i < present; i++) {
      map.put(i, i);
    }
    return Harness.parallel(n, (index, count) -> part.run(map, index * n, count));
  }

  private static Harness.Sample load(long n, long hits, long misses) throws Exception {
    return mapRow(n, hits, (map, first, count) -> {
      long found = 0;
      for (long i = first; i < first + count; i++) {
        found += map.get(i % (hits + misses)) == null ? 0 : 1;
      }
      Harness.keep(found);
    });
  }

  private static void loadOrStoreBalanced(ConcurrentMap<Long, Long> map, long first, long count) {
    long loaded = 0;
    for (long i = first; i < first + count; i++) {
      long key = i % (HITS + MISSES);
      loaded += map.putIfAbsent(key < HITS ? key : i, i) == null ? 0 : 1;
    }
    Harness.keep(loaded);
  }

  private static void loadOrStoreUnique(ConcurrentMap<Long, Long> map, long first, long count) {
    for (long i = first; i < first + count; i++) {
      Harness.require(map.putIfAbsent(i, i) == null);
    }
  }

  private static void loadOrStoreCollision(ConcurrentMap<Long, Long> map, long first, long count) {
    for (long i = 0; i < count; i++) {
      Harness.require(map.putIfAbsent(0L, 0L) != null);
    }
  }

  private static void loadAndDeleteBalanced(ConcurrentMap<Long, Long> map, long first, long count) {
    long deleted = 0;
    for (long i = first; i < first + count; i++) {
      long key = i % (HITS + MISSES);
      deleted += map.remove(key < HITS ? key : i) == null ? 0 : 1;
    }
    Harness.keep(deleted);
  }

  private static void loadAndDeleteUnique(ConcurrentMap<Long, Long> map, long first, long count) {
    for (long i = first; i < first + count; i++) {
      Harness.require(map.remove(i) == null);
    }
  }

  private static void loadAndDeleteCollision(ConcurrentMap<Long, Long> map, long first, long count) {
    for (long i = 0; i < count; i++) {
      if (map.remove(0L) != null) {
        map.put(0L, 0L);
      }
    }
  }

  private static void range(ConcurrentMap<Long, Long> map, long first, long count) {
    long[] sum = new long[1];
    for (long i = 0; i < count; i++) {
      map.forEach((key, value) -> sum[0] += key + value);
    }
    Harness.require(sum[0] == count * 1023 * 1024);
  }

  private static void swapCollision(ConcurrentMap<Long, Long> map, long first, long count) {
    for (long i = 0; i < count; i++) {
      if (map.replace(0L, 0L, 42L)) {
        map.replace(0L, 42L, 0L);
      }
    }
  }

  private static void swapHits(ConcurrentMap<Long, Long> map, long first, long count) {
    for (long i = first; i < first + count; i++) {
      long key = i % 1024;
      Long value = key < 1023 ? key : i;
      map.replace(value, value, value);
    }
  }
}
