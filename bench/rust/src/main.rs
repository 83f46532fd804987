//! The rows of the benchmarks that Rust has: tasks of tokio, and threads with the channels of crossbeam.
//!
//!     peers tokio|crossbeam --list
//!     peers tokio|crossbeam NAME --procs P --time SECONDS
//!
//! A row has the name of its twins in bench/*.cpp and bench/go and does the same operation, written as users of the
//! system write it. Each line of the output is a name, a metric and its value.

mod crossbeam_rows;
mod harness;
mod tokio_rows;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rows = match args.get(1).map(String::as_str) {
        Some("tokio") => tokio_rows::rows(),
        Some("crossbeam") => crossbeam_rows::rows(),
        _ => panic!("usage: peers tokio|crossbeam --list | NAME --procs P --time SECONDS"),
    };
    let name = args.get(2).map(String::as_str).unwrap_or("--list");
    if name == "--list" {
        for (row, _) in &rows {
            println!("{row}");
        }
        return;
    }
    let option = |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1));
    let procs = option("--procs").map_or(1, |v| v.parse().expect("--procs"));
    let seconds = option("--time").map_or(0.2, |v| v.parse().expect("--time"));
    let (_, body) = rows.iter().find(|(row, _)| *row == name).expect("no such row");
    harness::measure(name, procs, seconds, *body);
}
