//! What is tuned before training, and what it cost.

use crate::chain::Given;
use crate::error::Failure;
use crate::model::{Model, Watch};
use crate::rng::{Noise, Purpose};
use crate::target::{Cost, Target};

/// States that are on their way through the model while it is tuned.
pub(super) const WARM_UP: usize = 500;

/// What the target was asked while the kernels of a model were tuned.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tuning(Cost);

/// The name of its entry in checkpoints.
const ENTRY: &str = "warm_up";

impl Tuning {
    /// Tunes a model towards a target; `watch` is told which share of it is done.
    ///
    /// # Errors
    /// As [`Model::warm_up_observed`].
    pub(super) fn of(
        model: &mut Model,
        target: &dyn Target,
        given: &Given,
        seed: u64,
        watch: &Watch<'_>,
    ) -> Result<Self, Failure> {
        let before = target.cost();
        model.warm_up_observed(WARM_UP, given, &Noise::new(seed, Purpose::Weights), watch)?;
        Ok(Self(target.cost().zip(before).map_or_else(Cost::default, |(after, before)| after - before)))
    }

    /// It as an entry of a checkpoint, where there was something to tune.
    pub(super) fn memory(self) -> Vec<(String, Vec<u8>)> {
        let Cost { values, gradients } = self.0;
        if values == 0 {
            return Vec::new();
        }
        vec![(ENTRY.to_owned(), [values, gradients].map(u64::to_le_bytes).concat())]
    }

    /// What [`Tuning::memory`] answered; nothing of a checkpoint that does not say.
    pub(super) fn remembered(memory: &[(String, Vec<u8>)]) -> Result<Self, String> {
        let Some((_, bytes)) = memory.iter().find(|(name, _)| name == ENTRY) else {
            return Ok(Self::default());
        };
        let &[values, gradients] = bytes.as_chunks::<8>().0 else {
            return Err("of another run (what tuning cost)".to_owned());
        };
        let [values, gradients] = [values, gradients].map(u64::from_le_bytes);
        Ok(Self(Cost { values, gradients }))
    }

    /// The counts by the names of metrics.
    pub(super) fn counted(self) -> Vec<(&'static str, u64)> {
        vec![("evaluations_warm_up", self.0.values), ("gradients_warm_up", self.0.gradients)]
    }
}
