//! Whole programs with a million tasks or millions of timers: what they cost in time and memory.

use super::{join_all, on_runtime, Countdown};
use crate::harness::{resident_bytes, scaled, thread_switches, Row, Sample, Xorshift};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, Semaphore};
use tokio::task::JoinHandle;

pub const ROWS: &[Row] =
    &[("Parked1M", parked), ("Sleepers1M", sleepers), ("TimerChurn10M", timer_churn), ("Idle100k", idle)];

fn crowd(n: u64, tasks: u64, spawn: f64, wake: f64, bytes: f64) -> Sample {
    let all = (n * tasks) as f64;
    let extra = vec![("spawn-ns", spawn / all), ("wake-ns", wake / all), ("bytes", bytes / all)];
    Sample { elapsed: Duration::from_nanos((spawn + wake) as u64), units: tasks, extra }
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64
}

/// Returns when so many tasks wait for the gate, and with what they count down when they leave.
async fn park(tasks: u64) -> (Arc<Semaphore>, Arc<Countdown>) {
    let (here, gone) = (Countdown::new(tasks), Countdown::new(tasks));
    let gate = Arc::new(Semaphore::new(0));
    for _ in 0..tasks {
        let (here, gone, gate) = (here.clone(), gone.clone(), gate.clone());
        tokio::spawn(async move {
            here.done();
            let _ = gate.acquire().await;
            gone.done();
        });
    }
    here.wait().await;
    (gate, gone)
}

fn parked(procs: usize, n: u64) -> Sample {
    let tasks = scaled(1_000_000);
    on_runtime(procs, async move {
        let (mut spawn, mut wake, mut bytes) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let before = resident_bytes();
            let start = Instant::now();
            let (gate, gone) = park(tasks).await;
            spawn += nanoseconds(start);
            bytes += resident_bytes() - before;
            let opened = Instant::now();
            gate.close();
            gone.wait().await;
            wake += nanoseconds(opened);
        }
        crowd(n, tasks, spawn, wake, bytes)
    })
}

fn sleepers(procs: usize, n: u64) -> Sample {
    let tasks = scaled(1_000_000);
    on_runtime(procs, async move {
        let (mut spawn, mut wake, mut bytes) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let before = resident_bytes();
            let (here, gone) = (Countdown::new(tasks), Countdown::new(tasks));
            let start = Instant::now();
            let moment = start + Duration::from_millis(scaled(5000));
            for _ in 0..tasks {
                let (here, gone) = (here.clone(), gone.clone());
                tokio::spawn(async move {
                    here.done();
                    tokio::time::sleep_until(moment.into()).await;
                    gone.done();
                });
            }
            here.wait().await;
            spawn += nanoseconds(start);
            bytes += resident_bytes() - before;
            gone.wait().await;
            wake += nanoseconds(moment);
        }
        crowd(n, tasks, spawn, wake, bytes)
    })
}

/// Tokio has no bare timer: what its users start and stop is a task that sleeps.
fn timer_churn(procs: usize, n: u64) -> Sample {
    let (alive, churn) = (scaled(100_000), scaled(10_000_000));
    on_runtime(procs, async move {
        let start = Instant::now();
        for _ in 0..n {
            let churner = |p: u64| {
                tokio::spawn(async move {
                    let mut random = Xorshift(p + 1);
                    let after = |random: &mut Xorshift| {
                        let due = Duration::from_secs(5) + Duration::from_nanos(random.next() % 10_000_000_000);
                        tokio::spawn(async move { tokio::time::sleep(due).await })
                    };
                    let count = alive as usize / procs;
                    let mut timers: Vec<_> = (0..count).map(|_| after(&mut random)).collect();
                    for i in 0..churn / procs as u64 {
                        let k = random.next() as usize % count;
                        timers[k].abort();
                        timers[k] = after(&mut random);
                        // The tasks need the processor to register and to end.
                        if i % 64 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    timers.iter().for_each(JoinHandle::abort);
                })
            };
            join_all((0..procs as u64).map(churner).collect()).await;
        }
        Sample::since(start)
    })
    .per(churn)
}

/// An idle process with a hundred thousand parked tasks: how often any of its threads wakes in a second. Who looks is
/// a thread outside of the runtime; the one switch of its sleep is not counted.
fn idle(procs: usize, _: u64) -> Sample {
    let tasks = scaled(100_000);
    on_runtime(procs, async move {
        let start = Instant::now();
        let (gate, gone) = park(tasks).await;
        let (looked, result) = oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500)); // until spinning has ended
            let (before, from) = (thread_switches(), Instant::now());
            std::thread::sleep(Duration::from_secs(1));
            let switches = thread_switches() - before;
            assert!(switches >= 1, "the sleep of this thread counts");
            looked.send((switches - 1) as f64 / from.elapsed().as_secs_f64()).unwrap();
        });
        let wakeups = result.await.unwrap();
        gate.close();
        gone.wait().await;
        Sample { extra: vec![("wakeups-per-s", wakeups)], ..Sample::since(start) }
    })
}
