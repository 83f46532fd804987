//! Cancellation by the tokens of tokio-util.

use super::{on_runtime, parallel};
use crate::harness::{Row, Sample};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

pub const ROWS: &[Row] = &[
    ("CancelTree1", |p, n| cancel_tree(p, n, 1, false)),
    ("CancelTree10", |p, n| cancel_tree(p, n, 10, false)),
    ("CancelTree100", |p, n| cancel_tree(p, n, 100, false)),
    ("CancelTree1000", |p, n| cancel_tree(p, n, 1000, false)),
    ("CancelTreeClosed100", |p, n| cancel_tree(p, n, 100, true)),
    // A look at a token that does not wait is is_cancelled: that is Err and a select over Done with a default in one.
    ("CheckCanceledErr", check_canceled),
    ("CheckCanceledDone", check_canceled),
    ("ErrOK", check_alive),
    ("ContextCancelDone", check_alive_in_parallel),
];

/// A chain of tokens, which are kept: a token without a handle is no longer in the tree.
fn chain(top: &CancellationToken, tokens: &mut Vec<CancellationToken>, depth: usize) {
    for _ in 0..depth {
        tokens.push(tokens.last().unwrap_or(top).child_token());
    }
}

/// Builds a chain and cancels it from the top, which may have happened before.
fn cancel_tree(procs: usize, n: u64, depth: usize, ended_before: bool) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let mut tokens = Vec::with_capacity(depth);
        for _ in 0..n {
            tokens.clear();
            let top = CancellationToken::new();
            if ended_before {
                top.cancel();
                chain(&top, &mut tokens, depth);
            } else {
                chain(&top, &mut tokens, depth);
                top.cancel();
            }
        }
        let sample = Sample::since(start);
        assert!(tokens[depth - 1].is_cancelled());
        sample
    })
}

fn check_canceled(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let token = CancellationToken::new();
        token.cancel();
        for _ in 0..n {
            assert!(token.is_cancelled());
        }
        Sample::since(start)
    })
}

fn check_alive(procs: usize, n: u64) -> Sample {
    on_runtime(procs, async move {
        let start = Instant::now();
        let token = CancellationToken::new();
        for _ in 0..n {
            assert!(!token.is_cancelled());
        }
        Sample::since(start)
    })
}

fn check_alive_in_parallel(procs: usize, n: u64) -> Sample {
    let token = CancellationToken::new();
    parallel(procs, n, 1, move |share| {
        let token = token.clone();
        async move {
            for _ in 0..share {
                assert!(!token.is_cancelled());
            }
        }
    })
}
