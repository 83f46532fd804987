//! Channels and select. Tokio's own channels have one receiver; where several receive from one channel, it is that of
//! the crate async-channel, which tokio's users take for this. Neither has unbuffered channels.

use super::{join_all, on_runtime, parallel};
use crate::harness::{Row, Sample};
use async_channel::TryRecvError;
use std::hint::black_box;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

pub const ROWS: &[Row] = &[
    ("MakeChanByte", make_chan::<u8>),
    ("MakeChanInt", make_chan::<i64>),
    ("MakeChanPtr", make_chan::<&'static u8>),
    ("MakeChanStruct0", make_chan::<()>),
    ("MakeChanStruct32", make_chan::<[i64; 4]>),
    ("MakeChanStruct40", make_chan::<[i64; 5]>),
    ("ChanUncontended", uncontended),
    ("ChanContended", contended),
    ("ChanProdCons10", |p, n| prod_cons(p, n, 10)),
    ("ChanProdCons100", |p, n| prod_cons(p, n, 100)),
    ("ReceiveDataFromClosedChan", receive_closed),
    ("ChanCreation", creation),
    ("ChanSem", semaphore),
    ("ChanClosed", closed),
    ("SelectUncontended", select_uncontended),
    ("SelectAsyncContended", select_async),
];

fn make_chan<T: 'static>(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        for _ in 0..n {
            black_box(mpsc::channel::<T>(8));
        }
        Sample::since(start)
    })
}

/// Sends a hundred values and takes them back; one operation is all two hundred.
fn uncontended(procs: usize, n: u64) -> Sample {
    parallel(procs, n, 1, |share| async move {
        let (sender, mut receiver) = mpsc::channel::<i64>(100);
        for _ in 0..share {
            for _ in 0..100 {
                sender.send(0).await.unwrap();
            }
            for _ in 0..100 {
                receiver.recv().await.unwrap();
            }
        }
    })
}

fn contended(procs: usize, n: u64) -> Sample {
    let (sender, receiver) = async_channel::bounded::<i64>(100 * procs);
    parallel(procs, n, 1, move |share| {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        async move {
            for _ in 0..share {
                for _ in 0..100 {
                    sender.send(0).await.unwrap();
                }
                for _ in 0..100 {
                    receiver.recv().await.unwrap();
                }
            }
        }
    })
}

/// As many producers and consumers as processors, all on one channel; each consumer ends at one zero.
fn prod_cons(procs: usize, n: u64, capacity: usize) -> Sample {
    const BATCH: u64 = 1000;
    on_runtime(procs, async move {
        let start = Instant::now();
        let left = Arc::new(AtomicI64::new((n / BATCH) as i64));
        let (sender, receiver) = async_channel::bounded::<i64>(capacity);
        let mut tasks = Vec::new();
        for _ in 0..procs {
            let (left, sender, receiver) = (left.clone(), sender.clone(), receiver.clone());
            tasks.push(tokio::spawn(async move {
                while left.fetch_sub(1, Ordering::AcqRel) > 0 {
                    for _ in 0..BATCH {
                        sender.send(1).await.unwrap();
                    }
                }
                sender.send(0).await.unwrap();
            }));
            tasks.push(tokio::spawn(async move { while receiver.recv().await.unwrap() != 0 {} }));
        }
        join_all(tasks).await;
        Sample::since(start)
    })
}

fn receive_closed(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let (sender, mut receiver) = mpsc::channel(n as usize);
        for _ in 0..n {
            sender.try_send(()).unwrap();
        }
        drop(sender);
        let start = Instant::now();
        let mut received = 0;
        while receiver.recv().await.is_some() {
            received += 1;
        }
        let sample = Sample::since(start);
        assert_eq!(received, n);
        sample
    })
}

fn creation(procs: usize, n: u64) -> Sample {
    parallel(procs, n, 1, |share| async move {
        for _ in 0..share {
            let (sender, mut receiver) = mpsc::channel::<i64>(1);
            sender.send(0).await.unwrap();
            receiver.recv().await.unwrap();
        }
    })
}

fn semaphore(procs: usize, n: u64) -> Sample {
    let (sender, receiver) = async_channel::bounded(procs);
    parallel(procs, n, 1, move |share| {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        async move {
            for _ in 0..share {
                sender.send(()).await.unwrap();
                receiver.recv().await.unwrap();
            }
        }
    })
}

fn closed(procs: usize, n: u64) -> Sample {
    let (sender, receiver) = async_channel::bounded::<()>(1);
    drop(sender);
    parallel(procs, n, 1, move |share| {
        let receiver = receiver.clone();
        async move {
            for _ in 0..share {
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
            }
        }
    })
}

/// Waits for one of two channels and puts the token into the other.
fn select_uncontended(procs: usize, n: u64) -> Sample {
    parallel(procs, n, 1, |share| async move {
        let (to_one, mut one) = mpsc::channel(1);
        let (to_two, mut two) = mpsc::channel(1);
        to_one.send(0).await.unwrap();
        for _ in 0..share {
            tokio::select! {
                Some(token) = one.recv() => to_two.send(token).await.unwrap(),
                Some(token) = two.recv() => to_one.send(token).await.unwrap(),
            }
        }
    })
}

fn select_async(procs: usize, n: u64) -> Sample {
    let one = async_channel::bounded(procs);
    let two = async_channel::bounded(procs);
    parallel(procs, n, 1, move |share| {
        let ((to_one, one), (to_two, two)) = (one.clone(), two.clone());
        async move {
            to_one.send(0).await.unwrap();
            for _ in 0..share {
                tokio::select! {
                    Ok(token) = one.recv() => to_two.send(token).await.unwrap(),
                    Ok(token) = two.recv() => to_one.send(token).await.unwrap(),
                }
            }
        }
    })
}
