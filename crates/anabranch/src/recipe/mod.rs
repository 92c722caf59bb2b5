//! Recipes: a TOML file that names a space, a target, kernels, an objective and how to train.
//!
//! A recipe is read, overridden (`--set key.path=value`), checked once as a whole, and only a checked recipe can be
//! built into a [`Plan`]. Every problem names the key, what was found and what is allowed.

mod build;
mod cite;
mod explain;
mod library;
mod read;
mod segment;
mod shape;
mod size;
mod target;

pub use build::{Plan, TargetData};
pub use cite::citations;
pub use explain::explain;
pub use library::{Entry, library, locate, named};
pub use read::{Override, Source, read};
pub use segment::{
    ActivationName, CouplingKind, DiffusionRecipe, FlowRecipe, LogitRecipe, Mixing, ObservationName,
    PredictionName, ScheduleName, SegmentRecipe, TransformerName, VaeRecipe, WeightingName,
};
pub use target::{TableRecipe, TargetRecipe, ToyDataRecipe};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Problem, Result, quoted};
use crate::estimate::likelihood::Bound;
use crate::model::ode::Divergence;
use crate::sampler::Sampler;

/// A whole recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The recipe's name: task, then method.
    pub name: String,
    /// One line that says what it does.
    #[serde(default)]
    pub title: String,
    /// The seed of every random stream.
    #[serde(default)]
    pub seed: u64,
    /// What is to be modelled: a data set, a toy density, or an energy.
    pub target: TargetRecipe,
    /// The chain's segments, from the source to the target.
    pub model: Vec<SegmentRecipe>,
    /// The training objective.
    #[serde(default)]
    pub objective: ObjectiveRecipe,
    /// How weights are updated.
    #[serde(default)]
    pub optimizer: OptimizerRecipe,
    /// How long, and what is written when.
    #[serde(default)]
    pub training: TrainingRecipe,
    /// How samples are drawn.
    #[serde(default)]
    pub sampler: Sampler,
    /// What is measured at the end.
    #[serde(default)]
    pub evaluation: EvaluationRecipe,
}

/// The training objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ObjectiveRecipe {
    /// Maximum likelihood of the data, or of the bound where the likelihood is not tractable.
    ForwardKl {
        /// The final factor of a latent variable model's divergences (1 is the bound; above, beta-VAE).
        #[serde(default = "one")]
        kl_weight: f32,
        /// Steps over which that factor rises from 0.
        #[serde(default)]
        kl_warm_up: u64,
        /// Nats per latent level below which its divergence is not pushed.
        #[serde(default)]
        free_nats: f32,
    },
    /// The importance-weighted bound (IWAE).
    ImportanceWeighted {
        /// Paths per datum.
        #[schemars(range(min = 1))]
        samples: usize,
    },
    /// Reverse KL from an energy: maximises the ELBO on log Z.
    ReverseKl {},
    /// Trajectory balance with a learned log Z.
    TrajectoryBalance {
        /// The learning rate of log Z.
        #[serde(default = "log_z_rate")]
        log_z_rate: f64,
    },
    /// The variance of the path log-weight (VarGrad).
    LogVariance {},
}

fn one() -> f32 {
    1.0
}

fn log_z_rate() -> f64 {
    0.1
}

impl Default for ObjectiveRecipe {
    fn default() -> Self {
        Self::ForwardKl { kl_weight: 1.0, kl_warm_up: 0, free_nats: 0.0 }
    }
}

impl ObjectiveRecipe {
    /// Whether the objective learns from an energy, and not from data.
    pub fn needs_energy(&self) -> bool {
        matches!(self, Self::ReverseKl {} | Self::TrajectoryBalance { .. } | Self::LogVariance {})
    }
}

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam (Kingma and Ba 2015).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw,
}

/// How the learning rate moves after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RateSchedule {
    /// It stays.
    Constant,
    /// It falls along half a cosine.
    Cosine,
    /// It falls along a line.
    Linear,
}

/// How weights are updated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerRecipe {
    /// Adam or AdamW.
    pub kind: OptimizerKind,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay; only for AdamW.
    pub weight_decay: f64,
    /// The largest norm of the whole gradient; 0 switches clipping off.
    pub clip_norm: f64,
    /// Steps over which the rate rises from 0.
    pub warm_up: u64,
    /// How the rate moves afterwards.
    pub schedule: RateSchedule,
    /// The rate at the last step, as a fraction of the peak.
    pub final_fraction: f64,
}

