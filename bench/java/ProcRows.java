import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/** Starting virtual threads, and yielding. */
final class ProcRows {
  private ProcRows() {}

  static void addTo(Map<String, Harness.Body> rows) {
    rows.put("CreateGoroutines", n -> create(n, 1));
    rows.put("CreateGoroutinesParallel", n -> create(n, Harness.procs));
    rows.put("CreateGoroutinesCapture", ProcRows::createCapture);
    rows.put("CreateGoroutinesSingle", ProcRows::createSingle);
    rows.put("Yield", ProcRows::yields);
  }

  private static void createNext(long n, CountDownLatch done) {
    if (n == 0) {
      done.countDown();
    } else {
      Thread.startVirtualThread(() -> createNext(n - 1, done));
    }
  }

  private static Harness.Sample create(long n, int chains) throws Exception {
    long begin = System.nanoTime();
    CountDownLatch done = new CountDownLatch(chains);
    for (int i = 0; i < chains; i++) {
      createNext(n / chains, done);
    }
    done.await();
    return Harness.Sample.since(begin);
  }

  private static Harness.Sample createCapture(long n) throws Exception {
    final int threads = 4;
    AtomicBoolean wrong = new AtomicBoolean();
    Harness.Sample sample = Harness.alone(() -> {
      for (long i = 0; i < n; i++) {
        CountDownLatch done = new CountDownLatch(threads);
        for (int j = 0; j < threads; j++) {
          int captured = j;
          Thread.startVirtualThread(() -> {
            if (captured >= threads) {
              wrong.set(true);
            }
            done.countDown();
          });
        }
        done.await();
      }
    });
    Harness.require(!wrong.get());
    return sample;
  }

  /** Returns once every processor has run a thread at the same time as all the others. */
  private static void occupyAllProcs() throws Exception {
    AtomicInteger here = new AtomicInteger();
    Harness.eachOf(Harness.procs, index -> {
      here.incrementAndGet();
      while (here.get() < Harness.procs) {
        Thread.onSpinWait();
      }
      for (long begin = System.nanoTime(); System.nanoTime() - begin < 1000000;) {
        Thread.onSpinWait();
      }
    });
  }

  private static Harness.Sample createSingle(long n) throws Exception {
    occupyAllProcs();
    return Harness.alone(() -> {
      CountDownLatch done = new CountDownLatch((int) n);
      for (long i = 0; i < n; i++) {
        Thread.startVirtualThread(done::countDown);
      }
      done.await();
    });
  }

  private static Harness.Sample yields(long n) throws Exception {
    return Harness.sharedOut(n, 2 * Harness.procs, (index, count) -> {
      for (long i = 0; i < count; i++) {
        Thread.yield();
      }
    });
  }
}
