//! Recipes of chains: segments with densities or ratios between a simple source and data or an energy.

mod build;
mod cite;
mod explain;
mod size;
mod target;

pub use build::{ChainPlan, TargetData};
pub(super) use cite::citations;
pub(super) use explain::explain;
pub use target::{TableRecipe, TargetRecipe, ToyDataRecipe};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OptimizerRecipe, Overview, TrainingRecipe, positive, within};
use crate::data::Dataset;
use crate::error::{Problem, Result, listed, quoted};
use crate::estimate::likelihood::Bound;
use crate::model::ode::Divergence;
use crate::model::part::{Part, Surroundings};
use crate::model::recipe::SegmentRecipe;
use crate::network::Activation;
use crate::network::recipe::widths;
use crate::objective::ObjectiveRecipe;
use crate::objective::{BackwardObjective, ForwardKl, Objective, ReferenceKind};
use crate::sampler::Sampler;

/// A recipe of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainRecipe {
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
    #[serde(default = "forward_kl")]
    pub objective: ObjectiveRecipe,
    /// What learned encoders are trained by.
    #[serde(default, skip_serializing_if = "is_joint")]
    pub backward: BackwardObjective,
    /// The network of state flows, where the objective needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_flow: Option<StateFlowRecipe>,
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

fn is_joint(backward: &BackwardObjective) -> bool {
    *backward == BackwardObjective::Joint
}

fn forward_kl() -> ObjectiveRecipe {
    ObjectiveRecipe::ForwardKl(ForwardKl::default())
}

/// The network that answers `log F` of the states between source and target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StateFlowRecipe {
    /// Widths of its hidden layers.
    pub hidden: Vec<usize>,
    /// Its activation.
    pub activation: Activation,
}

impl Default for StateFlowRecipe {
    fn default() -> Self {
        Self { hidden: vec![64, 64], activation: Activation::Silu }
    }
}

/// What is measured at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationRecipe {
    /// Samples drawn for the sample metrics and written to samples.npy.
    #[schemars(range(min = 1))]
    pub samples: usize,
    /// Draws per row of a diffusion's simulation-free bound; a bound that is simulated takes one path.
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

impl ChainRecipe {
    pub(crate) fn overview(&self) -> Overview<'_> {
        Overview {
            name: &self.name,
            title: &self.title,
            seed: self.seed,
            training: self.training.clone(),
            optimizer: &self.optimizer,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        positive("evaluation.samples", self.evaluation.samples as u64)?;
        positive("evaluation.draws", self.evaluation.draws as u64)?;
        positive("evaluation.paths", self.evaluation.paths as u64)?;
        within("evaluation.samples", self.evaluation.samples as f64, 1.0, 1e8)?;
        within("evaluation.draws", self.evaluation.draws as f64, 1.0, 10_000.0)?;
        within("evaluation.paths", self.evaluation.paths as f64, 1.0, 1e8)?;
        self.check_objective()?;
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
        let learns = |segment: &SegmentRecipe| segment.part().network().is_some();
        if !self.model.iter().any(learns) {
            let families = SegmentRecipe::families().into_iter().filter(learns);
            let names: Vec<String> = families.map(|family| quoted(family.part().kind())).collect();
            return Err(Problem::new("model", "no segment that learns")
                .allowed(format!("at least one {}", listed(&names, "or")))
                .into());
        }
        for (part, place) in SegmentRecipe::parts(&self.model) {
            part.check(&place)?;
        }
        self.target.check()?;
        Ok(())
    }

    /// Refuses what a chain's kernels do not allow.
    fn check_objective(&self) -> Result<()> {
        let refused = |found: &str, allowed: &str| {
            Err(Problem::new("objective.kind", found).allowed(allowed.to_owned()).into())
        };
        let Objective::Paths(objective) = self.objective.check("objective", self.backward)? else {
            return refused(
                "an objective of states and their parents, which a chain of continuous kernels does not list",
                "one of trajectories or of transitions, such as \"sub-trajectory-balance\"",
            );
        };
        let needs = objective.needs();
        if self.objective.needs_target() && !self.target.is_energy() {
            return refused(
                "an objective that learns from an energy",
                "\"forward-kl\" or \"importance-weighted\" where the target is data",
            );
        }
        if self.training.batch < needs.per_condition {
            let found = format!("{}, of which the objective takes a mean", self.training.batch);
            return Err(Problem::new("training.batch", found)
                .allowed(format!("{} or more", needs.per_condition))
                .into());
        }
        if needs.stops {
            return refused(
                "an objective of the chance of stopping, where a chain stops at its last step alone",
                "one that does not read it, such as \"detailed-balance\"",
            );
        }
        if needs.partial {
            return refused(
                "a forward-looking one, which needs rewards on the way, where states on the way have none",
                "it without `forward_looking`",
            );
        }
        if self.backward == BackwardObjective::TrajectoryLikelihood && needs.through_states {
            return Err(Problem::new(
                "backward",
                "trajectory-likelihood with an objective that trains both chains at once",
            )
            .allowed("joint; or an objective at given states, such as \"trajectory-balance\"")
            .into());
        }
        let learned = self.model.iter().any(|segment| segment.part().learns_backward());
        if learned && !needs.trains_backward {
            return Err(Problem::new(
                "backward",
                "joint, with an objective to which the encoder is a constant",
            )
            .allowed("trajectory-likelihood, which trains it by the paths that the decoder draws")
            .into());
        }
        if matches!(needs.reference, ReferenceKind::Prior { .. }) {
            return refused(
                "one that needs a prior policy",
                "one that does not, such as \"trajectory-balance\"",
            );
        }
        if let Some(flow) = &self.state_flow {
            widths("state_flow.hidden", &flow.hidden, false)?;
            if !needs.flow {
                return Err(Problem::new("state_flow", "state flows that the objective does not read")
                    .allowed("none; or one that does, such as \"sub-trajectory-balance\"")
                    .into());
            }
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
        if ode_steps > 0 && !self.model.iter().any(|segment| segment.part().has_ode()) {
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
}

/// Visits a model's parts from the target to the source, each with what surrounds it; `visit` answers the coordinates on the part's
/// other side.
fn surrounded(
    recipe: &ChainRecipe,
    data: Option<&Dataset>,
    dimension: usize,
    mut visit: impl FnMut(&dyn Part, &Surroundings<'_>) -> Result<usize>,
) -> Result<()> {
    let mut dimension = dimension;
    for (part, place) in SegmentRecipe::parts(&recipe.model).rev() {
        let (levels, seed) = (recipe.target.levels(), recipe.seed);
        let backward = !recipe.objective.needs_target();
        dimension =
            visit(part, &Surroundings { place, dimension, levels, data, seed, condition: 0, backward })?;
    }
    Ok(())
}
