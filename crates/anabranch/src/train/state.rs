//! What a run must keep to go on, whatever it trains.

use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::TrainingRecipe;
use crate::data::atomic::atomic_write;
use crate::error::{Problem, Result, reason};
use crate::optim::adam;

/// All numbers that a run needs to go on, but for what its family keeps besides ([`super::Training::memory`]).
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// The seed of the run.
    pub seed: u64,
    /// The weights, one vector per entry of [`super::Training::names`].
    pub weights: Vec<Vec<f32>>,
    /// Adam's first moments.
    pub first: Vec<Vec<f32>>,
    /// Adam's second moments.
    pub second: Vec<Vec<f32>>,
    /// The exponential moving average of the weights.
    pub average: Vec<Vec<f32>>,
    /// The best validation score so far, its step, and the weights that were scored.
    pub best: Option<Best>,
    /// Evaluations since the best one.
    pub stale: u64,
}

/// The best evaluation so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// The validation score, lower being better.
    pub score: f64,
    /// After how many steps.
    pub step: u64,
    /// The weights that were scored.
    pub weights: Vec<Vec<f32>>,
}

/// Trained weights, each vector with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The names, as [`super::Training::names`] answers them.
    pub names: Vec<String>,
    /// The vectors, in the same order.
    pub vectors: Vec<Vec<f32>>,
}

impl Trained {
    /// Those of a run.
    pub fn of(training: &dyn super::Training) -> Self {
        Self { names: training.names(), vectors: training.trained().to_vec() }
    }

    /// The vector of a name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        let place = self.names.iter().position(|known| known == name)?;
        Some(&self.vectors[place])
    }
}

impl Trained {
    /// Writes them as a safetensors file, a tensor of one dimension for each.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes: Vec<Vec<u8>> = self
            .vectors
            .iter()
            .map(|vector| vector.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let views = self.names.iter().zip(&bytes).map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
            (name.clone(), view.expect("as many bytes as numbers need"))
        });
        let file = safetensors::serialize(views, None).expect("names are unique");
        atomic_write(path, |out| out.write_all(&file))
    }

    /// Reads what [`Trained::write`] wrote, in the order of the names.
    ///
    /// # Errors
    /// If it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let wrong =
            |found: String| Problem::new(&*place, found).allowed("a safetensors file of 32-bit numbers");
        let bytes = std::fs::read(path).map_err(|error| wrong(reason(&error)))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
        let mut found = Self { names: Vec::new(), vectors: Vec::new() };
        let mut tensors = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, tensor) in tensors {
            if tensor.dtype() != Dtype::F32 {
                return Err(wrong(format!("{name} of another type")).into());
            }
            let (numbers, _) = tensor.data().as_chunks::<4>();
            found.vectors.push(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect());
            found.names.push(name);
        }
        Ok(found)
    }
}

impl State {
    /// The state before the first step.
    pub fn new(seed: u64, weights: Vec<Vec<f32>>) -> Self {
        let zeros: Vec<Vec<f32>> = weights.iter().map(|w| vec![0.0; w.len()]).collect();
        let (average, first, second) = (weights.clone(), zeros.clone(), zeros);
        Self { step: 0, seed, weights, first, second, average, best: None, stale: 0 }
    }

    /// Moves the average towards the weights after step `step` (from 0); a decay of 0 leaves it alone.
    pub fn average(&mut self, decay: f64, step: u64) {
        if decay > 0.0 {
            // The average's decay grows from 1/11 towards its final value, so that early weights are soon forgotten.
            let decay = decay.min((step + 1) as f64 / (step + 11) as f64);
            for (average, weights) in self.average.iter_mut().zip(&self.weights) {
                adam::average(average, weights, decay as f32);
            }
        }
    }

    /// The weights that are scored: the average, where there is one, else the last.
    pub fn scored(&self, training: &TrainingRecipe) -> &[Vec<f32>] {
        if training.ema > 0.0 { &self.average } else { &self.weights }
    }

    /// The weights that are to be used: the best evaluated, else those that would be scored.
    pub fn trained(&self, training: &TrainingRecipe) -> &[Vec<f32>] {
        match &self.best {
            Some(best) => &best.weights,
            None => self.scored(training),
        }
    }

    /// Takes note of a score, lower being better, and of the scored weights if it is the best so far.
    pub fn note(&mut self, score: f64, training: &TrainingRecipe) {
        if score.is_finite() && self.best.as_ref().is_none_or(|best| score < best.score) {
            let weights = self.scored(training).to_vec();
            self.best = Some(Best { score, step: self.step, weights });
            self.stale = 0;
        } else {
            self.stale += 1;
        }
    }

    /// Whether training is over: all steps done, or no improvement for as many evaluations as the recipe allows.
    pub fn finished(&self, training: &TrainingRecipe) -> bool {
        self.step >= training.steps || (training.patience > 0 && self.stale >= training.patience)
    }
}
