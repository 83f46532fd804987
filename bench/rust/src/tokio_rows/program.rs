//! Whole programs that pass messages, and trees of tasks.

use super::on_runtime;
use crate::harness::{scaled, Row, Sample};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub const ROWS: &[Row] = &[
    ("Skynet1M", skynet_1m),
    ("ThreadRing503", thread_ring),
    ("PingPong", ping_pong),
    ("PrimeSieve", prime_sieve),
    ("SpawnTree", spawn_tree),
    ("WorkerPool", worker_pool),
    ("Pipeline3", pipeline),
    ("FanInSelect", fan_in),
];

/// Each node joins the tasks of its children: cheaper in tokio than a channel. A plain function that spawns, so that
/// the recursion needs no boxed future.
fn skynet(num: u64, size: u64) -> JoinHandle<u64> {
    tokio::spawn(async move {
        if size == 1 {
            return num;
        }
        let child = |i| skynet(num + i * (size / 10), size / 10);
        let children: [JoinHandle<u64>; 10] = std::array::from_fn(|i| child(i as u64));
        let mut sum = 0;
        for task in children {
            sum += task.await.unwrap();
        }
        sum
    })
}

fn skynet_1m(procs: usize, n: u64) -> Sample {
    let size = scaled(1_000_000);
    let tasks = std::iter::successors(Some(size), |s| (*s >= 10).then_some(s / 10)).sum();
    on_runtime(procs, async move {
        let start = Instant::now();
        for _ in 0..n {
            assert_eq!(skynet(0, size).await.unwrap(), size * (size - 1) / 2);
        }
        Sample::since(start)
    })
    .per(tasks)
}

fn thread_ring(procs: usize, n: u64) -> Sample {
    const RING: usize = 503;
    on_runtime(procs, async move {
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for _ in 0..RING {
            let (sender, receiver) = mpsc::channel::<u64>(1);
            senders.push(sender);
            receivers.push(receiver);
        }
        let first = senders[0].clone();
        let (done, mut finished) = mpsc::channel(1);
        for (i, mut input) in receivers.into_iter().enumerate() {
            let output = senders[(i + 1) % RING].clone();
            let done = done.clone();
            tokio::spawn(async move {
                while let Some(token) = input.recv().await {
                    if token == 0 {
                        done.send(()).await.unwrap();
                    } else {
                        output.send(token - 1).await.unwrap();
                    }
                }
            });
        }
        let start = Instant::now();
        first.send(n).await.unwrap();
        finished.recv().await.unwrap();
        Sample::since(start)
    })
}

fn ping_pong(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let (ping, mut pinged) = mpsc::channel::<u64>(1);
        let (pong, mut ponged) = mpsc::channel::<u64>(1);
        tokio::spawn(async move {
            while let Some(v) = pinged.recv().await {
                pong.send(v + 1).await.unwrap();
            }
        });
        let mut v = 0;
        for _ in 0..n / 2 + 1 {
            ping.send(v).await.unwrap();
            v = ponged.recv().await.unwrap();
        }
        assert_eq!(v, n / 2 + 1);
        Sample::since(start)
    })
}

fn prime_sieve(procs: usize, n: u64) -> Sample {
    const END: u64 = 2_147_483_647;
    let primes = scaled(1000);
    on_runtime(procs, async move {
        let start = Instant::now();
        for _ in 0..n {
            let (source, mut input) = mpsc::channel::<u64>(1);
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            tokio::spawn(async move {
                let mut v = 2;
                while !stopped.load(Ordering::Relaxed) {
                    source.send(v).await.unwrap();
                    v += 1;
                }
                source.send(END).await.unwrap();
            });
            let mut prime = 0;
            for _ in 0..primes {
                prime = input.recv().await.unwrap();
                let (output, next) = mpsc::channel(1);
                tokio::spawn(async move {
                    while let Some(v) = input.recv().await {
                        if v % prime != 0 {
                            output.send(v).await.unwrap();
                        }
                    }
                });
                input = next;
            }
            stop.store(true, Ordering::Relaxed);
            while input.recv().await.unwrap() != END {}
            assert!(primes != 1000 || prime == 7919);
        }
        Sample::since(start)
    })
}

fn fib(n: u64) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let other = tokio::spawn(fib(n - 1));
        let mine = fib(n - 2).await;
        mine + other.await.unwrap()
    })
}

fn spawn_tree(procs: usize, n: u64) -> Sample {
    let (number, tasks, want) =
        if scaled(1_000_000) == 1_000_000 { (27, 317_810, 196_418) } else { (22, 28_656, 17_711) };
    on_runtime(procs, async move {
        let start = Instant::now();
        for _ in 0..n {
            assert_eq!(fib(number).await, want);
        }
        Sample::since(start)
    })
    .per(tasks)
}

/// Eight workers take numbers from one channel, which has to be one for several receivers, and return their doubles
/// on another.
fn worker_pool(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let (job, jobs) = async_channel::bounded::<u64>(64);
        let (result, mut results) = mpsc::channel::<u64>(64);
        for _ in 0..8 {
            let (jobs, result) = (jobs.clone(), result.clone());
            tokio::spawn(async move {
                while let Ok(v) = jobs.recv().await {
                    result.send(2 * v).await.unwrap();
                }
            });
        }
        drop(result);
        tokio::spawn(async move {
            for i in 0..n {
                job.send(i).await.unwrap();
            }
        });
        let mut count = 0;
        while results.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, n);
        Sample::since(start)
    })
}

fn pipeline(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let (numbers, mut numbered) = mpsc::channel::<u64>(16);
        let (squares, mut squared) = mpsc::channel::<u64>(16);
        tokio::spawn(async move {
            for i in 0..n {
                numbers.send(i).await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Some(v) = numbered.recv().await {
                squares.send(v.wrapping_mul(v)).await.unwrap();
            }
        });
        let mut sum: u64 = 0;
        while let Some(v) = squared.recv().await {
            sum = sum.wrapping_add(v);
        }
        std::hint::black_box(sum);
        Sample::since(start)
    })
}

fn fan_in(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let each = n / 4 + 1;
        let producer = || {
            let (out, input) = mpsc::channel::<u64>(1);
            tokio::spawn(async move {
                for v in 0..each {
                    out.send(v).await.unwrap();
                }
                // The channel stays open to the end, so that the select never meets a closed one.
                out.closed().await;
            });
            input
        };
        let (mut a, mut b, mut c, mut d) = (producer(), producer(), producer(), producer());
        let mut sum = 0;
        for _ in 0..4 * each {
            sum += tokio::select! {
                Some(v) = a.recv() => v,
                Some(v) = b.recv() => v,
                Some(v) = c.recv() => v,
                Some(v) = d.recv() => v,
            };
        }
        std::hint::black_box(sum);
        Sample::since(start)
    })
}
