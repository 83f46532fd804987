//! Tasks on tokio: the current-thread runtime on one processor, the multi-thread runtime on more, as its guide says.

mod chan;
mod context;
mod proc;
mod program;
mod scale;
mod sync;
mod time;

use crate::harness::{Row, Sample};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub fn rows() -> Vec<Row> {
    [proc::ROWS, chan::ROWS, sync::ROWS, time::ROWS, context::ROWS, program::ROWS, scale::ROWS].concat()
}

/// Runs the future as a task: the thread that blocks on it is not one of the processors.
fn on_runtime<F>(procs: usize, main: F) -> Sample
where
    F: Future<Output = Sample> + Send + 'static,
{
    let mut builder = if procs == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.worker_threads(procs).enable_time().build().unwrap();
    let sample = runtime.block_on(async { tokio::spawn(main).await.unwrap() });
    runtime.shutdown_background();
    sample
}

async fn join_all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

/// Runs the body as so many tasks, each with its share of the operations.
async fn share_out<F>(tasks: usize, n: u64, body: impl Fn(u64) -> F) -> Sample
where
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let all = tasks as u64;
    join_all((0..all).map(|i| tokio::spawn(body((n + i) / all))).collect()).await;
    Sample::since(start)
}

/// The whole row is the body on so many tasks per processor.
fn parallel<F>(procs: usize, n: u64, per_proc: usize, body: impl Fn(u64) -> F + Send + 'static) -> Sample
where
    F: Future<Output = ()> + Send + 'static,
{
    on_runtime(procs, share_out(per_proc * procs, n, body))
}

/// Counts to zero and then wakes the one that waits.
struct Countdown {
    left: AtomicU64,
    zero: Semaphore,
}

impl Countdown {
    fn new(n: u64) -> Arc<Countdown> {
        Arc::new(Countdown { left: AtomicU64::new(n), zero: Semaphore::new(0) })
    }

    fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.zero.add_permits(1);
        }
    }

    async fn wait(&self) {
        self.zero.acquire().await.unwrap().forget();
    }
}
