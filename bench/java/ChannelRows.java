import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.atomic.AtomicLong;

/** Channels: an array queue where there is a capacity, else a synchronous queue. */
final class ChannelRows {
  private static final int BATCH = 1000;

  /** As many of the last queues that a row makes stay reachable: one that goes nowhere might not be allocated. */
  private static final int KEPT = 16;

  private ChannelRows() {}

  static void addTo(Map<String, Harness.Body> rows) {
    rows.put("MakeChanInt", ChannelRows::make);
    rows.put("ChanNonblocking", ChannelRows::nonblocking);
    rows.put("ChanUncontended", ChannelRows::uncontended);
    rows.put("ChanContended", ChannelRows::contended);
    rows.put("ChanSync", ChannelRows::sync);
    rows.put("ChanProdCons0", n -> prodCons(n, new SynchronousQueue<>()));
    rows.put("ChanProdCons10", n -> prodCons(n, new ArrayBlockingQueue<>(10)));
    rows.put("ChanProdCons100", n -> prodCons(n, new ArrayBlockingQueue<>(100)));
    rows.put("ChanCreation", ChannelRows::creation);
    rows.put("ChanSem", ChannelRows::semaphore);
  }

  private static Harness.Sample make(long n) throws Exception {
    return Harness.alone(() -> {
      Object[] made = new Object[KEPT];
      for (long i = 0; i < n; i++) {
        made[(int) i % KEPT] = new ArrayBlockingQueue<Long>(8);
      }
      Harness.keep(made);
    });
  }

  private static Harness.Sample nonblocking(long n) throws Exception {
    BlockingQueue<Long> queue = new SynchronousQueue<>();
    return Harness.parallel(n, (index, count) -> {
      for (long i = 0; i < count; i++) {
        Harness.require(queue.poll() == null);
      }
    });
  }

  private static void fillAndDrain(BlockingQueue<Long> queue) throws InterruptedException {
    for (int k = 0; k < 100; k++) {
      queue.put(0L);
    }
    for (int k = 0; k < 100; k++) {
      queue.take();
    }
  }

  private static Harness.Sample uncontended(long n) throws Exception {
    return Harness.parallel(n, (index, count) -> {
      BlockingQueue<Long> queue = new ArrayBlockingQueue<>(100);
      for (long i = 0; i < count; i++) {
        fillAndDrain(queue);
      }
    });
  }

  private static Harness.Sample contended(long n) throws Exception {
    BlockingQueue<Long> queue = new ArrayBlockingQueue<>(100 * Harness.procs);
    return Harness.parallel(n, (index, count) -> {
      for (long i = 0; i < count; i++) {
        fillAndDrain(queue);
      }
    });
  }

  private static void alternate(BlockingQueue<Long> queue, boolean takeFirst) throws InterruptedException {
    for (int i = 0; i < BATCH; i++) {
      if (takeFirst) {
        queue.take();
        queue.put(0L);
      } else {
        queue.put(0L);
        queue.take();
      }
    }
  }

  /** Two threads that turn the direction of the queue at every message. */
  private static Harness.Sample sync(long n) throws Exception {
    final int pair = 2;
    AtomicLong left = new AtomicLong(n / BATCH / pair * pair);
    BlockingQueue<Long> queue = new SynchronousQueue<>();
    return Harness.eachOf(pair, index -> {
      for (long turn; (turn = left.decrementAndGet()) >= 0;) {
        alternate(queue, turn % 2 == 0);
      }
    });
  }

  private static Harness.Sample prodCons(long n, BlockingQueue<Long> queue) throws Exception {
    long share = n / Harness.procs;
    return Harness.eachOf(2 * Harness.procs, index -> {
      if (index % 2 == 0) {
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

  private static Harness.Sample creation(long n) throws Exception {
    return Harness.parallel(n, (index, count) -> {
      Object[] made = new Object[KEPT];
      long sum = 0;
      for (long i = 0; i < count; i++) {
        BlockingQueue<Long> queue = new ArrayBlockingQueue<>(1);
        made[(int) i % KEPT] = queue;
        queue.put(i);
        sum += queue.take();
      }
      Harness.keep(made);
      Harness.require(sum == count * (count - 1) / 2);
    });
  }

  private static Harness.Sample semaphore(long n) throws Exception {
    BlockingQueue<Boolean> queue = new ArrayBlockingQueue<>(Harness.procs);
    return Harness.parallel(n, (index, count) -> {
      for (long i = 0; i < count; i++) {
        queue.put(true);
        queue.take();
      }
    });
  }
}
