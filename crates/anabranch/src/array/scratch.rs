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

/// Buffers of one size class, each with the thread that took it last.
type Buffers = Vec<(Thread, Vec<f32>)>;

static POOL: LazyLock<Mutex<HashMap<usize, Buffers>>> = LazyLock::new(Mutex::default);

/// Classes that are kept.
const CLASSES: usize = 256;

/// Buffers of one size class that are kept, more being given back to the system: as many as a deep network's tape has, as
/// long as they are small.
fn kept(class: usize) -> usize {
    const NUMBERS: usize = 1 << 24;
    (NUMBERS / class).clamp(8, 1024)
}

/// The length that a buffer of `length` is given: lengths that differ by little, as those of batches of trajectories do,
/// share their memory.
fn class(length: usize) -> usize {
    length.next_multiple_of((length.next_power_of_two() / 8).max(1))
}

/// A buffer on loan. Every element must be written before it is read.
#[derive(Debug)]
pub(crate) struct Scratch {
    thread: Thread,
    /// As long as its size class.
    values: Vec<f32>,
    length: usize,
}

impl Scratch {
    /// A buffer that this thread had before where there is one: its core may still have it in cache.
    pub fn take(length: usize) -> Self {
        let thread = rayon::current_thread_index();
        if length == 0 {
            return Self { thread, values: Vec::new(), length };
        }
        let class = class(length);
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pool.get_mut(&class).and_then(|same| {
            let own = same.iter().rposition(|(last, _)| *last == thread);
            own.map(|place| same.swap_remove(place)).or_else(|| same.pop())
        });
        drop(pool);
        let values = known.map_or_else(|| vec![0.0; class], |(_, values)| values);
        Self { thread, values, length }
    }

    /// Takes the buffer out of the pool for good.
    pub fn into_vec(mut self) -> Vec<f32> {
        let mut values = std::mem::take(&mut self.values);
        values.truncate(self.length);
        values
    }
}

/// Keeps a buffer's memory for later use.
pub(crate) fn give_back(mut values: Vec<f32>) {
    let length = values.len();
    values.resize(class(length), 0.0);
    drop(Scratch { thread: rayon::current_thread_index(), values, length });
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if values.is_empty() {
            return;
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        // Lengths come and go with batch sizes: those of long ago are not kept for ever.
        if pool.len() > CLASSES {
            pool.clear();
        }
        let same = pool.entry(values.len()).or_default();
        if same.len() < kept(values.len()) {
            same.push((self.thread, values));
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.length]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.length]
    }
}
