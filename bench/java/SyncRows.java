import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.StampedLock;

/** Locks, conditions, latches and semaphores. */
final class SyncRows {
  private SyncRows() {}

  static void addTo(Map<String, Harness.Body> rows) {
    rows.put("MutexUncontended", SyncRows::mutexUncontended);
    rows.put("Mutex", n -> mutex(n, Harness.procs));
    rows.put("MutexSlack", n -> mutex(n, 10 * Harness.procs));
    rows.put("RWMutexUncontended", SyncRows::rwUncontended);
    rows.put("RWMutexWrite100", n -> rwMutex(n, 100));
    rows.put("RWMutexWrite10", n -> rwMutex(n, 10));
    for (int waiters = 1; waiters <= 32; waiters *= 2) {
      int others = waiters;
      rows.put("Cond" + waiters, n -> new Rounds(others).run(n));
    }
    rows.put("WaitGroupActuallyWait", SyncRows::actuallyWait);
    rows.put("WeightedUncontended", SyncRows::weightedUncontended);
    rows.put("WeightedMany", SyncRows::weightedMany);
    rows.put("WeightedContended", SyncRows::weightedContended);
  }

  private static void lockAndUnlock(Lock lock, long count) {
    for (long i = 0; i < count; i++) {
      lock.lock();
      lock.unlock();
    }
  }

  private static Harness.Sample mutexUncontended(long n) throws Exception {
    return Harness.parallel(n, (index, count) -> lockAndUnlock(new ReentrantLock(), count));
  }

  private static Harness.Sample mutex(long n, int threads) throws Exception {
    Lock common = new ReentrantLock();
    return Harness.sharedOut(n, threads, (index, count) -> lockAndUnlock(common, count));
  }

  /** Neither ours nor Go's is reentrant, so the stamped lock will do, which is the faster one. */
  private static Harness.Sample rwUncontended(long n) throws Exception {
    return Harness.parallel(n, (index, count) -> {
      StampedLock own = new StampedLock();
      for (long i = 0; i < count; i++) {
        long outer = own.readLock();
        long inner = own.readLock();
        own.unlockRead(inner);
        own.unlockRead(outer);
        own.unlockWrite(own.writeLock());
      }
    });
  }

  private static Harness.Sample rwMutex(long n, long writeEvery) throws Exception {
    StampedLock common = new StampedLock();
    return Harness.parallel(n, (index, count) -> {
      for (long turn = 1; turn <= count; turn++) {
        if (turn % writeEvery == 0) {
          common.unlockWrite(common.writeLock());
        } else {
          common.unlockRead(common.readLock());
        }
      }
    });
  }

  /** The last of the waiters and one more thread to arrive wakes the others; every one does n arrivals. */
  private static final class Rounds {
    private final int waiters;
    private final Lock lock = new ReentrantLock();
    private final Condition complete = lock.newCondition();
    private int here;

    Rounds(int waiters) {
      this.waiters = waiters;
    }

    Harness.Sample run(long n) throws InterruptedException {
      return Harness.eachOf(waiters + 1, index -> {
        for (long i = 0; i < n && arrive(); i++) {
        }
        end();
      });
    }

    private boolean arrive() throws InterruptedException {
      lock.lock();
      try {
        if (here == -1) {
          return false;
        }
        if (++here == waiters + 1) {
          here = 0;
          complete.signalAll();
        } else {
          complete.await();
        }
        return true;
      } finally {
        lock.unlock();
      }
    }

    /** Who is a round behind would wait for those that have ended. */
    private void end() {
      lock.lock();
      try {
        here = -1;
        complete.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }

  private static Harness.Sample actuallyWait(long n) throws Exception {
    return Harness.parallel(n, (index, count) -> {
      for (long i = 0; i < count; i++) {
        Thread.startVirtualThread(() -> {}).join();
      }
    });
  }

  private static Harness.Sample weightedUncontended(long n) throws Exception {
    Semaphore semaphore = new Semaphore(2);
    return Harness.alone(() -> {
      for (long i = 0; i < n; i++) {
        semaphore.acquire(1);
        semaphore.release(1);
      }
    });
  }

  private static Harness.Sample weightedMany(long n) throws Exception {
    Semaphore semaphore = new Semaphore(128);
    return Harness.alone(() -> {
      for (long i = 0; i < n; i++) {
        for (int k = 0; k < 16; k++) {
          semaphore.acquire(8);
        }
        for (int k = 0; k < 16; k++) {
          semaphore.release(8);
        }
      }
    });
  }

  private static Harness.Sample weightedContended(long n) throws Exception {
    Semaphore semaphore = new Semaphore(2);
    return Harness.sharedOut(n, 10 * Harness.procs, (index, count) -> {
      for (long i = 0; i < count; i++) {
        semaphore.acquire(1);
        semaphore.release(1);
      }
    });
  }
}
