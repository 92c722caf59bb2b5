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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_chance_are_drawn_afresh_at_every_step() {
        let (columns, numbers) = (4, [2, 0, 2]);
        let chances = [[0.0, 0.5, 0.5, 1.0], [0.3; 4], [1.0, 0.5, 0.2, 0.0]].concat();
        let at = |step: u64, seed: u64| redrawn(&chances, columns, &numbers, step, seed);
        assert_eq!(at(3, 1), at(3, 1));
        assert!((0..20).any(|step| at(step, 1) != at(step, 2)), "another seed, other draws");
        // One row twice in a step is drawn twice.
        assert!((0..20).any(|step| at(step, 1)[..4] != at(step, 1)[8..]));
        let steps = 4000;
        let mut ones = [0.0; 12];
        for step in 0..steps {
            ones.iter_mut().zip(at(step, 1)).for_each(|(sum, x)| *sum += f64::from(x));
        }
        for (place, ones) in ones.iter().enumerate() {
            let chance = f64::from(chances[numbers[place / columns] as usize * columns + place % columns]);
            let error = (chance * (1.0 - chance) / steps as f64).sqrt();
            let mean = ones / steps as f64;
            assert!((mean - chance).abs() <= 4.0 * error, "{place}: {mean} for {chance}");
        }
    }
}