impl Default for OptimizerRecipe {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            warm_up: 0,
            schedule: RateSchedule::Cosine,
            final_fraction: 0.0,
        }
    }
}

/// How long training takes, and what is written when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingRecipe {
    /// Optimiser steps.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Rows per step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Steps between checkpoints; 0 leaves only the last.
    pub checkpoint_every: u64,
    /// Steps between evaluations on the validation split; 0 switches them off.
    pub evaluate_every: u64,
    /// Steps between lines in metrics.jsonl.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Evaluations without improvement after which training stops; 0 never stops early.
    pub patience: u64,
    /// Decay of the exponential moving average of the weights, which is what is evaluated; 0 switches it off.
    pub ema: f64,
}

impl Default for TrainingRecipe {
    fn default() -> Self {
        Self {
            steps: 10_000,
            batch: 256,
            checkpoint_every: 1000,
            evaluate_every: 500,
            log_every: 50,
            patience: 0,
            ema: 0.999,
        }
    }
}

/// What is measured at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationRecipe {
    /// Samples drawn for the sample metrics and written to samples.npy.
    #[schemars(range(min = 1))]
    pub samples: usize,
    /// Draws per row of the simulation-free bound, or paths per row of a simulated one.
    #[schemars(range(min = 1))]
    pub draws: usize,
    /// Paths per row of the importance-weighted likelihood; 0 leaves it out.
    pub importance_samples: usize,
    /// Runge-Kutta steps of the likelihood along a diffusion's probability-flow ODE; 0 leaves it out.
    pub ode_steps: usize,
    /// Sign vectors per row and step that estimate the divergence along the ODE; 0 finds it exactly, at the cost of one
    /// derivative per coordinate.
    pub ode_probes: usize,
    /// Forward paths for ELBO, log Z and ESS on an energy.
    #[schemars(range(min = 1))]
    pub paths: usize,
    /// Whether samples are compared with the test split (on an energy, with exact samples).
    pub sample_metrics: bool,
}

impl Default for EvaluationRecipe {
    fn default() -> Self {
        Self {
            samples: 1000,
            draws: 20,
            importance_samples: 0,
            ode_steps: 0,
            ode_probes: 0,
            paths: 10_000,
            sample_metrics: true,
        }
    }
}

impl EvaluationRecipe {
    /// How the likelihood along the probability-flow ODE is found, where it is asked for.
    pub fn ode(&self) -> Option<Bound> {
        let divergence = match self.ode_probes {
            0 => Divergence::Exact,
            probes => Divergence::Hutchinson { probes },
        };
        (self.ode_steps > 0).then_some(Bound::Ode { steps: self.ode_steps, divergence })
    }
}

