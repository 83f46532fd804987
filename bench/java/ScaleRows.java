import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Whole programs with a million threads or millions of timers. */
final class ScaleRows {
  private ScaleRows() {}

  static void addTo(Map<String, Harness.Body> rows) {
    rows.put("Parked1M", n -> crowd(n, false));
    rows.put("Sleepers1M", n -> crowd(n, true));
    rows.put("TimerChurn10M", ScaleRows::timerChurn);
    rows.put("Idle100k", ScaleRows::idle);
  }

  private static Harness.Sample crowd(long n, boolean sleep) throws Exception {
    int count = (int) Harness.scaled(1000000);
    double spawn = 0;
    double wake = 0;
    double bytes = 0;
    for (long round = 0; round < n; round++) {
      double before = Harness.residentBytes();
      CountDownLatch gate = new CountDownLatch(1);
      CountDownLatch here = new CountDownLatch(count);
      CountDownLatch gone = new CountDownLatch(count);
      long begin = System.nanoTime();
      long moment = begin + Harness.scaled(5000) * 1000000;
      for (int i = 0; i < count; i++) {
        Harness.start(() -> {
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
      bytes += Harness.residentBytes() - before;
      long opened = sleep ? moment : System.nanoTime();
      gate.countDown();
      gone.await();
      wake += System.nanoTime() - opened;
    }
    double all = (double) n * count;
    return new Harness.Sample(spawn + wake, count,
        Map.of("spawn-ns", spawn / all, "wake-ns", wake / all, "bytes", bytes / all));
  }

  /** The same small generator in every language here, so that none pays for a better one. */
  private static final class Xorshift {
    private long v;

    Xorshift(long seed) {
      v = seed;
    }

    long below(long end) {
      v ^= v << 13;
      v ^= v >>> 7;
      v ^= v << 17;
      return Long.remainderUnsigned(v, end);
    }
  }

  private static Future<?> startTimer(ScheduledExecutorService timers, Xorshift random) {
    long due = 5000000000L + random.below(10000000000L);
    return timers.schedule(() -> {}, due, TimeUnit.NANOSECONDS);
  }

  private static void churn(ScheduledExecutorService timers, long seed, int alive, long replacements) {
    Xorshift random = new Xorshift(seed);
    Future<?>[] mine = new Future<?>[alive];
    for (int k = 0; k < alive; k++) {
      mine[k] = startTimer(timers, random);
    }
    for (long i = 0; i < replacements; i++) {
      int k = (int) random.below(alive);
      mine[k].cancel(false);
      mine[k] = startTimer(timers, random);
    }
    for (Future<?> timer : mine) {
      timer.cancel(false);
    }
  }

  /** A hundred thousand timers are alive; ten million times one of them is cancelled and replaced. */
  private static Harness.Sample timerChurn(long n) throws Exception {
    int alive = (int) Harness.scaled(100000) / Harness.procs;
    long replacements = Harness.scaled(10000000);
    ScheduledThreadPoolExecutor timers = TimeRows.newTimers();
    long begin = System.nanoTime();
    for (long i = 0; i < n; i++) {
      Harness.eachOf(Harness.procs,
          index -> churn(timers, index + 1, alive, replacements / Harness.procs));
    }
    Harness.Sample sample = Harness.Sample.since(begin).per(replacements);
    TimeRows.end(timers);
    return sample;
  }

  /** How often any thread of an idle process wakes in a second; the end of this one's sleep is not counted. */
  private static Harness.Sample idle(long n) throws Exception {
    int count = (int) Harness.scaled(100000);
    CountDownLatch gate = new CountDownLatch(1);
    CountDownLatch here = new CountDownLatch(count);
    CountDownLatch gone = new CountDownLatch(count);
    long begin = System.nanoTime();
    for (int i = 0; i < count; i++) {
      Harness.start(() -> {
        here.countDown();
        gate.await();
        gone.countDown();
      });
    }
    here.await();
    Thread.sleep(500);  // until spinning has ended
    long before = Harness.threadSwitches();
    long asleep = System.nanoTime();
    Thread.sleep(1000);
    double switches = Harness.threadSwitches() - before - 1;
    double wakeups = Math.max(switches, 0) * 1e9 / (System.nanoTime() - asleep);
    gate.countDown();
    gone.await();
    return new Harness.Sample(System.nanoTime() - begin, 1, Map.of("wakeups-per-s", wakeups));
  }
}
