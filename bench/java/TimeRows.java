import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Timers of the scheduled executor, and sleeps, among 32768 that are pending for each processor. */
final class TimeRows {
  private static final int PENDING = 1 << 15;

  private TimeRows() {}

  /** What one thread does to the timers. */
  private interface Part {
    void run(ScheduledExecutorService timers, long count) throws InterruptedException;
  }

  static void addTo(Map<String, Harness.Body> rows) {
    rows.put("AfterFunc1000", n -> amongTimers(n, TimeRows::afterFunc));
    rows.put("StopFunc", n -> amongTimers(n, TimeRows::stopFunc));
    rows.put("SimultaneousAfterFunc1000", n -> amongTimers(n, TimeRows::simultaneous));
    rows.put("StartStop1000", n -> amongTimers(n, TimeRows::startStop));
    rows.put("Sleep1000", n -> amongSleepers(n, TimeRows::sleep));
  }

  /** Its threads are plain ones beside the processors: virtual ones were slower in most rows. */
  static ScheduledThreadPoolExecutor newTimers() {
    ScheduledThreadPoolExecutor timers = new ScheduledThreadPoolExecutor(Harness.procs);
    timers.setRemoveOnCancelPolicy(true);
    return timers;
  }

  /** Ends the timers and waits until none of their threads runs. */
  static void end(ScheduledThreadPoolExecutor timers) throws InterruptedException {
    timers.shutdownNow();
    Harness.require(timers.awaitTermination(1, TimeUnit.MINUTES));
  }

  private static Harness.Sample amongTimers(long n, Part part) throws Exception {
    ScheduledThreadPoolExecutor timers = newTimers();
    Harness.eachOf(Harness.procs, index -> {
      for (int i = 0; i < PENDING; i++) {
        timers.schedule(() -> {}, 1, TimeUnit.HOURS);
      }
    });
    Harness.Sample sample = Harness.parallel(n, (index, count) -> part.run(timers, count));
    end(timers);
    return sample;
  }

  /** A thousand timers due at once, each set by the one before. */
  private static final class Chain {
    private final ScheduledExecutorService timers;
    private final CountDownLatch done = new CountDownLatch(1);
    private int left = 1000;

    Chain(ScheduledExecutorService timers) {
      this.timers = timers;
    }

    void next() {
      if (--left >= 0) {
        timers.schedule(this::next, 0, TimeUnit.NANOSECONDS);
      } else {
        done.countDown();
      }
    }
  }

  private static void afterFunc(ScheduledExecutorService timers, long count) throws InterruptedException {
    for (long i = 0; i < count; i++) {
      Chain chain = new Chain(timers);
      timers.schedule(chain::next, 0, TimeUnit.NANOSECONDS);
      chain.done.await();
    }
  }

  private static void stopFunc(ScheduledExecutorService timers, long count) {
    for (long i = 0; i < count; i++) {
      timers.schedule(() -> {}, 1, TimeUnit.SECONDS).cancel(false);
    }
  }

  private static void simultaneous(ScheduledExecutorService timers, long count) throws InterruptedException {
    final int due = 1000;
    for (long i = 0; i < count; i++) {
      CountDownLatch done = new CountDownLatch(due);
      for (int k = 0; k < due; k++) {
        timers.schedule(done::countDown, 0, TimeUnit.NANOSECONDS);
      }
      done.await();
    }
  }

  private static void startStop(ScheduledExecutorService timers, long count) {
    for (long i = 0; i < count; i++) {
      List<Future<?>> started = new ArrayList<>(1000);
      for (int k = 0; k < 1000; k++) {
        started.add(timers.schedule(() -> {}, 1, TimeUnit.HOURS));
      }
      for (Future<?> timer : started) {
        timer.cancel(false);
      }
    }
  }

  private static void sleepUntilInterrupted(CountDownLatch ended) {
    try {
      Thread.sleep(Duration.ofHours(1));
    } catch (InterruptedException e) {
      ended.countDown();
    }
  }

  /** A virtual thread's sleep is a timer of its own scheduler, so the pending ones are sleeping threads. */
  private static Harness.Sample amongSleepers(long n, Harness.Share share) throws Exception {
    int count = PENDING * Harness.procs;
    CountDownLatch ended = new CountDownLatch(count);
    List<Thread> pending = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      pending.add(Thread.startVirtualThread(() -> sleepUntilInterrupted(ended)));
    }
    for (Thread thread : pending) {
      while (thread.getState() != Thread.State.TIMED_WAITING) {
        Thread.yield();
      }
    }
    Harness.Sample sample = Harness.parallel(n, share);
    pending.forEach(Thread::interrupt);
    ended.await();
    return sample;
  }

  private static void sleep(int index, long count) throws InterruptedException {
    final int threads = 1000;
    for (long i = 0; i < count; i++) {
      CountDownLatch done = new CountDownLatch(threads);
      for (int k = 0; k < threads; k++) {
        Harness.start(() -> {
          Thread.sleep(Duration.ofNanos(1));
          done.countDown();
        });
      }
      done.await();
    }
  }
}
