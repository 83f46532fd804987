import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The rows of the benchmarks that Java has: virtual threads (JDK 21) with the queues of java.util.concurrent.
 *
 * <pre>java Bench --list | NAME --procs P --time SECONDS</pre>
 *
 * <p>The number of processors is a property of the virtual threads' scheduler, set by the driver. Each line of the
 * output is a name, a metric and its value. A row is executed again and again with more operations, so the last
 * execution, the one that counts, runs compiled code.
 */
public final class Bench {
  private static int procs = 1;

  private interface Body {
    Sample run(long n) throws Exception;
  }

  private interface Task {
    void run() throws Exception;
  }

  private record Sample(double nanoseconds, double units, Map<String, Double> extra) {
    static Sample since(long start) {
      return new Sample(System.nanoTime() - start, 1, Map.of());
    }

    Sample per(double count) {
      return new Sample(nanoseconds, count, extra);
    }
  }

  private static void start(Task task) {
    Thread.startVirtualThread(() -> {
      try {
        task.run();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    });
  }

  private static long scaled(long n) {
    String divisor = System.getenv("BENCH_SCALE");
    return divisor == null ? n : n / Math.max(1, Long.parseLong(divisor));
  }

  private static double residentBytes() throws IOException {
    return 4096.0 * Double.parseDouble(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]);
  }

  private static void createNext(long n, CountDownLatch done) {
    if (n == 0) {
      done.countDown();
    } else {
      Thread.startVirtualThread(() -> createNext(n - 1, done));
    }
  }

  private static Sample create(long n, int chains) throws Exception {
    long begin = System.nanoTime();
    CountDownLatch done = new CountDownLatch(chains);
    for (int i = 0; i < chains; i++) {
      createNext(n / chains, done);
    }
    done.await();
    return Sample.since(begin);
  }

  private static Sample eachOf(int threads, Task task) throws Exception {
    long begin = System.nanoTime();
    CountDownLatch done = new CountDownLatch(threads);
    for (int i = 0; i < threads; i++) {
      start(() -> {
        task.run();
        done.countDown();
      });
    }
    done.await();
    return Sample.since(begin);
  }

  private static Sample yields(long n) throws Exception {
    long share = n / (2L * procs);
    return eachOf(2 * procs, () -> {
      for (long i = 0; i < share; i++) {
        Thread.yield();
      }
    });
  }

  private static Sample mutex(long n, boolean common) throws Exception {
    ReentrantLock shared = new ReentrantLock();
    long share = n / procs;
    return eachOf(procs, () -> {
      ReentrantLock lock = common ? shared : new ReentrantLock();
      for (long i = 0; i < share; i++) {
        lock.lock();
        lock.unlock();
      }
    });
  }

  private static Sample uncontended(long n) throws Exception {
    long share = n / procs;
    return eachOf(procs, () -> {
      BlockingQueue<Long> queue = new ArrayBlockingQueue<>(100);
      for (long i = 0; i < share; i++) {
        for (int k = 0; k < 100; k++) {
          queue.put(0L);
        }
        for (int k = 0; k < 100; k++) {
          queue.take();
        }
      }
    });
  }

  private static Sample prodCons(long n, BlockingQueue<Long> queue) throws Exception {
    long share = n / procs;
    AtomicLong role = new AtomicLong();
    return eachOf(2 * procs, () -> {
      if (role.getAndIncrement() % 2 == 0) {
        for (long i = 0; i < share; i++) {
          queue.put(1L);
        }
        queue.put(0L);
      } else {
        while (queue.take() != 0) {
        }
      }
    });
  }

  private static void skynet(BlockingQueue<Long> up, long num, long size) throws Exception {
    if (size == 1) {
      up.put(num);
      return;
    }
    BlockingQueue<Long> children = new ArrayBlockingQueue<>(10);
    for (long i = 0; i < 10; i++) {
      long first = num + i * (size / 10);
      start(() -> skynet(children, first, size / 10));
    }
    long sum = 0;
    for (int i = 0; i < 10; i++) {
      sum += children.take();
    }
    up.put(sum);
  }

