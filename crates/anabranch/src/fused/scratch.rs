//! Buffers that are used again: a kernel's temporaries are taken from a pool and go back to it when they are dropped.
//!
//! What a buffer holds when it is taken is whatever was left in it. Zeroing fresh memory took a tenth of a training
//! step, and handing large blocks back to the system costs page faults besides.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, Mutex, PoisonError};

static POOL: LazyLock<Mutex<HashMap<usize, Vec<Vec<f32>>>>> = LazyLock::new(Mutex::default);

/// Buffers of one length that are kept; more are given back to the system.
const KEPT: usize = 64;

/// A buffer on loan. Every element must be written before it is read.
#[derive(Debug)]
pub(super) struct Scratch(Vec<f32>);

impl Scratch {
    pub fn take(length: usize) -> Self {
        if length == 0 {
            return Self(Vec::new());
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pool.get_mut(&length).and_then(Vec::pop);
        drop(pool);
        Self(known.unwrap_or_else(|| vec![0.0; length]))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.is_empty() {
            return;
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        // Lengths come and go with batch sizes: those of long ago are not kept for ever.
        if pool.len() > 4 * KEPT {
            pool.clear();
        }
        let same = pool.entry(buffer.len()).or_default();
        if same.len() < KEPT {
            same.push(buffer);
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}
