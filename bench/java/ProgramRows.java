import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.atomic.AtomicBoolean;

/** Whole programs that pass messages, and trees of threads. */
final class ProgramRows {
  private static final long SIEVE_END = 2147483647;

  private ProgramRows() {}

  static void addTo(Map<String, Harness.Body> rows) {
    rows.put("Skynet1M", ProgramRows::skynet1m);
    rows.put("ThreadRing503", ProgramRows::threadRing);
    rows.put("PingPong", ProgramRows::pingPong);
    rows.put("PrimeSieve", ProgramRows::primeSieve);
    rows.put("SpawnTree", ProgramRows::spawnTree);
    rows.put("WorkerPool", ProgramRows::workerPool);
    rows.put("Pipeline3", ProgramRows::pipeline);
  }

  private static void skynet(BlockingQueue<Long> up, long num, long size) throws Exception {
    if (size == 1) {
      up.put(num);
      return;
    }
    BlockingQueue<Long> children = new ArrayBlockingQueue<>(10);
    for (long i = 0; i < 10; i++) {
      long first = num + i * (size / 10);
      Harness.start(() -> skynet(children, first, size / 10));
    }
    long sum = 0;
    for (int i = 0; i < 10; i++) {
      sum += children.take();
    }
    up.put(sum);
  }

  private static Harness.Sample skynet1m(long n) throws Exception {
    long size = Harness.scaled(1000000);
    long threads = 0;
    for (long s = size; s >= 1; s /= 10) {
      threads += s;
    }
    long begin = System.nanoTime();
    for (long i = 0; i < n; i++) {
      BlockingQueue<Long> up = new ArrayBlockingQueue<>(1);
      Harness.start(() -> skynet(up, 0, size));
      Harness.require(up.take() == size * (size - 1) / 2);
    }
    return Harness.Sample.since(begin).per(threads);
  }

  private static Harness.Sample threadRing(long n) throws Exception {
    final int size = 503;
    List<BlockingQueue<Long>> ring = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      ring.add(new SynchronousQueue<>());
    }
    CountDownLatch done = new CountDownLatch(1);
    for (int i = 0; i < size; i++) {
      BlockingQueue<Long> in = ring.get(i);
      BlockingQueue<Long> out = ring.get((i + 1) % size);
      Harness.start(() -> {
        for (long token; (token = in.take()) >= 0;) {
          if (token == 0) {
            done.countDown();
          } else {
            out.put(token - 1);
          }
        }
      });
    }
    long begin = System.nanoTime();
    ring.get(0).put(n);
    done.await();
    Harness.Sample sample = Harness.Sample.since(begin);
    for (BlockingQueue<Long> queue : ring) {
      queue.put(-1L);
    }
    return sample;
  }

  private static Harness.Sample pingPong(long n) throws Exception {
    BlockingQueue<Long> ping = new SynchronousQueue<>();
    BlockingQueue<Long> pong = new SynchronousQueue<>();
    long rounds = n / 2 + 1;
    long begin = System.nanoTime();
    CountDownLatch done = new CountDownLatch(2);
    Harness.start(() -> {
      for (long i = 0; i < rounds; i++) {
        pong.put(ping.take() + 1);
      }
      done.countDown();
    });
    Harness.start(() -> {
      long v = 0;
      for (long i = 0; i < rounds; i++) {
        ping.put(v);
        v = pong.take();
      }
      Harness.require(v == rounds);
      done.countDown();
    });
    done.await();
    return Harness.Sample.since(begin);
  }

  private static void sieve(long primes) throws Exception {
    BlockingQueue<Long> source = new SynchronousQueue<>();
    AtomicBoolean stop = new AtomicBoolean();
    Harness.start(() -> {
      for (long v = 2; !stop.get(); v++) {
        source.put(v);
      }
      source.put(SIEVE_END);
    });
    BlockingQueue<Long> last = source;
    long prime = 0;
    for (long p = 0; p < primes; p++) {
      BlockingQueue<Long> in = last;
      BlockingQueue<Long> out = new SynchronousQueue<>();
      long divisor = in.take();
      prime = divisor;
      Harness.start(() -> {
        for (long v = 0; v != SIEVE_END;) {
          v = in.take();
          if (v % divisor != 0) {
            out.put(v);
          }
        }
      });
      last = out;
    }
    stop.set(true);
    while (last.take() != SIEVE_END) {
    }
    Harness.require(primes != 1000 || prime == 7919);
  }

  private static Harness.Sample primeSieve(long n) throws Exception {
    return Harness.alone(() -> {
      for (long i = 0; i < n; i++) {
        sieve(Harness.scaled(1000));
      }
    });
  }

  private static long fib(ExecutorService threads, int n) throws Exception {
    if (n < 2) {
      return n;
    }
    Future<Long> other = threads.submit(() -> fib(threads, n - 1));
    long mine = fib(threads, n - 2);
    return mine + other.get();
  }

  private static Harness.Sample spawnTree(long n) throws Exception {
    boolean whole = Harness.scaled(1000000) == 1000000;
    return Harness.alone(() -> {
      try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
        for (long i = 0; i < n; i++) {
          Harness.require(fib(threads, whole ? 27 : 22) == (whole ? 196418 : 17711));
        }
      }
    }).per(whole ? 317810 : 28656);
  }

  private static Harness.Sample workerPool(long n) throws Exception {
    BlockingQueue<Long> jobs = new ArrayBlockingQueue<>(64);
    BlockingQueue<Long> results = new ArrayBlockingQueue<>(64);
    for (int w = 0; w < 8; w++) {
      Harness.start(() -> {
        for (long v; (v = jobs.take()) >= 0;) {
          results.put(2 * v);
        }
      });
    }
    Harness.start(() -> {
      for (long i = 0; i < n; i++) {
        jobs.put(i);
      }
      for (int w = 0; w < 8; w++) {
        jobs.put(-1L);
      }
    });
    return Harness.alone(() -> {
      for (long i = 0; i < n; i++) {
        results.take();
      }
    });
  }

  private static Harness.Sample pipeline(long n) throws Exception {
    BlockingQueue<Long> numbers = new ArrayBlockingQueue<>(16);
    BlockingQueue<Long> squares = new ArrayBlockingQueue<>(16);
    Harness.start(() -> {
      for (long i = 0; i < n; i++) {
        numbers.put(i);
      }
    });
    Harness.start(() -> {
      for (long i = 0; i < n; i++) {
        long v = numbers.take();
        squares.put(v * v);
      }
    });
    return Harness.alone(() -> {
      long sum = 0;
      for (long i = 0; i < n; i++) {
        sum += squares.take();
      }
      Harness.require(n < 3 || sum != 0);
    });
  }
}
