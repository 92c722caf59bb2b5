//! Buffers that are used again: a kernel's temporaries are taken from a pool and go back to it when they are dropped.
//! A result leaves the pool; whoever has it last may [`give_back`] its memory.
//!
//! What a buffer holds when it is taken is whatever was left in it. Zeroing fresh memory took a tenth of a training
//! step, and handing large blocks back to the system costs page faults besides.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, Mutex, PoisonError};

/// A thread, by its place in the pool of threads.
type Thread = Option<usize>;

/// Buffers of one length, each with the thread that took it last.
type Buffers = Vec<(Thread, Vec<f32>)>;

static POOL: LazyLock<Mutex<HashMap<usize, Buffers>>> = LazyLock::new(Mutex::default);

/// Buffers of one length that are kept; more are given back to the system.
const KEPT: usize = 64;

/// A buffer on loan. Every element must be written before it is read.
#[derive(Debug)]
pub(crate) struct Scratch {
    thread: Thread,
    values: Vec<f32>,
}

impl Scratch {
    /// A buffer that this thread had before where there is one: its core may still have it in cache.
    pub fn take(length: usize) -> Self {
        let thread = rayon::current_thread_index();
        if length == 0 {
            return Self { thread, values: Vec::new() };
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pool.get_mut(&length).and_then(|same| {
            let own = same.iter().rposition(|(last, _)| *last == thread);
            own.map(|place| same.swap_remove(place)).or_else(|| same.pop())
        });
        drop(pool);
        Self { thread, values: known.map_or_else(|| vec![0.0; length], |(_, values)| values) }
    }

    /// Takes the buffer out of the pool for good.
    pub fn into_vec(mut self) -> Vec<f32> {
        std::mem::take(&mut self.values)
    }
}

/// Keeps a buffer's memory for later use.
pub(crate) fn give_back(values: Vec<f32>) {
    drop(Scratch { thread: rayon::current_thread_index(), values });
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if values.is_empty() {
            return;
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        // Lengths come and go with batch sizes: those of long ago are not kept for ever.
        if pool.len() > 4 * KEPT {
            pool.clear();
        }
        let same = pool.entry(values.len()).or_default();
        if same.len() < KEPT {
            same.push((self.thread, values));
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
