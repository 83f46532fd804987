//! Threads with crossbeam's channels. The driver binds the process to as many processors as the row is to have.

use crate::harness::{scaled, Row, Sample};
use crossbeam_channel::{after, bounded, never, select, tick, Receiver, Sender};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

pub fn rows() -> Vec<Row> {
    vec![
        ("MakeChanByte", make_chan::<u8>),
        ("MakeChanInt", make_chan::<i64>),
        ("MakeChanPtr", make_chan::<&'static u8>),
        ("MakeChanStruct0", make_chan::<()>),
        ("MakeChanStruct32", make_chan::<[i64; 4]>),
        ("MakeChanStruct40", make_chan::<[i64; 5]>),
        ("ChanNonblocking", nonblocking),
        ("ChanUncontended", uncontended),
        ("ChanContended", contended),
        ("ChanSync", sync),
        ("ChanProdCons0", |p, n| prod_cons(p, n, 0)),
        ("ChanProdCons10", |p, n| prod_cons(p, n, 10)),
        ("ChanProdCons100", |p, n| prod_cons(p, n, 100)),
        ("SelectUncontended", select_uncontended),
        ("SelectAsyncContended", select_async),
        ("SelectSyncContended", select_sync),
        ("SelectNonblock", select_nonblock),
        ("ReceiveDataFromClosedChan", receive_closed),
        ("ChanCreation", creation),
        ("ChanSem", semaphore),
        ("ChanClosed", closed),
        ("After", timer_after),
        ("Ticker", ticker),
        ("ThreadRing503", thread_ring),
        ("PingPong", ping_pong),
        ("PrimeSieve", prime_sieve),
        ("WorkerPool", worker_pool),
        ("Pipeline3", pipeline),
        ("FanInSelect", fan_in),
    ]
}

/// Runs the body on one thread per processor, each with its share of the operations.
fn parallel(procs: usize, n: u64, body: impl Fn(u64) + Sync) -> Sample {
    let start = Instant::now();
    scope(|s| {
        let (body, all) = (&body, procs as u64);
        for i in 0..all {
            s.spawn(move || body((n + i) / all));
        }
    });
    Sample::since(start)
}

fn make_chan<T>(_: usize, n: u64) -> Sample {
    let start = Instant::now();
    for _ in 0..n {
        black_box(bounded::<T>(8));
    }
    Sample::since(start)
}

fn nonblocking(procs: usize, n: u64) -> Sample {
    let (_sender, receiver) = bounded::<i64>(0);
    parallel(procs, n, |share| {
        for _ in 0..share {
            let _ = black_box(receiver.try_recv());
        }
    })
}

fn fill_and_drain(sender: &Sender<i64>, receiver: &Receiver<i64>) {
    for _ in 0..100 {
        sender.send(0).unwrap();
    }
    for _ in 0..100 {
        receiver.recv().unwrap();
    }
}

fn uncontended(procs: usize, n: u64) -> Sample {
    parallel(procs, n, |share| {
        let (sender, receiver) = bounded(100);
        for _ in 0..share {
            fill_and_drain(&sender, &receiver);
        }
    })
}

fn contended(procs: usize, n: u64) -> Sample {
    let (sender, receiver) = bounded(100 * procs);
    parallel(procs, n, |share| {
        for _ in 0..share {
            fill_and_drain(&sender, &receiver);
        }
    })
}

fn sync(_: usize, n: u64) -> Sample {
    const BATCH: u64 = 1000;
    let left = AtomicI64::new((n / BATCH / 2 * 2) as i64);
    let (sender, receiver) = bounded::<i64>(0);
    let start = Instant::now();
    scope(|s| {
        for _ in 0..2 {
            s.spawn(|| loop {
                let turn = left.fetch_sub(1, Ordering::AcqRel) - 1;
                if turn < 0 {
                    break;
                }
                for _ in 0..BATCH {
                    if turn % 2 == 0 {
                        receiver.recv().unwrap();
                        sender.send(0).unwrap();
                    } else {
                        sender.send(0).unwrap();
                        receiver.recv().unwrap();
                    }
                }
            });
        }
    });
    Sample::since(start)
}

fn prod_cons(procs: usize, n: u64, capacity: usize) -> Sample {
    const BATCH: u64 = 1000;
    let left = AtomicI64::new((n / BATCH) as i64);
    let (sender, receiver) = bounded::<i64>(capacity);
    let start = Instant::now();
    scope(|s| {
        for _ in 0..procs {
            s.spawn(|| {
                while left.fetch_sub(1, Ordering::AcqRel) > 0 {
                    for _ in 0..BATCH {
                        sender.send(1).unwrap();
                    }
                }
                sender.send(0).unwrap();
            });
            s.spawn(|| while receiver.recv().unwrap() != 0 {});
        }
    });
    Sample::since(start)
}

type Pair = (Sender<i64>, Receiver<i64>);

fn swap_token(share: u64, one: &Pair, two: &Pair) {
    one.0.send(0).unwrap();
    for _ in 0..share {
        select! {
            recv(one.1) -> _ => two.0.send(0).unwrap(),
            recv(two.1) -> _ => one.0.send(0).unwrap(),
        }
    }
}

fn select_uncontended(procs: usize, n: u64) -> Sample {
    parallel(procs, n, |share| swap_token(share, &bounded(1), &bounded(1)))
}

fn select_async(procs: usize, n: u64) -> Sample {
    let (one, two) = (bounded(procs), bounded(procs));
    parallel(procs, n, |share| swap_token(share, &one, &two))
}

fn select_sync(procs: usize, n: u64) -> Sample {
    let (one, two, three): (Pair, Pair, Pair) = (bounded(0), bounded(0), bounded(0));
    let (stop, stopped) = bounded::<i64>(0);
    let share = n / procs as u64;
    let start = Instant::now();
    scope(|s| {
        let receivers: Vec<_> = (0..procs)
            .map(|_| {
                s.spawn(|| loop {
                    select! {
                        send(one.0, 0) -> _ => {}
                        send(two.0, 0) -> _ => {}
                        send(three.0, 0) -> _ => {}
                        recv(stopped) -> _ => break,
                    }
                });
                s.spawn(|| {
                    for _ in 0..share {
                        select! {
                            recv(one.1) -> _ => {}
                            recv(two.1) -> _ => {}
                            recv(three.1) -> _ => {}
                        }
                    }
                })
            })
            .collect();
        for receiver in receivers {
            receiver.join().unwrap();
        }
        drop(stop);
    });
    Sample::since(start)
}

fn select_nonblock(procs: usize, n: u64) -> Sample {
    let (sync1, sync2): (Pair, Pair) = (bounded(0), bounded(0));
    let (async1, async2): (Pair, Pair) = (bounded(1), bounded(1));
    parallel(procs, n, |share| {
        for _ in 0..share {
            select! { recv(sync1.1) -> _ => {}, default => {} }
            select! { send(sync2.0, 0) -> _ => {}, default => {} }
            select! { recv(async1.1) -> _ => {}, default => {} }
            select! { send(async2.0, 0) -> _ => {}, default => {} }
        }
    })
}

fn receive_closed(_: usize, n: u64) -> Sample {
    let (sender, receiver) = bounded(n as usize);
    for _ in 0..n {
        sender.send(()).unwrap();
    }
    drop(sender);
    let start = Instant::now();
    while receiver.recv().is_ok() {}
    Sample::since(start)
}

fn creation(procs: usize, n: u64) -> Sample {
    parallel(procs, n, |share| {
        for _ in 0..share {
            let (sender, receiver) = bounded::<i64>(1);
            sender.send(0).unwrap();
            receiver.recv().unwrap();
        }
    })
}

fn semaphore(procs: usize, n: u64) -> Sample {
    let (sender, receiver) = bounded(procs);
    parallel(procs, n, |share| {
        for _ in 0..share {
            sender.send(()).unwrap();
            receiver.recv().unwrap();
        }
    })
}

fn closed(procs: usize, n: u64) -> Sample {
    let (sender, receiver) = bounded::<()>(0);
    drop(sender);
    parallel(procs, n, |share| {
        for _ in 0..share {
            assert!(receiver.try_recv().is_err());
        }
    })
}

/// Runs the body in parallel while 32768 timers per processor are pending, which here are but values.
fn among_timers(procs: usize, n: u64, body: impl Fn(u64) + Sync) -> Sample {
    let _pending: Vec<_> = (0..procs << 15).map(|_| after(Duration::from_secs(3600))).collect();
    parallel(procs, n, body)
}

fn timer_after(procs: usize, n: u64) -> Sample {
    among_timers(procs, n, |share| {
        for _ in 0..share {
            after(Duration::from_nanos(1)).recv().unwrap();
        }
    })
}

fn ticker(procs: usize, n: u64) -> Sample {
    among_timers(procs, n, |share| {
        let ticks = tick(Duration::from_nanos(1));
        for _ in 0..share {
            ticks.recv().unwrap();
        }
    })
}

fn thread_ring(_: usize, n: u64) -> Sample {
    const RING: usize = 503;
    let (mut outputs, inputs): (Vec<_>, Vec<_>) = (0..RING).map(|_| bounded::<u64>(0)).unzip();
    let first = outputs[0].clone();
    outputs.rotate_left(1);
    let (done, finished) = bounded(1);
    scope(move |s| {
        for (input, output) in inputs.into_iter().zip(outputs) {
            let done = done.clone();
            s.spawn(move || {
                // Whoever ends drops the only sender to the next one, which ends too.
                for token in input {
                    if token == 0 {
                        done.send(()).unwrap();
                        break;
                    }
                    output.send(token - 1).unwrap();
                }
            });
        }
        let start = Instant::now();
        first.send(n).unwrap();
        finished.recv().unwrap();
        Sample::since(start)
    })
}

fn ping_pong(_: usize, n: u64) -> Sample {
    let (ping, pinged) = bounded::<u64>(0);
    let (pong, ponged) = bounded::<u64>(0);
    let start = Instant::now();
    scope(|s| {
        s.spawn(move || {
            for v in pinged {
                pong.send(v + 1).unwrap();
            }
        });
        let mut v = 0;
        for _ in 0..n / 2 + 1 {
            ping.send(v).unwrap();
            v = ponged.recv().unwrap();
        }
        drop(ping);
        assert_eq!(v, n / 2 + 1);
    });
    Sample::since(start)
}

fn prime_sieve(_: usize, n: u64) -> Sample {
    const END: u64 = 2_147_483_647;
    let primes = scaled(1000);
    let start = Instant::now();
    for _ in 0..n {
        let stop = AtomicBool::new(false);
        scope(|s| {
            let (source, mut input) = bounded::<u64>(0);
            s.spawn(|| {
                let source = source;
                let mut v = 2;
                while !stop.load(Ordering::Relaxed) {
                    source.send(v).unwrap();
                    v += 1;
                }
                source.send(END).unwrap();
            });
            let mut prime = 0;
            for _ in 0..primes {
                prime = input.recv().unwrap();
                let (output, next) = bounded(0);
                s.spawn(move || {
                    for v in input {
                        if v % prime != 0 {
                            output.send(v).unwrap();
                        }
                    }
                });
                input = next;
            }
            stop.store(true, Ordering::Relaxed);
            while input.recv().unwrap() != END {}
            assert!(primes != 1000 || prime == 7919);
        });
    }
    Sample::since(start)
}

/// As many workers as processors: more threads would only be switched.
fn worker_pool(procs: usize, n: u64) -> Sample {
    let (job, jobs) = bounded::<u64>(64);
    let (result, results) = bounded::<u64>(64);
    let start = Instant::now();
    scope(|s| {
        for _ in 0..procs {
            let (jobs, result) = (jobs.clone(), result.clone());
            s.spawn(move || {
                for v in jobs {
                    result.send(2 * v).unwrap();
                }
            });
        }
        drop(result);
        s.spawn(move || {
            for i in 0..n {
                job.send(i).unwrap();
            }
        });
        assert_eq!(results.iter().count() as u64, n);
    });
    Sample::since(start)
}

fn pipeline(_: usize, n: u64) -> Sample {
    let (number, numbers) = bounded::<u64>(16);
    let (square, squares) = bounded::<u64>(16);
    let start = Instant::now();
    scope(|s| {
        s.spawn(move || {
            for i in 0..n {
                number.send(i).unwrap();
            }
        });
        s.spawn(move || {
            for v in numbers {
                square.send(v.wrapping_mul(v)).unwrap();
            }
        });
        black_box(squares.iter().fold(0u64, |sum, v| sum.wrapping_add(v)));
    });
    Sample::since(start)
}

fn fan_in(_: usize, n: u64) -> Sample {
    let each = n / 4 + 1;
    let start = Instant::now();
    scope(|s| {
        let producer = || {
            let (out, input) = bounded::<u64>(0);
            s.spawn(move || {
                for v in 0..each {
                    out.send(v).unwrap();
                }
            });
            input
        };
        let mut inputs = [producer(), producer(), producer(), producer()];
        let mut sum = 0;
        let mut left = 4 * each;
        while left > 0 {
            let [a, b, c, d] = &inputs;
            let (which, got) = select! {
                recv(a) -> v => (0, v),
                recv(b) -> v => (1, v),
                recv(c) -> v => (2, v),
                recv(d) -> v => (3, v),
            };
            match got {
                Ok(v) => {
                    sum += v;
                    left -= 1;
                }
                Err(_) => inputs[which] = never(),
            }
        }
        black_box(sum);
    });
    Sample::since(start)
}
