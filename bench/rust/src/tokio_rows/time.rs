//! Sleeps and intervals among 32768 pending timers per processor.

use super::{join_all, on_runtime, share_out, Countdown};
use crate::harness::{Row, Sample};
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{interval, sleep, Instant, Sleep};

pub const ROWS: &[Row] = &[
    ("After", after),
    ("StopChan", stop),
    ("StartStop1000", start_stop_1000),
    ("ResetChan", reset),
    ("Sleep1000", sleep_1000),
    ("Ticker", ticker),
];

const NANOSECOND: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A sleep becomes a timer when it is polled for the first time.
async fn register(mut sleep: Pin<&mut Sleep>) {
    poll_fn(|cx| {
        assert!(sleep.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await
}

/// Runs the body in parallel while 32768 timers per processor are pending, as a busy server has them.
fn among_timers<F>(procs: usize, n: u64, body: impl Fn(u64) -> F + Send + 'static) -> Sample
where
    F: Future<Output = ()> + Send + 'static,
{
    on_runtime(procs, async move {
        let timers = procs << 15;
        let here = Countdown::new(timers as u64);
        let sleeper = |_| {
            let here = here.clone();
            tokio::spawn(async move {
                let mut hour = pin!(sleep(HOUR));
                register(hour.as_mut()).await;
                here.done();
                hour.await;
            })
        };
        let pending: Vec<_> = (0..timers).map(sleeper).collect();
        here.wait().await;
        let sample = share_out(procs, n, body).await;
        for task in &pending {
            task.abort();
        }
        for task in pending {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        sample
    })
}

fn after(procs: usize, n: u64) -> Sample {
    among_timers(procs, n, |share| async move {
        for _ in 0..share {
            sleep(NANOSECOND).await;
        }
    })
}

fn stop(procs: usize, n: u64) -> Sample {
    among_timers(procs, n, |share| async move {
        for _ in 0..share {
            register(pin!(sleep(SECOND))).await;
        }
    })
}

fn start_stop_1000(procs: usize, n: u64) -> Sample {
    among_timers(procs, n, |share| async move {
        for _ in 0..share {
            let mut sleeps: Vec<_> = (0..1000).map(|_| Box::pin(sleep(HOUR))).collect();
            for sleep in &mut sleeps {
                register(sleep.as_mut()).await;
            }
        }
    })
}

fn reset(procs: usize, n: u64) -> Sample {
    among_timers(procs, n, |share| async move {
        let mut hour = pin!(sleep(HOUR));
        register(hour.as_mut()).await;
        for _ in 0..share {
            hour.as_mut().reset(Instant::now() + HOUR);
        }
    })
}

fn sleep_1000(procs: usize, n: u64) -> Sample {
    among_timers(procs, n, |share| async move {
        for _ in 0..share {
            join_all((0..1000).map(|_| tokio::spawn(sleep(NANOSECOND))).collect()).await;
        }
    })
}

/// An interval makes up for the ticks that it has missed, so that it seldom waits.
fn ticker(procs: usize, n: u64) -> Sample {
    among_timers(procs, n, |share| async move {
        let mut ticks = interval(NANOSECOND);
        for _ in 0..share {
            ticks.tick().await;
        }
    })
}
