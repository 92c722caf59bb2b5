//! Threads that stay awake for the length of a step.
//!
//! A step of training has several parallel parts with short serial ones between them. A thread of the pool that finds no work
//! goes to sleep after some microseconds, and waking it takes tens of them: more than a small part does. While [`awake`] runs,
//! some threads look for work without sleeping, until there has been none for a while.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The most threads that are kept awake.
const MOST: usize = 7;

/// How long a thread waits for work before it may sleep: longer than the serial parts of a step, of which those of a deep flow
/// take the better part of a millisecond, shorter than anything that is worth a processor, such as another program's answer.
const PATIENCE: Duration = Duration::from_millis(5);

thread_local! {
    /// Whether this thread is the one that does the work of an [`awake`].
    static WORKS: Cell<bool> = const { Cell::new(false) };
}

/// Ends the waiting, however the work ends.
struct End<'a> {
    over: &'a AtomicBool,
    before: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        WORKS.set(self.before);
    }
}

/// Does `work` on a thread of the pool while up to `others` more threads of it stay awake for its parallel parts.
pub fn awake<T: Send>(others: usize, work: impl FnOnce() -> T + Send) -> T {
    let over = AtomicBool::new(false);
    rayon::scope(|scope| {
        for _ in 0..others.min(MOST).min(rayon::current_num_threads() - 1) {
            scope.spawn(|_| wait(&over));
        }
        let _end = End { over: &over, before: WORKS.replace(true) };
        work()
    })
}

/// Looks for work until there is none for a while, or all is over.
fn wait(over: &AtomicBool) {
    // A thread that has work of its own, and looks for more only while it waits for a part of it, must not wait here.
    if WORKS.get() {
        return;
    }
    let mut idle = Instant::now();
    while !over.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            idle = Instant::now();
            continue;
        }
        if idle.elapsed() > PATIENCE {
            return;
        }
        (0..8).for_each(|_| std::hint::spin_loop());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    /// Many at once from outside of the pool, each with parallel parts, some within others: all end, with the right sums.
    #[test]
    fn works_side_by_side_and_nested() {
        let sum = |n: u64| (0..n).into_par_iter().map(|i| i * i).sum::<u64>();
        let exact = |n: u64| (n - 1) * n * (2 * n - 1) / 6;
        std::thread::scope(|scope| {
            for thread in 1..9u64 {
                scope.spawn(move || {
                    for round in 1..50 {
                        let n = 10 * thread + round;
                        let found = awake(3, || {
                            let inner = awake(2, || sum(n));
                            (inner, sum(2 * n))
                        });
                        assert_eq!(found, (exact(n), exact(2 * n)));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_ends_the_waiting() {
        let panicked = std::panic::catch_unwind(|| awake(3, || -> u8 { panic!("on purpose") }));
        assert!(panicked.is_err());
        assert_eq!(awake(3, || 5), 5);
    }
}
