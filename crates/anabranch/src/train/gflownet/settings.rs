//! How a flow network is trained, and where its conditions and starts come from.

use std::sync::Arc;

use super::exploration::Exploration;
use crate::error::{Problem, Result};
use crate::objective::{Objective, ReferenceKind};
use crate::optim::OptimizerRecipe;
use crate::policy::Policy;
use crate::rng::{Counted, Noise};
use crate::target;
use crate::train::Trained;
use crate::train::TrainingRecipe;

/// Where conditions come from.
pub trait Conditions: Send + Sync + std::fmt::Debug {
    /// How many numbers a condition has.
    fn width(&self) -> usize;

    /// Draws a condition for each of `rows` trajectories, `[rows, width]`.
    fn draw(&self, rows: usize, noise: &Noise) -> Vec<f32>;
}

impl Conditions for target::Conditions {
    fn width(&self) -> usize {
        self.width()
    }

    fn draw(&self, rows: usize, noise: &Noise) -> Vec<f32> {
        self.draw(rows, noise)
    }
}

/// Where trajectories start.
pub trait Sources<C>: Send + Sync + std::fmt::Debug {
    /// Writes a start for each trajectory, `[rows, cells]`.
    fn draw(&self, noise: &Noise, out: &mut [C]);
}

/// How a flow network is trained.
#[derive(Debug, Clone)]
pub struct Settings<P: Policy> {
    /// How long, and how many trajectories the policy draws for a step.
    pub training: TrainingRecipe,
    /// How weights are updated.
    pub optimizer: OptimizerRecipe,
    /// The loss.
    pub objective: Objective,
    /// What is trained on besides the policy's own draws.
    pub exploration: Exploration<P::Cell>,
    /// Conditions of the trajectories; the flow at the start is then `log Z` of the condition.
    pub conditions: Option<Arc<dyn Conditions>>,
    /// Starts of the trajectories, if not all at the source; the flow at the start is then `log Z` of the start.
    pub sources: Option<Arc<dyn Sources<P::Cell>>>,
    /// The weights of the prior policy, where the objective needs one; training starts from them.
    pub prior: Option<Arc<Vec<f32>>>,
    /// What training starts from, where it goes on from what another run has learned.
    pub start: Option<Arc<Trained>>,
}

impl<P: Policy> Settings<P> {
    /// On-policy, from the source alone, without conditions or prior, for [`TrainingRecipe::default`] and
    /// [`OptimizerRecipe::default`].
    pub fn new(objective: Objective) -> Self {
        Self {
            training: TrainingRecipe::default(),
            optimizer: OptimizerRecipe::default(),
            objective,
            exploration: Exploration::default(),
            conditions: None,
            sources: None,
            prior: None,
            start: None,
        }
    }

    /// Whether `log Z` is the flow at the start.
    pub(super) fn log_z_is_flow(&self) -> bool {
        self.conditions.is_some() || self.sources.is_some()
    }

    /// The most trajectories that a step walks back.
    pub(crate) fn most_walks_back(&self) -> usize {
        let exploration = &self.exploration;
        exploration.replay.map_or(0, |replay| replay.batch)
            + exploration.data.as_ref().map_or(0, |data| data.batch)
            + exploration.search.map_or(0, |_| self.training.batch)
    }

    /// The most rewards that a step observes, of trajectories of at most `longest` moves: at their ends, and on the way.
    pub(crate) fn most_observations(&self, longest: usize) -> usize {
        let walks = self.training.batch + self.most_walks_back();
        self.training.batch.saturating_add(walks.saturating_mul(longest.saturating_add(1)))
    }

    /// Whether the objective fits the policy and all else, and the noise of all steps has addresses.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(&self, policy: &P) -> Result<()> {
        let needs = self.objective.needs();
        let problem = |found: &str, allowed: &str| {
            Err(Problem::new("objective.kind", found.to_owned()).allowed(allowed.to_owned()).into())
        };
        if needs.through_states {
            return problem(
                "one that is differentiated through the states of a path, which are built of actions",
                "one of log-probabilities, such as \"trajectory-balance\" or \"policy-gradient\"",
            );
        }
        let exploration = &self.exploration;
        if needs.on_policy && !exploration.is_on_policy() {
            return problem(
                "one for the policy's own trajectories, with exploration or replay",
                "an objective that holds off-policy, such as \"trajectory-balance\"; or no exploration",
            );
        }
        if needs.stops && !policy.all_objects() {
            return problem(
                "one that stops at every state, where some states are no objects",
                "another, such as \"detailed-balance\"; or objects that are built through objects alone",
            );
        }
        let (each, batch) = (needs.per_condition, self.training.batch);
        if batch < each {
            let found =
                format!("{batch} of the policy's own trajectories, of which the objective takes a mean");
            return Err(Problem::new("training.batch", found).allowed(format!("{each} or more")).into());
        }
        // What is walked back to has a condition or a start that no other trajectory shares.
        if each > 1 && self.log_z_is_flow() && (exploration.replay.is_some() || exploration.data.is_some()) {
            return problem(
                "one that takes means of conditions or roots, with replay or data",
                "one that learns log Z, such as \"trajectory-balance\"; or neither replay nor data",
            );
        }
        let prior = matches!(needs.reference, ReferenceKind::Prior { .. });
        if prior && self.prior.is_none() {
            return problem(
                "one that needs a prior policy",
                "it with `policy.prior`, a run whose policy is the prior",
            );
        }
        if !prior && self.prior.is_some() {
            return problem(
                "one that does not read the prior policy",
                "a relative one; or no `policy.prior`",
            );
        }
        if needs.every_end && policy.cyclic() {
            return problem(
                "an expectation over all trajectories, where walks that come back may have to be given up",
                "one that is 0 at every trajectory, such as \"stable-detailed-balance\"",
            );
        }
        let (batch, back) = (self.training.batch as u64, self.most_walks_back() as u64);
        let rounds = self.exploration.search.map_or(0, |search| search.rounds as u64);
        self.training.addressed(Counted::Rows, 1, batch.max(back))?;
        self.training.addressed(Counted::Search, rounds, batch)?;
        self.training.addressed(Counted::WalksBack, 1, back)?;
        self.training.addressed(Counted::Observations, 1, self.most_observations(policy.longest()) as u64)
    }
}
