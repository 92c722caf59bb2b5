//! Steps that leave the law at a time as it is: Gibbs updates of single coordinates by the conditionals that a network knows.
//!
//! ```text
//! forward   d drawn of all coordinates alike,   x_d ~ c(. given the rest)
//! backward  the same step from its end
//! ratio     log P_B - log P_F = log c(x_d given the rest) - log c(x'_d given the rest)      for x -> x', which differ at d
//! ```
//!
//! With exact conditionals the step is reversible with respect to `q_t`: it changes nothing but where a path is, and mends what the
//! steps before, products over coordinates, have lost (Sun et al. 2023, section 4.3; Campbell et al. 2022, section 4.4, in continuous
//! time). With others it leaves another law as it is, and the ratio says so to the weights. Under a mask the network answers for a
//! coordinate that is masked, whatever stood there; one that is not hollow is asked at both ends.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::denoiser::CategoricalDenoiser;
use crate::array::weights::to_vec;
use crate::chain::{Given, Score, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::categorical::{categories, drawn, numbers, state_of};
use crate::kernel::jump::{Answer, Process, Reverse};
use crate::rng::{Noise, Purpose};

/// One update of every row at one time.
pub(super) struct Corrector<'a> {
    pub denoiser: &'a dyn CategoricalDenoiser,
    pub process: &'a Process,
    pub answer: Answer,
    /// Any stretch that ends at this time.
    pub stretch: Arc<Reverse>,
    /// What the network is told.
    pub time: f32,
}

impl Corrector<'_> {
    /// The law of each row's coordinate `places` given the others, `[rows]` of `[states]`.
    fn laws(&self, rows: &[u16], places: &[usize], given: &Given, like: &State) -> Vec<Vec<f64>> {
        let (columns, states) = (self.denoiser.dimension(), self.process.states());
        let mut seen = rows.to_vec();
        if let Some(mask) = self.process.mask() {
            let own = seen.chunks_exact_mut(columns).zip(places);
            own.for_each(|(row, place)| row[*place] = mask as u16);
        }
        let time = Tensor::full([1, 1], self.time, &like.device());
        let logits = self.denoiser.logits(&state_of(&seen, columns, &like.device()), time, given);
        let logits = to_vec(logits.detach());
        let law = |(row, place): (usize, &usize)| {
            let at = row * columns + place;
            let own = &logits[at * states..][..self.process.values()];
            self.stretch.conditional_law(self.answer, usize::from(seen[at]), own)
        };
        places.iter().enumerate().map(law).collect()
    }

    /// The coordinate of each row that an update is of.
    fn places(&self, rows: usize, noise: &Noise) -> Vec<usize> {
        let noise = noise.purpose(Purpose::Choice);
        (0..rows).map(|row| noise.below(row, self.denoiser.dimension())).collect()
    }

    /// Rows after an update, and the laws by which they were drawn.
    fn moved(
        &self,
        from: &State,
        places: &[usize],
        given: &Given,
        noise: &Noise,
    ) -> (Vec<u16>, Vec<Vec<f64>>) {
        let mut rows = categories(from);
        let laws = self.laws(&rows, places, given, from);
        let uniform = noise.uniform(places.len(), 1);
        let own = rows.chunks_exact_mut(self.denoiser.dimension()).zip(places).zip(laws.iter().zip(uniform));
        own.for_each(|((row, place), (law, u))| row[*place] = drawn(law, u));
        (rows, laws)
    }

    /// `log c(x_d) - log c'(x'_d)` of moves of the coordinates `places` from `before` to `after`, by the laws at either end.
    fn ratios(
        &self,
        [before, after]: [&[u16]; 2],
        places: &[usize],
        [of_before, of_after]: [&[Vec<f64>]; 2],
    ) -> Vec<f64> {
        let columns = self.denoiser.dimension();
        let ratio = |(row, place): (usize, &usize)| {
            let at = row * columns + place;
            let [from, to] = [before, after].map(|rows| usize::from(rows[at]));
            if from == to { 0.0 } else { of_after[row][from].ln() - of_before[row][to].ln() }
        };
        places.iter().enumerate().map(ratio).collect()
    }

    /// A move from one end and back from the other: rows at its end, and `log P(there to here) - log P(here to there)`.
    fn made(&self, from: &State, given: &Given, noise: &Noise) -> (State, Vec<f64>) {
        let before = categories(from);
        let columns = self.denoiser.dimension();
        let places = self.places(before.len() / columns, noise);
        let (after, of_before) = self.moved(from, &places, given, noise);
        let of_after = self.laws(&after, &places, given, from);
        let ratios = self.ratios([&before, &after], &places, [&of_before, &of_after]);
        (state_of(&after, columns, &from.device()), ratios)
    }
}

impl Transition for Corrector<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let (to, ratios) = self.made(&from, given, noise);
        let device = to.device();
        Ok(Step::of_ratio(to, numbers(ratios, &device)))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.forward(from, given, noise)
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        let places = self.places(from.dims()[0], noise);
        let (rows, _) = self.moved(&from, &places, given, noise);
        Ok(state_of(&rows, self.denoiser.dimension(), &from.device()))
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        let columns = self.denoiser.dimension();
        let [from, to] = [before, after].map(categories);
        let rows = from.chunks_exact(columns).zip(to.chunks_exact(columns));
        let moved: Vec<Vec<usize>> =
            rows.map(|(from, to)| (0..columns).filter(|d| from[*d] != to[*d]).collect()).collect();
        let places: Vec<usize> = moved.iter().map(|moved| moved.first().copied().unwrap_or(0)).collect();
        let [of_before, of_after] = [&from, &to].map(|rows| self.laws(rows, &places, given, before));
        let mut ratios = self.ratios([&from, &to], &places, [&of_before, &of_after]);
        let far = ratios.iter_mut().zip(&moved).filter(|(_, moved)| moved.len() > 1);
        far.for_each(|(ratio, _)| *ratio = f64::NEG_INFINITY);
        Ok(Score::Ratio(numbers(ratios, &before.device())))
    }
}
