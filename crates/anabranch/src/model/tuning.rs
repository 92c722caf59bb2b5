//! Tuning of what no gradient moves, such as the step sizes of Markov kernels, before training.

use super::Model;
use crate::chain::Given;
use crate::error::Failure;
use crate::rng::{Noise, Purpose};

/// Who watches while a model is tuned: told which share of that is done, it answers whether to go on.
pub type Watch<'a> = dyn Fn(f64) -> bool + 'a;

impl Model {
    /// Tunes what is not learned by gradients with `rows` states on their way from the source to the target, as far as there is something
    /// to tune.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn warm_up(&mut self, rows: usize, given: &Given, noise: &Noise) -> Result<(), Failure> {
        self.warm_up_observed(rows, given, noise, &|_| true)
    }

    /// [`Model::warm_up`], telling `watch` which share of it is done.
    ///
    /// # Errors
    /// If a kernel fails; with [`Error::Interrupted`](crate::error::Error::Interrupted) where `watch` asked to stop.
    pub fn warm_up_observed(
        &mut self,
        rows: usize,
        given: &Given,
        noise: &Noise,
        watch: &Watch<'_>,
    ) -> Result<(), Failure> {
        let Some(last) = self.segments.iter().rposition(|segment| segment.tunes()) else { return Ok(()) };
        let count = (last + 1) as f64;
        let mut x = self.placed().sample(rows, given, &noise.purpose(Purpose::Source))?;
        for (index, segment) in self.segments[..=last].iter_mut().enumerate() {
            // Each segment's steps have addresses of their own.
            let noise = noise.from_trajectory((index as u64) << 40);
            x = segment.warm_up(x, given, &noise, &|share| watch((index as f64 + share) / count))?;
        }
        Ok(())
    }
}
