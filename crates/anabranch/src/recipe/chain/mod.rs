//! Recipes of chains: segments with densities or ratios between a simple source and data or an energy.

mod build;
mod cite;
mod condition;
mod explain;
mod learners;
mod prior;
mod proposal;
mod size;
mod table;

pub use build::{ChainPlan, TargetData};
pub(super) use cite::citations;
pub use condition::Condition;
pub(super) use explain::facts;
pub use prior::ChainPrior;
pub use table::SampleTable;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Recipe, within};
use crate::data::Dataset;
use crate::error::{Problem, Result, listed, quoted};
use crate::model::Model;
use crate::model::guide::gaussian::Covariance;
use crate::model::part::{Asks, Part, Surroundings};
use crate::model::recipe::SegmentRecipe;
use crate::network::Activation;
use crate::network::recipe::widths;
use crate::objective::{BackwardObjective, Drawn, ForwardKl, Objective, ObjectiveRecipe, ReferenceKind};
use crate::sampler::Sampler;
use crate::target::Target;

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

/// Checks what only a chain has.
pub(super) fn check(recipe: &Recipe) -> Result<()> {
    if learns(recipe) {
        check_objective(recipe)?;
    }
    match recipe.sampler {
        Sampler::Ancestral => {}
        Sampler::Ddim { steps, eta } => {
            within("sampler.steps", steps as f64, 2.0, 1e6)?;
            within("sampler.eta", eta, 0.0, 1.0)?;
        }
        Sampler::Ode { steps } => within("sampler.steps", steps as f64, 1.0, 1e6)?,
        Sampler::Discrete(sampling) => {
            sampling.check()?;
            recipe.model.iter().try_for_each(|segment| segment.part().check_sampling(&sampling))?;
        }
    }
    if let Some(smc) = &recipe.smc {
        smc.check()?;
        let levels = recipe.model.iter().any(|segment| segment.part().knows_levels());
        let flows = recipe.objective.needs().flow;
        let in_turn = recipe.model.iter().any(|segment| segment.part().draws_in_turn())
            && recipe.target.energy().is_some();
        if !(levels || flows || in_turn) || recipe.policy.prior.is_some() {
            return Err(Problem::new(
                "smc",
                "it without densities on the way, by which particles are resampled",
            )
            .allowed("it for a model with an \"annealing\" or another segment that knows them, an \"autoregressive\" one of an energy, or an objective that learns state flows; or no smc")
            .into());
        }
        let persists = matches!(&recipe.model[..], [only] if only.part().persists());
        if smc.persistent && !persists {
            return Err(Problem::new("smc.persistent", "it of a chain whose densities do not all lie on one path from a base")
                .allowed("it for a model of one \"annealing\" segment; or waste_free, which any kernels have that leave their densities invariant")
                .into());
        }
        if !recipe.conditions.is_empty() {
            return Err(Problem::new("smc", "it of a target under conditions, each with a Z of its own")
                .allowed("a target without conditions; or no smc")
                .into());
        }
    }
    let (model, ode_steps) = (&recipe.model, recipe.evaluation.ode_steps);
    let diffuses = model.iter().any(|segment| segment.part().has_ode());
    let along = matches!(recipe.sampler, Sampler::Ddim { .. } | Sampler::Ode { .. });
    if along && !model.is_empty() && !diffuses {
        return Err(Problem::new("sampler.kind", "another sampler of a model without a diffusion")
            .allowed("\"ancestral\"; or a model with a \"diffusion\", whose steps it takes")
            .into());
    }
    if ode_steps > 0 && !diffuses {
        return Err(Problem::new("evaluation.ode_steps", format!("{ode_steps} without a diffusion"))
            .allowed("0, or a model with a \"diffusion\", whose ODE it is")
            .into());
    }
    // What is not said is the prior's.
    if !(1..=100).contains(&model.len()) && (!model.is_empty() || recipe.policy.prior.is_none()) {
        return Err(Problem::new("model", format!("{} segments", model.len()))
            .allowed("from 1 to 100 of them")
            .into());
    }
    let learns = |segment: &SegmentRecipe| segment.part().learns();
    let asks = |segment: &SegmentRecipe| segment.part().asks() > Asks::Nothing;
    if !model.is_empty() && !model.iter().any(learns) && !model.iter().any(asks) {
        let families = SegmentRecipe::families().into_iter().filter(learns);
        let names: Vec<String> = families.map(|family| quoted(family.part().kind())).collect();
        return Err(Problem::new("model", "no segment that learns")
            .allowed(format!("at least one {}", listed(&names, "or")))
            .into());
    }
    for (part, place) in SegmentRecipe::parts(model) {
        part.check(&place)?;
    }
    match (recipe.target.rows(), recipe.target.energy()) {
        (Some(rows), _) => rows.check(),
        (_, Some(energy)) => energy.check(recipe.policy.prior.is_some()),
        _ => Ok(()),
    }
}

