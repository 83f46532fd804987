//! Repeats a row with more and more operations until one execution takes long enough, as `go test -bench` does.

use std::time::{Duration, Instant};

/// What one execution took. `units` divides the time where an operation consists of many equal ones.
#[derive(Default)]
pub struct Sample {
    pub elapsed: Duration,
    pub units: u64,
    pub extra: Vec<(&'static str, f64)>,
}

impl Sample {
    pub fn since(start: Instant) -> Sample {
        Sample { elapsed: start.elapsed(), ..Default::default() }
    }

    pub fn per(self, units: u64) -> Sample {
        Sample { units, ..self }
    }
}

/// What a row does on that many processors: that many operations.
pub type Body = fn(usize, u64) -> Sample;

pub type Row = (&'static str, Body);

pub fn measure(name: &str, procs: usize, seconds: f64, body: Body) {
    let mut n: u64 = 1;
    loop {
        let sample = body(procs, n);
        let took = sample.elapsed.as_secs_f64();
        if took >= seconds || n >= 1_000_000_000 {
            let units = n as f64 * sample.units.max(1) as f64;
            println!("{name} ns/op {}", took * 1e9 / units);
            for (metric, value) in sample.extra {
                println!("{name} {metric} {value}");
            }
            return;
        }
        let wanted = seconds / took.max(1e-9) * n as f64 * 1.2;
        n = (wanted as u64).clamp(n + 1, n * 100);
    }
}

/// Divides the size of a whole program by BENCH_SCALE, which the driver sets for quick runs.
pub fn scaled(n: u64) -> u64 {
    let divisor = std::env::var("BENCH_SCALE").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    n / std::cmp::max(divisor, 1)
}

/// The resident set of this process in bytes.
pub fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|v| v.parse().ok()).unwrap_or(0.0);
    pages * 4096.0
}

/// Voluntary context switches of all threads of this process since their start: an idle process makes none.
pub fn thread_switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let switches = |path: std::path::PathBuf| -> Option<u64> {
        let text = std::fs::read_to_string(path.join("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    tasks.flatten().filter_map(|task| switches(task.path())).sum()
}

/// The same small generator in every language here, so that none pays for a better one.
pub struct Xorshift(pub u64);

impl Xorshift {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
