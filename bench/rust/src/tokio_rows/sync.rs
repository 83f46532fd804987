//! Mutex, reader-writer lock, once, condition variable, wait group and weighted semaphore.

use super::{join_all, on_runtime, parallel};
use crate::harness::{Row, Sample};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, Notify, OnceCell, RwLock, Semaphore};

pub const ROWS: &[Row] = &[
    ("MutexUncontended", mutex_uncontended),
    ("Mutex", |p, n| mutex(p, n, 1)),
    ("MutexSlack", |p, n| mutex(p, n, 10)),
    ("RWMutexUncontended", rw_uncontended),
    ("RWMutexWrite100", |p, n| rw_mutex(p, n, 100)),
    ("RWMutexWrite10", |p, n| rw_mutex(p, n, 10)),
    ("Once", once),
    ("Cond1", |p, n| cond(p, n, 1)),
    ("Cond2", |p, n| cond(p, n, 2)),
    ("Cond4", |p, n| cond(p, n, 4)),
    ("Cond8", |p, n| cond(p, n, 8)),
    ("Cond16", |p, n| cond(p, n, 16)),
    ("Cond32", |p, n| cond(p, n, 32)),
    ("WaitGroupActuallyWait", wait_group_actually_wait),
    ("WeightedUncontended", weighted_uncontended),
    ("WeightedMany", weighted_many),
    ("WeightedContended", weighted_contended),
];

async fn lock_and_unlock(mutex: &Mutex<()>, share: u64) {
    for _ in 0..share {
        drop(mutex.lock().await);
    }
}

fn mutex_uncontended(procs: usize, n: u64) -> Sample {
    parallel(procs, n, 1, |share| async move { lock_and_unlock(&Mutex::new(()), share).await })
}

fn mutex(procs: usize, n: u64, per_proc: usize) -> Sample {
    let mutex = Arc::new(Mutex::new(()));
    parallel(procs, n, per_proc, move |share| {
        let mutex = mutex.clone();
        async move { lock_and_unlock(&mutex, share).await }
    })
}

fn rw_uncontended(procs: usize, n: u64) -> Sample {
    parallel(procs, n, 1, |share| async move {
        let lock = RwLock::new(());
        for _ in 0..share {
            let readers = (lock.read().await, lock.read().await);
            drop(readers);
            drop(lock.write().await);
        }
    })
}

fn rw_mutex(procs: usize, n: u64, write_every: u64) -> Sample {
    let write_every = black_box(write_every);
    let lock = Arc::new(RwLock::new(()));
    parallel(procs, n, 1, move |share| {
        let lock = lock.clone();
        async move {
            for turn in 1..=share {
                if turn % write_every == 0 {
                    drop(lock.write().await);
                } else {
                    drop(lock.read().await);
                }
            }
        }
    })
}

fn once(procs: usize, n: u64) -> Sample {
    let cell = Arc::new(OnceCell::new());
    parallel(procs, n, 1, move |share| {
        let cell = cell.clone();
        async move {
            for _ in 0..share {
                black_box(cell.get_or_init(|| async {}).await);
            }
        }
    })
}

/// A condition variable as tokio has it: a future of `Notify`, made under the lock, misses no `notify_waiters` after
/// it. The lock is never held across an await, so it is that of the standard library, as tokio's guide says.
#[derive(Default)]
struct Rounds {
    here: std::sync::Mutex<i64>,
    complete: Notify,
}

impl Rounds {
    /// Waits for the others unless it is the last to arrive; false once one of them has ended.
    async fn arrive(&self, all: i64) -> bool {
        let complete = {
            let mut here = self.here.lock().unwrap();
            if *here == -1 {
                return false;
            }
            *here += 1;
            if *here == all {
                *here = 0;
                self.complete.notify_waiters();
                return true;
            }
            self.complete.notified()
        };
        complete.await;
        // Who waits for a condition variable has the lock again afterwards.
        drop(self.here.lock().unwrap());
        true
    }

    fn end(&self) {
        *self.here.lock().unwrap() = -1;
        self.complete.notify_waiters();
    }
}

/// The last of waiters + 1 tasks to arrive wakes the others; every one does n arrivals.
fn cond(procs: usize, n: u64, waiters: i64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let rounds = Arc::new(Rounds::default());
        let task = |_| {
            let rounds = rounds.clone();
            tokio::spawn(async move {
                for _ in 0..n {
                    if !rounds.arrive(waiters + 1).await {
                        break;
                    }
                }
                rounds.end();
            })
        };
        join_all((0..=waiters).map(task).collect()).await;
        Sample::since(start)
    })
}

fn wait_group_actually_wait(procs: usize, n: u64) -> Sample {
    parallel(procs, n, 1, |share| async move {
        for _ in 0..share {
            tokio::spawn(async {}).await.unwrap();
        }
    })
}

fn weighted_uncontended(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let semaphore = Semaphore::new(2);
        for _ in 0..n {
            drop(semaphore.acquire().await.unwrap());
        }
        Sample::since(start)
    })
}

fn weighted_many(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let semaphore = Semaphore::new(128);
        let mut permits = Vec::with_capacity(16);
        for _ in 0..n {
            for _ in 0..16 {
                permits.push(semaphore.acquire_many(8).await.unwrap());
            }
            permits.clear();
        }
        Sample::since(start)
    })
}

fn weighted_contended(procs: usize, n: u64) -> Sample {
    let semaphore = Arc::new(Semaphore::new(2));
    parallel(procs, n, 10, move |share| {
        let semaphore = semaphore.clone();
        async move {
            for _ in 0..share {
                drop(semaphore.acquire().await.unwrap());
            }
        }
    })
}