/// Whether gradients move anything of the model.
pub(super) fn learns(recipe: &Recipe) -> bool {
    recipe.model.is_empty() || recipe.model.iter().any(|segment| segment.part().learns())
}

/// Refuses what a chain's kernels do not allow.
fn check_objective(recipe: &Recipe) -> Result<()> {
    let refused = |found: &str, allowed: &str| {
        Err(Problem::new("objective.kind", found).allowed(allowed.to_owned()).into())
    };
    let objective = match recipe.objective.check("objective", recipe.backward)? {
        Objective::Paths(objective) => objective,
        Objective::Factors(_) => return check_factors(recipe),
        Objective::Particles(_) => return learners::check_particles(recipe),
        Objective::Bootstrap(_) => return learners::check_bootstrap(recipe),
        Objective::States(_) | Objective::Quantiles(_) => {
            return refused(
                "an objective of states and their parents, which a chain of continuous kernels does not list",
                "one of trajectories or of transitions, such as \"sub-trajectory-balance\"",
            );
        }
    };
    let needs = objective.needs();
    if recipe
        .model
        .iter()
        .any(|segment| matches!(segment, SegmentRecipe::Energy(_) | SegmentRecipe::EnergyFlowNetwork(_)))
        && recipe.objective != ObjectiveRecipe::ForwardKl(ForwardKl::default())
    {
        let found = "another one of an energy that learns, which has a `loss` of its own";
        return refused(found, "\"forward-kl\", maximum likelihood, which `model.0.loss` is an estimate of");
    }
    if recipe.objective.needs_target() && recipe.target.energy().is_none() {
        return refused(
            "an objective that learns from an energy",
            "\"forward-kl\" or \"importance-weighted\" where the target is data",
        );
    }
    if recipe.training.batch < needs.per_condition {
        let found = format!("{}, of which the objective takes a mean", recipe.training.batch);
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
    if recipe.backward == BackwardObjective::TrajectoryLikelihood && needs.through_states {
        return Err(Problem::new(
            "backward",
            "trajectory-likelihood with an objective that trains both chains at once",
        )
        .allowed("joint; or an objective at given states, such as \"trajectory-balance\"")
        .into());
    }
    let refined =
        |segment: &SegmentRecipe| matches!(segment, SegmentRecipe::Vae(vae) if vae.refinement.is_some());
    if let (ObjectiveRecipe::ForwardKl(weighed), true) = (&recipe.objective, recipe.model.iter().any(refined))
        && *weighed != ForwardKl::default()
    {
        let found = "weights of divergences, which an encoder with refinement does not tell apart";
        return refused(found, "it without kl_weight, kl_warm_up and free_nats; or a vae without refinement");
    }
    let mut only = recipe.model.iter().filter_map(|segment| segment.part().learns_through_states());
    if let (Some(what), false) = (only.next(), needs.through_states) {
        return refused(
            &format!("an objective at given states, which have no density by {what}"),
            "\"reverse-kl\", which learns through them; or these fixed",
        );
    }
    let chooses = recipe.model.iter().find(|segment| segment.part().learns_choices());
    if let (Some(segment), Drawn::Forward, true) = (chooses, needs.drawn, needs.through_states) {
        let found = format!(
            "one through the states, which the learned choices of \"{}\" do not move",
            segment.part().kind()
        );
        return refused(
            &found,
            "one at given states, such as \"score-function\" or \"log-variance\"; or `shares = \"equal\"`",
        );
    }
    let learned = recipe.model.iter().any(|segment| segment.part().learns_backward());
    if learned && !needs.trains_backward && needs.through_states {
        let found = "\"path\" of several samples, which hold learned backward kernels fixed";
        return Err(Problem::new("objective.gradient", found).allowed("\"total\"").into());
    }
    if learned && !needs.trains_backward {
        return Err(Problem::new("backward", "joint, with an objective to which the encoder is a constant")
            .allowed("trajectory-likelihood, which trains it by the paths that the decoder draws")
            .into());
    }
    match (matches!(needs.reference, ReferenceKind::Prior { .. }), &recipe.policy.prior) {
        (true, None) => {
            return refused(
                "one that needs a prior",
                "it with `policy.prior`, a run whose chain is the prior; or one that needs none, such as \"trajectory-balance\"",
            );
        }
        (false, Some(_)) => {
            return refused("one that does not read the prior", "a relative one; or no `policy.prior`");
        }
        _ => {}
    }
    if recipe.policy.prior.is_some() && !recipe.conditions.is_empty() {
        return Err(Problem::new("policy.prior", "a prior beside conditions").allowed("one of them").into());
    }
    if let Some(flow) = &recipe.state_flow {
        widths("state_flow.hidden", &flow.hidden, false)?;
        if !needs.flow && (!needs.log_z || recipe.conditions.is_empty()) {
            return Err(Problem::new("state_flow", "state flows that the objective does not read")
                .allowed("none; or one that does, such as \"sub-trajectory-balance\"")
                .into());
        }
    }
    Ok(())
}

/// Refuses what coordinate ascent does not move.
fn check_factors(recipe: &Recipe) -> Result<()> {
    let factors = match &recipe.model[..] {
        [SegmentRecipe::Gaussian(guide)] => guide.covariance == Covariance::Diagonal,
        _ => false,
    };
    if factors && recipe.policy.prior.is_none() && recipe.state_flow.is_none() {
        return Ok(());
    }
    let problem = Problem::new("objective.kind", "one that moves the factors of a mean-field guide alone");
    Err(problem.allowed("it with one segment, kind = \"gaussian\", covariance = \"diagonal\"").into())
}

/// What a recipe's parts are built with, as far as it is there.
#[derive(Clone, Copy, Default)]
struct Found<'a> {
    data: Option<&'a Dataset>,
    energy: Option<&'a Arc<dyn Target>>,
    /// What the run has learned that the first part names.
    run: Option<&'a Model>,
}

/// Visits a model's parts from the target to the source, each with what surrounds it; `visit` answers the coordinates on the part's
/// other side.
fn surrounded(
    recipe: &Recipe,
    Found { data, energy, run }: Found<'_>,
    [dimension, condition]: [usize; 2],
    mut visit: impl FnMut(&dyn Part, &Surroundings<'_>) -> Result<usize>,
) -> Result<()> {
    let mut dimension = dimension;
    for (part, place) in SegmentRecipe::parts(&recipe.model).rev() {
        let (levels, seed) = (recipe.target.levels(), recipe.seed);
        let backward = !recipe.objective.needs_target();
        let prefix = recipe.target.rows().map_or(0, |rows| rows.prefix());
        let around =
            Surroundings { place, dimension, levels, data, energy, run, seed, condition, prefix, backward };
        dimension = visit(part, &around)?;
    }
    Ok(())
}
