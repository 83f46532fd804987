//! Tasks on tokio: the current-thread runtime on one processor, the multi-thread runtime on more, as its guide says.

use crate::harness::{resident_bytes, scaled, Body, Sample, Xorshift};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, Mutex, Semaphore};
use tokio::task::JoinHandle;

pub fn rows() -> Vec<(&'static str, Body)> {
    vec![
        ("CreateGoroutines", |p, n| create(p, n, 1)),
        ("CreateGoroutinesParallel", |p, n| create(p, n, p as u64)),
        ("CreateGoroutinesSingle", create_single),
        ("Yield", yields),
        ("MutexUncontended", |p, n| mutex(p, n, false)),
        ("Mutex", |p, n| mutex(p, n, true)),
        ("WeightedUncontended", weighted),
        ("Sleep1000", sleep_1000),
        ("Skynet1M", skynet_1m),
        ("ThreadRing503", thread_ring),
        ("PingPong", ping_pong),
        ("PrimeSieve", prime_sieve),
        ("SpawnTree", spawn_tree),
        ("Parked1M", parked),
        ("Sleepers1M", sleepers),
        ("Pipeline3", pipeline),
        ("FanInSelect", fan_in),
        ("TimerChurn10M", timer_churn),
    ]
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

async fn join_all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

fn yields(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let tasks = 2 * procs as u64;
        let yielder = move |_| {
            tokio::spawn(async move {
                for _ in 0..n / tasks {
                    tokio::task::yield_now().await;
                }
            })
        };
        join_all((0..tasks).map(yielder).collect()).await;
        Sample::since(start)
    })
}

fn mutex(procs: usize, n: u64, common: bool) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let shared = Arc::new(Mutex::new(()));
        let task = |_| {
            let mutex = if common { shared.clone() } else { Arc::new(Mutex::new(())) };
            tokio::spawn(async move {
                for _ in 0..n / procs as u64 {
                    drop(mutex.lock().await);
                }
            })
        };
        join_all((0..procs).map(task).collect()).await;
        Sample::since(start)
    })
}

fn weighted(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let semaphore = Semaphore::new(2);
        for _ in 0..n {
            drop(semaphore.acquire().await.unwrap());
        }
        Sample::since(start)
    })
}

fn sleep_1000(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let sharer = |_| {
            tokio::spawn(async move {
                for _ in 0..n / procs as u64 {
                    let sleeper =
                        |_| tokio::spawn(async { tokio::time::sleep(Duration::from_nanos(1)).await });
                    join_all((0..1000).map(sleeper).collect()).await;
                }
            })
        };
        join_all((0..procs).map(sharer).collect()).await;
        Sample::since(start)
    })
}

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

fn crowd(n: u64, tasks: u64, spawn: f64, wake: f64, bytes: f64) -> Sample {
    let all = (n * tasks) as f64;
    let extra = vec![("spawn-ns", spawn / all), ("wake-ns", wake / all), ("bytes", bytes / all)];
    Sample { elapsed: Duration::from_nanos((spawn + wake) as u64), units: tasks, extra }
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64
}

fn parked(procs: usize, n: u64) -> Sample {
    let tasks = scaled(1_000_000);
    on_runtime(procs, async move {
        let (mut spawn, mut wake, mut bytes) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let before = resident_bytes();
            let (here, gone) = (Countdown::new(tasks), Countdown::new(tasks));
            let gate = Arc::new(Semaphore::new(0));
            let start = Instant::now();
            for _ in 0..tasks {
                let (here, gone, gate) = (here.clone(), gone.clone(), gate.clone());
                tokio::spawn(async move {
                    here.done();
                    let _ = gate.acquire().await;
                    gone.done();
                });
            }
            here.wait().await;
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
