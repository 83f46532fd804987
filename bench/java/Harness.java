import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/** What the rows share: starting and awaiting virtual threads, and what is measured beside the time. */
final class Harness {
  /** The processors of this run, set once before any row runs. */
  static int procs = 1;

  /** Whoever reads this may see what a row computed, so the compiler must not leave it out. */
  private static volatile Object shared;

  private Harness() {}

  /** A row: does n operations and says how long they took. */
  interface Body {
    Sample run(long n) throws Exception;
  }

  interface Task {
    void run() throws Exception;
  }

  /** The part of one of several equal threads. */
  interface Member {
    void run(int index) throws Exception;
  }

  /** The part of one of several threads that share out n operations. */
  interface Share {
    void run(int index, long count) throws Exception;
  }

  record Sample(double nanoseconds, double units, Map<String, Double> extra) {
    static Sample since(long start) {
      return new Sample(System.nanoTime() - start, 1, Map.of());
    }

    Sample per(double count) {
      return new Sample(nanoseconds, count, extra);
    }
  }

  static void start(Task task) {
    Thread.startVirtualThread(() -> {
      try {
        task.run();
      } catch (Throwable e) {  // nobody would await the others: the row has failed
        System.err.println(e);
        Runtime.getRuntime().halt(1);
      }
    });
  }

  static Sample eachOf(int threads, Member member) throws InterruptedException {
    long begin = System.nanoTime();
    CountDownLatch done = new CountDownLatch(threads);
    for (int i = 0; i < threads; i++) {
      int index = i;
      start(() -> {
        member.run(index);
        done.countDown();
      });
    }
    done.await();
    return Sample.since(begin);
  }

  static Sample alone(Task task) throws InterruptedException {
    return eachOf(1, index -> task.run());
  }

  static Sample sharedOut(long n, int threads, Share share) throws InterruptedException {
    return eachOf(threads, index -> share.run(index, n / threads + (index < n % threads ? 1 : 0)));
  }

  /** One thread for each processor. */
  static Sample parallel(long n, Share share) throws InterruptedException {
    return sharedOut(n, procs, share);
  }

  static void keep(Object result) {
    shared = result;
  }

  static void require(boolean condition) {
    if (!condition) {
      throw new IllegalStateException("wrong result");
    }
  }

  /** Divides the size of a whole program by BENCH_SCALE, which the driver sets for quick runs. */
  static long scaled(long n) {
    String divisor = System.getenv("BENCH_SCALE");
    return divisor == null ? n : n / Math.max(1, Long.parseLong(divisor));
  }

  static double residentBytes() throws IOException {
    return 4096.0 * Double.parseDouble(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]);
  }

  /** Voluntary context switches of all threads of this process since their start. */
  static long threadSwitches() throws IOException {
    long sum = 0;
    try (DirectoryStream<Path> threads = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
      for (Path thread : threads) {
        sum += switchesOf(thread);
      }
    }
    return sum;
  }

  private static long switchesOf(Path thread) throws IOException {
    final String label = "voluntary_ctxt_switches:";
    try {
      for (String line : Files.readAllLines(thread.resolve("status"))) {
        if (line.startsWith(label)) {
          return Long.parseLong(line.substring(label.length()).strip());
        }
      }
    } catch (NoSuchFileException e) {
      // it has ended since the folder was read
    }
    return 0;
  }
}
