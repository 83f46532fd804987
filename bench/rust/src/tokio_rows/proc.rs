//! Spawning and yielding.

use super::{on_runtime, parallel};
use crate::harness::{Row, Sample};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

pub const ROWS: &[Row] = &[
    ("CreateGoroutines", |p, n| create(p, n, 1)),
    ("CreateGoroutinesParallel", |p, n| create(p, n, p as u64)),
    ("CreateGoroutinesCapture", create_capture),
    ("CreateGoroutinesSingle", create_single),
    ("Yield", yields),
];

fn create_next(n: u64, done: mpsc::Sender<()>) {
    tokio::spawn(async move {
        if n == 0 {
            done.send(()).await.unwrap();
        } else {
            create_next(n - 1, done);
        }
    });
}

fn create(procs: usize, n: u64, chains: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let (done, mut finished) = mpsc::channel(1);
        for _ in 0..chains {
            create_next(n / chains, done.clone());
        }
        for _ in 0..chains {
            finished.recv().await.unwrap();
        }
        Sample::since(start)
    })
}

fn create_capture(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        for _ in 0..n {
            let task = |j: u64| tokio::spawn(async move { assert!(black_box(j) < 4) });
            for task in [task(0), task(1), task(2), task(3)] {
                task.await.unwrap();
            }
        }
        Sample::since(start)
    })
}

fn create_single(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let (done, finished) = oneshot::channel();
        let left = Arc::new((AtomicU64::new(n), std::sync::Mutex::new(Some(done))));
        for _ in 0..n {
            let left = left.clone();
            tokio::spawn(async move {
                if left.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                    left.1.lock().unwrap().take().unwrap().send(()).unwrap();
                }
            });
        }
        finished.await.unwrap();
        Sample::since(start)
    })
}

/// Two tasks per processor do n yields in all.
fn yields(procs: usize, n: u64) -> Sample {
    parallel(procs, n, 2, |share| async move {
        for _ in 0..share {
            tokio::task::yield_now().await;
        }
    })
}