  private static Sample skynet1m(long n) throws Exception {
    long size = scaled(1000000);
    long threads = 0;
    for (long s = size; s >= 1; s /= 10) {
      threads += s;
    }
    long begin = System.nanoTime();
    for (long i = 0; i < n; i++) {
      BlockingQueue<Long> up = new ArrayBlockingQueue<>(1);
      start(() -> skynet(up, 0, size));
      require(up.take() == size * (size - 1) / 2);
    }
    return Sample.since(begin).per(threads);
  }

  private static void require(boolean condition) {
    if (!condition) {
      throw new IllegalStateException("wrong result");
    }
  }

  private static Sample threadRing(long n) throws Exception {
    final int size = 503;
    List<BlockingQueue<Long>> ring = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      ring.add(new SynchronousQueue<>());
    }
    CountDownLatch done = new CountDownLatch(1);
    for (int i = 0; i < size; i++) {
      BlockingQueue<Long> in = ring.get(i);
      BlockingQueue<Long> out = ring.get((i + 1) % size);
      start(() -> {
        for (long token; (token = in.take()) >= 0;) {
          if (token == 0) {
            done.countDown();
            return;
          }
          out.put(token - 1);
        }
      });
    }
    long begin = System.nanoTime();
    ring.get(0).put(n);
    done.await();
    return Sample.since(begin);
  }

  private static Sample pingPong(long n) throws Exception {
    BlockingQueue<Long> ping = new SynchronousQueue<>();
    BlockingQueue<Long> pong = new SynchronousQueue<>();
    long rounds = n / 2 + 1;
    long begin = System.nanoTime();
    CountDownLatch done = new CountDownLatch(2);
    start(() -> {
      for (long i = 0; i < rounds; i++) {
        pong.put(ping.take() + 1);
      }
      done.countDown();
    });
    start(() -> {
      long v = 0;
      for (long i = 0; i < rounds; i++) {
        ping.put(v);
        v = pong.take();
      }
      require(v == rounds);
      done.countDown();
    });
    done.await();
    return Sample.since(begin);
  }

  private static final long SIEVE_END = 2147483647;

  private static void sieve(long primes) throws Exception {
    BlockingQueue<Long> source = new SynchronousQueue<>();
    AtomicBoolean stop = new AtomicBoolean();
    start(() -> {
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
      start(() -> {
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
    require(primes != 1000 || prime == 7919);
  }

  private static Sample primeSieve(long n) throws Exception {
    return eachOf(1, () -> {
      for (long i = 0; i < n; i++) {
        sieve(scaled(1000));
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

  private static Sample spawnTree(long n) throws Exception {
    boolean whole = scaled(1000000) == 1000000;
    return eachOf(1, () -> {
      try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
        for (long i = 0; i < n; i++) {
          require(fib(threads, whole ? 27 : 22) == (whole ? 196418 : 17711));
        }
      }
    }).per(whole ? 317810 : 28656);
  }

  private static Sample crowd(long n, boolean sleep) throws Exception {
    int count = (int) scaled(1000000);
    double spawn = 0;
    double wake = 0;
    double bytes = 0;
    for (long round = 0; round < n; round++) {
      double before = residentBytes();
      CountDownLatch gate = new CountDownLatch(1);
      CountDownLatch here = new CountDownLatch(count);
      CountDownLatch gone = new CountDownLatch(count);
      long begin = System.nanoTime();
      long moment = begin + scaled(5000) * 1000000;
      for (int i = 0; i < count; i++) {
        start(() -> {
          here.countDown();
          if (sleep) {
            TimeUnit.NANOSECONDS.sleep(moment - System.nanoTime());
          } else {
            gate.await();
          }
          gone.countDown();
        });
      }
      here.await();
      spawn += System.nanoTime() - begin;
      bytes += residentBytes() - before;
      long opened = sleep ? moment : System.nanoTime();
      gate.countDown();
      gone.await();
      wake += System.nanoTime() - opened;
    }
    double all = (double) n * count;
    return new Sample(spawn + wake, count,
        Map.of("spawn-ns", spawn / all, "wake-ns", wake / all, "bytes", bytes / all));
  }

  private static Sample workerPool(long n) throws Exception {
    BlockingQueue<Long> jobs = new ArrayBlockingQueue<>(64);
    BlockingQueue<Long> results = new ArrayBlockingQueue<>(64);
    for (int w = 0; w < 8; w++) {
      start(() -> {
        for (long v; (v = jobs.take()) >= 0;) {
          results.put(2 * v);
        }
      });
    }
    start(() -> {
      for (long i = 0; i < n; i++) {
        jobs.put(i);
      }
      for (int w = 0; w < 8; w++) {
        jobs.put(-1L);
      }
    });
    return eachOf(1, () -> {
      for (long i = 0; i < n; i++) {
        results.take();
      }
    });
  }

  private static Sample pipeline(long n) throws Exception {
    BlockingQueue<Long> numbers = new ArrayBlockingQueue<>(16);
    BlockingQueue<Long> squares = new ArrayBlockingQueue<>(16);
    start(() -> {
      for (long i = 0; i < n; i++) {
        numbers.put(i);
      }
    });
    start(() -> {
      for (long i = 0; i < n; i++) {
        long v = numbers.take();
        squares.put(v * v);
      }
    });
    return eachOf(1, () -> {
      long sum = 0;
      for (long i = 0; i < n; i++) {
        sum += squares.take();
      }
      require(n < 3 || sum != 0);
    });
  }

  private static Map<String, Body> rows() {
    Map<String, Body> rows = new LinkedHashMap<>();
    rows.put("CreateGoroutines", n -> create(n, 1));
    rows.put("CreateGoroutinesParallel", n -> create(n, procs));
    rows.put("Yield", Bench::yields);
    rows.put("MutexUncontended", n -> mutex(n, false));
    rows.put("Mutex", n -> mutex(n, true));
    rows.put("ChanUncontended", Bench::uncontended);
    rows.put("ChanProdCons0", n -> prodCons(n, new SynchronousQueue<>()));
    rows.put("ChanProdCons10", n -> prodCons(n, new ArrayBlockingQueue<>(10)));
    rows.put("ChanProdCons100", n -> prodCons(n, new ArrayBlockingQueue<>(100)));
    rows.put("Skynet1M", Bench::skynet1m);
    rows.put("ThreadRing503", Bench::threadRing);
    rows.put("PingPong", Bench::pingPong);
    rows.put("PrimeSieve", Bench::primeSieve);
    rows.put("SpawnTree", Bench::spawnTree);
    rows.put("Parked1M", n -> crowd(n, false));
    rows.put("Sleepers1M", n -> crowd(n, true));
    rows.put("WorkerPool", Bench::workerPool);
    rows.put("Pipeline3", Bench::pipeline);
    return rows;
  }

  /** What is compiled at run time is not measured while it is being compiled. */
  private static final double WARM_UP = 1.5e9;

  private static long more(long n, Sample sample, double wanted) {
    double next = wanted / Math.max(sample.nanoseconds, 1) * n * 1.2;
    return sample.nanoseconds >= wanted ? n : Math.max(n + 1, Math.min((long) next, n * 100));
  }

  /** More and more operations until one execution takes long enough. */
  private static void measure(String name, Body body, double seconds) throws Exception {
    double wanted = seconds * 1e9;
    long n = 1;
    for (long begin = System.nanoTime(); System.nanoTime() - begin < WARM_UP;) {
      Sample sample = body.run(n);
      if (!sample.extra.isEmpty()) {  // a million threads are warm-up enough
        print(name, sample, n);
        return;
      }
      n = more(n, sample, wanted);
    }
    for (;;) {
      Sample sample = body.run(n);
      if (sample.nanoseconds >= wanted || n >= 1000000000) {
        print(name, sample, n);
        return;
      }
      n = more(n, sample, wanted);
    }
  }

  private static void print(String name, Sample sample, long n) {
    System.out.println(name + " ns/op " + sample.nanoseconds / n / sample.units);
    sample.extra.forEach((metric, value) -> System.out.println(name + " " + metric + " " + value));
  }

  public static void main(String[] args) throws Exception {
    Map<String, Body> rows = rows();
    if (args.length == 0 || args[0].equals("--list")) {
      rows.keySet().forEach(System.out::println);
      return;
    }
    double seconds = 0.2;
    for (int i = 1; i + 1 < args.length; i += 2) {
      switch (args[i]) {
        case "--procs" -> procs = Integer.parseInt(args[i + 1]);
        case "--time" -> seconds = Double.parseDouble(args[i + 1]);
        default -> throw new IllegalArgumentException(args[i]);
      }
    }
    measure(args[0], rows.get(args[0]), seconds);
    System.exit(0);  // threads of a row may still wait in its queues
  }
}
