//! The next rows of an endless sequence of permutations.

use crate::data::binary::drawn;
use crate::rng::{Address, Counted, Noise, Purpose};

/// The permutation of the epoch that is being read.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    order: Option<(u64, Vec<usize>)>,
}

impl Epochs {
    /// The numbers of the rows of step `step`, `batch` of `rows` each.
    pub(super) fn batch(&mut self, rows: usize, batch: usize, step: u64, seed: u64) -> Vec<u32> {
        let (noise, rows) = (Noise::new(seed, Purpose::Data), rows as u64);
        let mut numbers = Vec::with_capacity(batch);
        for index in step * batch as u64..(step + 1) * batch as u64 {
            let (epoch, place) = (index / rows, (index % rows) as usize);
            if self.order.as_ref().is_none_or(|(known, _)| *known != epoch) {
                self.order = Some((epoch, noise.long_step(epoch).permutation(rows as usize)));
            }
            numbers.push(self.order.as_ref().map_or(0, |(_, order)| order[place]) as u32);
        }
        numbers
    }
}

/// The rows with these numbers of `[rows, columns]`.
pub(super) fn gathered<T: Copy>(rows: &[T], columns: usize, numbers: &[u32]) -> Vec<T> {
    numbers.iter().flat_map(|number| &rows[*number as usize * columns..][..columns]).copied().collect()
}

/// Binary rows with these numbers of step `step`, drawn by their chances.
pub(super) fn redrawn(chances: &[f32], columns: usize, numbers: &[u32], step: u64, seed: u64) -> Vec<f32> {
    let noise = Noise::new(seed, Purpose::Binary).at(Address::of_step(Counted::Rows, step, numbers.len()));
    drawn(&gathered(chances, columns, numbers), columns, &noise)
}
