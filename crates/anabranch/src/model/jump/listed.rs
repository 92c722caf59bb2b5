//! The law of a jump process' samples, by going through its chain with all states there are.
//!
//! ```text
//! p_T(x) = stationary law,   p_s(y) = sum_x p_t(x) prod_d p(y_d | x)
//! ```

use rayon::prelude::*;

use super::{Jump, JumpStep};
use crate::array::weights::to_vec;
use crate::chain::Given;
use crate::kernel::categorical::state_of;
use crate::kernel::jump::Step;

use burn::tensor::Device;

/// Products of states before and after a step, over all steps, at most.
const MOST: f64 = 4e9;
/// States that are asked about together.
const BLOCK: usize = 64;

impl Jump {
    /// `log p` of states `[count, columns]` of the data, where few enough are on the way.
    pub(super) fn law_of(&self, rows: &[f32]) -> Option<Vec<f64>> {
        let (columns, states) = (self.denoiser.dimension(), self.process.states());
        let count = states.checked_pow(columns as u32).filter(|count| *count <= 1 << 16)?;
        if self.corrector > 0 || (count as f64).powi(2) * self.levels as f64 > MOST {
            return None;
        }
        let all: Vec<u16> = (0..count).flat_map(|index| digits(index, states, columns)).collect();
        let stationary = self.process.stationary();
        let mass = |row: &[u16]| row.iter().map(|x| stationary[usize::from(*x)]).product();
        let mut law: Vec<f64> = all.chunks_exact(columns).map(mass).collect();
        for level in (1..=self.levels).rev() {
            let step = JumpStep { jump: self, level, stretch: self.stretch(level) };
            let parts: Vec<Vec<f64>> = all
                .par_chunks(BLOCK * columns)
                .zip(law.par_chunks(BLOCK))
                .map(|(rows, masses)| step.spread(rows, masses, count))
                .collect();
            law.fill(0.0);
            for part in parts {
                law.iter_mut().zip(part).for_each(|(law, mass)| *law += mass);
            }
        }
        let place = |row: &[f32]| row.iter().fold(0, |place, x| place * states + *x as usize);
        Some(rows.chunks_exact(columns).map(|row| law[place(row)].ln()).collect())
    }
}

impl JumpStep<'_> {
    /// What of `masses` at `rows` comes to each of `count` states.
    fn spread(&self, rows: &[u16], masses: &[f64], count: usize) -> Vec<f64> {
        let jump = self.jump;
        let (columns, states) = (jump.denoiser.dimension(), jump.process.states());
        let logits =
            to_vec(self.logits(&state_of(rows, columns, &Device::flex()), &Given::nothing()).detach());
        let mut to = vec![0.0; count];
        let (mut step, mut product) = (Step::default(), Vec::with_capacity(count));
        let each = rows.chunks_exact(columns).zip(logits.chunks_exact(columns * states)).zip(masses);
        for ((row, logits), mass) in each.filter(|(_, mass)| **mass > 0.0) {
            product.clear();
            product.push(*mass);
            for (x, logits) in row.iter().zip(logits.chunks_exact(states)) {
                let made = (jump.answer, jump.scheme);
                let logits = &logits[..jump.process.values()];
                self.stretch.step(&jump.process, made, usize::from(*x), logits, &mut step);
                product = product.iter().flat_map(|mass| step.masses.iter().map(move |p| mass * p)).collect();
            }
            to.iter_mut().zip(&product).for_each(|(to, mass)| *to += mass);
        }
        to
    }
}

/// The digits of `index`, the first one slowest.
fn digits(index: usize, values: usize, columns: usize) -> impl Iterator<Item = u16> {
    (0..columns).map(move |column| (index / values.pow((columns - 1 - column) as u32) % values) as u16)
}