impl Recipe {
    /// Checks every value that needs no data to be checked.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self) -> Result<()> {
        let training = &self.training;
        let optimizer = &self.optimizer;
        // Run directories bear it.
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.len() > 100
            || !self.name.chars().all(fine)
            || !self.name.starts_with(char::is_alphanumeric)
        {
            return Err(Problem::new("name", quoted(&self.name))
                .allowed("up to 100 letters, digits, \"-\", \"_\" and \".\", a letter or digit first")
                .into());
        }
        if self.seed > i64::MAX as u64 {
            return Err(Problem::new("seed", self.seed.to_string())
                .allowed(format!("an integer from 0 to {}", i64::MAX))
                .into());
        }
        positive("training.steps", training.steps)?;
        positive("training.batch", training.batch as u64)?;
        positive("training.log_every", training.log_every)?;
        positive("evaluation.samples", self.evaluation.samples as u64)?;
        positive("evaluation.draws", self.evaluation.draws as u64)?;
        positive("evaluation.paths", self.evaluation.paths as u64)?;
        within("evaluation.samples", self.evaluation.samples as f64, 1.0, 1e8)?;
        within("evaluation.draws", self.evaluation.draws as f64, 1.0, 10_000.0)?;
        within("evaluation.paths", self.evaluation.paths as f64, 1.0, 1e8)?;
        within("training.batch", training.batch as f64, 1.0, 1e7)?;
        within("training.ema", training.ema, 0.0, 0.999_999_9)?;
        within("optimizer.learning_rate", optimizer.learning_rate, f64::MIN_POSITIVE, 1e3)?;
        within("optimizer.beta1", optimizer.beta1, 0.0, 0.999_999_9)?;
        within("optimizer.beta2", optimizer.beta2, 0.0, 0.999_999_999)?;
        within("optimizer.epsilon", optimizer.epsilon, f64::MIN_POSITIVE, 1.0)?;
        within("optimizer.weight_decay", optimizer.weight_decay, 0.0, 1e3)?;
        within("optimizer.clip_norm", optimizer.clip_norm, 0.0, f64::MAX)?;
        within("optimizer.final_fraction", optimizer.final_fraction, 0.0, 1.0)?;
        if optimizer.kind == OptimizerKind::Adam && optimizer.weight_decay != 0.0 {
            return Err(Problem::new("optimizer.weight_decay", optimizer.weight_decay.to_string())
                .allowed("0 with optimizer.kind = \"adam\"; use \"adamw\" for weight decay")
                .into());
        }
        match &self.objective {
            ObjectiveRecipe::ForwardKl { kl_weight, free_nats, .. } => {
                within("objective.kl_weight", f64::from(*kl_weight), 0.0, 1e6)?;
                within("objective.free_nats", f64::from(*free_nats), 0.0, 1e6)?;
            }
            ObjectiveRecipe::ImportanceWeighted { samples } => {
                positive("objective.samples", *samples as u64)?
            }
            ObjectiveRecipe::TrajectoryBalance { log_z_rate } => {
                within("objective.log_z_rate", *log_z_rate, f64::MIN_POSITIVE, 1e3)?;
            }
            ObjectiveRecipe::ReverseKl {} | ObjectiveRecipe::LogVariance {} => {}
        }
        match self.sampler {
            Sampler::Ancestral => {}
            Sampler::Ddim { steps, eta } => {
                within("sampler.steps", steps as f64, 2.0, 1e6)?;
                within("sampler.eta", eta, 0.0, 1.0)?;
            }
            Sampler::Ode { steps } => within("sampler.steps", steps as f64, 1.0, 1e6)?,
        }
        self.check_ode()?;
        if !(1..=100).contains(&self.model.len()) {
            return Err(Problem::new("model", format!("{} segments", self.model.len()))
                .allowed("from 1 to 100 of them")
                .into());
        }
        if !self.model.iter().any(SegmentRecipe::learns) {
            return Err(Problem::new("model", "no segment that learns")
                .allowed("at least one \"diffusion\", \"flow\" or \"vae\"")
                .into());
        }
        for (index, segment) in self.model.iter().enumerate() {
            let after: Vec<&str> = self.model[index + 1..].iter().map(SegmentRecipe::kind).collect();
            segment.check(&format!("model.{index}"), index == 0, &after)?;
        }
        self.target.check()?;
        if self.objective.needs_energy() && !self.target.is_energy() {
            return Err(Problem::new("objective.kind", "an objective that learns from an energy")
                .allowed("\"forward-kl\" or \"importance-weighted\" where the target is data")
                .into());
        }
        Ok(())
    }

    fn check_ode(&self) -> Result<()> {
        let EvaluationRecipe { ode_steps, ode_probes, .. } = self.evaluation;
        within("evaluation.ode_steps", ode_steps as f64, 0.0, 1e5)?;
        if ode_steps > 0 && self.target.is_energy() {
            return Err(Problem::new("evaluation.ode_steps", format!("{ode_steps} on an energy"))
                .allowed("0; a likelihood is measured where the target is data")
                .into());
        }
        if ode_steps > 0 && !self.model.iter().any(|segment| segment.kind() == "diffusion") {
            return Err(Problem::new("evaluation.ode_steps", format!("{ode_steps} without a diffusion"))
                .allowed("0, or a model with a \"diffusion\", whose ODE it is")
                .into());
        }
        if ode_probes > 0 && ode_steps == 0 {
            return Err(Problem::new("evaluation.ode_probes", format!("{ode_probes} without an ODE"))
                .allowed("0 where evaluation.ode_steps is 0")
                .into());
        }
        Ok(())
    }

    /// The recipe as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a recipe is a table of plain values")
    }
}

pub(crate) fn positive(key: &str, value: u64) -> Result<()> {
    if value == 0 {
        return Err(Problem::new(key, "0").allowed("an integer of at least 1").into());
    }
    Ok(())
}

pub(crate) fn within(key: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if !(low..=high).contains(&value) {
        let allowed = match (low == f64::MIN_POSITIVE, high == f64::MAX) {
            (true, true) => "a positive number".to_owned(),
            (true, false) => format!("a positive number up to {high}"),
            (false, true) => format!("a number from {low}"),
            (false, false) => format!("a number from {low} to {high}"),
        };
        return Err(Problem::new(key, value.to_string()).allowed(allowed).into());
    }
    Ok(())
}
