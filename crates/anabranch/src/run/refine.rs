//! Refining what a trained model draws: by importance weights, or by back-and-forth moves.
//!
//! ```text
//! importance        paths with weights w, resampled to as many as are wanted       biased by a finite number of paths alone
//! back-and-forth    moves with exact acceptance                                    biased by where they start alone
//! ```
//!
//! Both correct the model towards `R / Z`, or towards `prior(x) R(x)^beta / Z` where it has a prior, by the path log-weights that
//! train and measure it.

use std::str::FromStr;

use super::{Observer, watched};
use crate::chain::{Given, Resampling};
use crate::error::{Error, Failure, Problem, Result, quoted};
use crate::estimate::evidence;
use crate::estimate::paths::weighted_paths;
use crate::estimate::relative::Relative;
use crate::estimate::trajectories::{self, Found, forward_relative, forward_rollout};
use crate::model::Model;
use crate::objective::ReferenceKind;
use crate::policy::{Number, Policy};
use crate::recipe::gflownet::{FlowTask, Task};
use crate::recipe::{ChainPlan, GFlowNetPlan, Plan, TargetData};
use crate::rng::{Noise, Purpose};
use crate::sampler::back_and_forth::{Acceptance, BackAndForth, Particles, Removals};
use crate::sampler::chain_moves::Invariant;
use crate::train::Trained;

/// Paths that are drawn for each sample that importance weights leave.
const PATHS_PER_SAMPLE: usize = 10;
/// Walks of a flow network that move together.
const BLOCK: usize = 512;
/// How often walks are drawn again for those that were given up.
const ATTEMPTS: usize = 20;

/// How samples are refined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refine {
    /// Resampled by their path weights.
    Importance,
    /// So many Metropolis-Hastings moves of each.
    BackAndForth(usize),
}

impl FromStr for Refine {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "importance" {
            return Ok(Self::Importance);
        }
        let moves = text.strip_prefix("back-and-forth=").and_then(|moves| moves.parse().ok());
        match moves.filter(|moves| (1..=1_000_000).contains(moves)) {
            Some(moves) => Ok(Self::BackAndForth(moves)),
            None => Err(Problem::new("--refine", quoted(text))
                .allowed("importance, or back-and-forth=K with K moves, an integer from 1 to 1000000")
                .into()),
        }
    }
}

impl Refine {
    /// The most draws that a model makes for so many samples.
    pub fn draws(self, count: usize) -> usize {
        match self {
            Self::Importance => count.saturating_mul(PATHS_PER_SAMPLE),
            Self::BackAndForth(_) => count,
        }
    }
}

/// Refined samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined {
    /// `[count, columns]`.
    pub rows: Vec<f32>,
    /// How well it went, in a line.
    pub note: String,
}

/// A reason why nothing can be refined.
fn refused<T>(found: &str, allowed: &str) -> Result<T> {
    Err(Problem::new("--refine", found).allowed(allowed).into())
}

impl Plan {
    /// Whether what the plan trains can be refined.
    ///
    /// # Errors
    /// If it has no path weights, in words; `--refine` is named.
    pub fn check_refine(&self) -> Result<()> {
        match self {
            Self::Chain(plan) => match &plan.data {
                TargetData::Rows(_) => refused(
                    "a chain that was trained on data, which have no R to weigh its samples by",
                    "a run on an energy, or with a prior and a likelihood; or no --refine",
                ),
                TargetData::Energy(target) if target.condition_width() > 0 => refused(
                    "a chain with conditions, each with a Z of its own",
                    "one without; or no --refine",
                ),
                TargetData::Energy(_) => Ok(()),
            },
            Self::GFlowNet(plan) if !plan.recipe.conditions.is_empty() => refused(
                "a flow network with conditions, each with a Z of its own",
                "one without; or no --refine",
            ),
            Self::GFlowNet(plan) if plan.recipe.roots.is_some() => {
                refused("a flow network with roots, each with a Z of its own", "one without; or no --refine")
            }
            Self::GFlowNet(_) => Ok(()),
        }
    }

    /// `count` refined samples of trained weights: a function of them, the seed and the count.
    ///
    /// # Errors
    /// As [`Plan::check_refine`]; if a kernel or the target fails, no path has weight, or the observer asked to stop.
    pub fn refined(
        &self,
        trained: &Trained,
        refine: Refine,
        count: usize,
        seed: u64,
        observer: &dyn Observer,
    ) -> Result<Refined> {
        self.check_refine()?;
        match self {
            Self::Chain(plan) => {
                let model = plan.model.with_weights(&trained.vectors);
                let noise = Noise::new(seed, Purpose::Source);
                chain(plan, &model, refine, count, &noise, observer)
            }
            Self::GFlowNet(plan) => {
                let noise = Noise::new(seed, Purpose::Choice);
                match &plan.task {
                    Task::Discrete(task) => walks(plan, task, trained, refine, count, &noise, observer),
                    Task::Continuous(task) => walks(plan, task, trained, refine, count, &noise, observer),
                }
            }
        }
    }
}

/// What importance weights left, in a line.
fn of_weights(log_weights: &[f64]) -> String {
    let ess = evidence(log_weights).ess;
    let paths = log_weights.len();
    format!("importance: {paths} paths, effective sample size {:.1} ({ess:.4} of them)", ess * paths as f64)
}

/// What moves did, in a line.
fn of_moves(accepted: usize, moves: usize, count: usize) -> String {
    let share = accepted as f64 / (moves as f64 * count as f64);
    format!("back-and-forth: {moves} moves of each sample, acceptance rate {share:.4}")
}

/// The places of `count` of the draws.
fn resampled(log_weights: &[f64], count: usize, noise: &Noise) -> Result<Vec<usize>> {
    let found = Resampling::Systematic.places(log_weights, count, &noise.purpose(Purpose::Target));
    found.map(|places| places.into_iter().map(|place| place as usize).collect()).ok_or_else(|| {
        Error::Numeric {
            step: 0,
            term: "the sum of the path weights".to_owned(),
            detail: format!("of {} paths none has weight", log_weights.len()),
        }
    })
}

fn picked<C: Copy>(rows: &[C], width: usize, places: &[usize]) -> Vec<C> {
    places.iter().flat_map(|place| rows[place * width..(place + 1) * width].iter().copied()).collect()
}

fn chain(
    plan: &ChainPlan,
    model: &Model,
    refine: Refine,
    count: usize,
    noise: &Noise,
    observer: &dyn Observer,
) -> Result<Refined> {
    let TargetData::Energy(target) = &plan.data else { unreachable!("data were refused") };
    let target = target.as_ref();
    let relative = plan.prior.as_ref().map(|prior| Relative { prior: &prior.model, model, beta: prior.beta });
    let moves = match refine {
        Refine::BackAndForth(moves) => moves,
        Refine::Importance => {
            let paths = refine.draws(count);
            let seen = watched(observer, "paths", paths);
            let drawn = match relative {
                Some(relative) => relative
                    .of_model(target, paths, noise, &seen)
                    .map(|drawn| drawn.map(|drawn| (drawn.log_weights(), drawn.ends))),
                None => weighted_paths(model, target, paths, &Given::nothing(), noise, &seen)
                    .map(|drawn| drawn.map(|drawn| (drawn.log_weights, drawn.ends))),
            };
            let (log_weights, ends) = drawn.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
            let places = resampled(&log_weights, count, noise)?;
            let rows = picked(&ends, model.dimension(), &places);
            return Ok(Refined { rows, note: of_weights(&log_weights) });
        }
    };
    let invariant = match relative {
        Some(relative) => Invariant::Posterior { relative, target },
        None => Invariant::Energy { model, target },
    };
    let seen = watched(observer, "back and forth", count.saturating_mul(moves));
    let moved = invariant.from_model(count, moves, noise, &seen).map_err(Failure::into_error)?;
    let moved = moved.ok_or(Error::Interrupted)?;
    Ok(Refined { rows: moved.rows, note: of_moves(moved.accepted, moves, count) })
}

fn walks<P: Policy>(
    plan: &GFlowNetPlan,
    task: &FlowTask<P>,
    trained: &Trained,
    refine: Refine,
    count: usize,
    noise: &Noise,
    observer: &dyn Observer,
) -> Result<Refined> {
    let network = &task.model.network;
    let evaluator = network.with(&trained.vectors[0]);
    let prior = task.settings.prior.as_ref().map(|weights| network.with(weights));
    let (policy, reward) = (&task.model.policy, task.reward.as_ref());
    let draw = |count: usize, noise: &Noise, seen: &dyn Fn(usize) -> bool| {
        let found = match (&prior, plan.recipe.objective.needs().reference) {
            (Some(prior), ReferenceKind::Prior { beta }) => {
                let relative = trajectories::Relative { prior: prior.as_ref(), beta };
                forward_relative(policy, evaluator.as_ref(), relative, reward, count, noise, seen)
            }
            _ => forward_rollout(policy, evaluator.as_ref(), reward, &[], count, noise, seen),
        };
        found.map_err(Failure::into_error)
    };
    let cells = policy.cells();
    let numbers = |objects: &[P::Cell]| objects.iter().map(|cell| cell.number() as f32).collect();
    let Refine::BackAndForth(moves) = refine else {
        let paths = refine.draws(count);
        let found = draw(paths, noise, &watched(observer, "paths", paths))?;
        let places = resampled(&found.log_weights, count, noise)?;
        let rows = numbers(&picked(&found.objects, cells, &places));
        return Ok(Refined { rows, note: of_weights(&found.log_weights) });
    };
    let mut at = whole(count, cells, |attempt| draw(count, &noise.from_row(attempt << 30), &|_| true))?;
    let seen = watched(observer, "back and forth", moves);
    let of_move = |index: usize| noise.purpose(Purpose::Local).from_row((index + 1) << 32);
    let (mut accepted, mut back_and_forth) = (0, BackAndForth::default());
    for index in 0..moves {
        if prior.is_some() {
            // The law is one over trajectories: a new one is proposed as a whole.
            let found = draw(count, &of_move(index), &|_| true)?;
            accepted += replaced(&mut at, &found, cells, &of_move(index));
        } else {
            for first in (0..count).step_by(BLOCK) {
                let rows = first..count.min(first + BLOCK);
                let particles = Particles {
                    objects: &mut at.objects[rows.start * cells..rows.end * cells],
                    log_rewards: &mut at.log_rewards[rows],
                    conditions: &[],
                };
                let (removals, noise) =
                    (Removals::UpTo(policy.longest() as u32), of_move(index).from_row(first));
                let acceptance = Acceptance::MetropolisHastings;
                accepted += back_and_forth
                    .round(policy, evaluator.as_ref(), reward, particles, removals, acceptance, &noise)
                    .map_err(Failure::into_error)?;
            }
        }
        if !seen(1) {
            return Err(Error::Interrupted);
        }
    }
    Ok(Refined { rows: numbers(&at.objects), note: of_moves(accepted, moves, count) })
}

/// `count` walks that came to their end, drawn again as often as it takes.
fn whole<C: Copy>(count: usize, cells: usize, draw: impl Fn(usize) -> Result<Found<C>>) -> Result<Found<C>> {
    let mut all = draw(0)?;
    let keep = |found: &mut Found<C>| {
        let ended = |row: &usize| found.log_weights[*row] > f64::NEG_INFINITY;
        let kept: Vec<usize> = (0..found.log_weights.len()).filter(ended).collect();
        found.objects = picked(&found.objects, cells, &kept);
        found.log_rewards = picked(&found.log_rewards, 1, &kept);
        found.log_weights = picked(&found.log_weights, 1, &kept);
    };
    keep(&mut all);
    for attempt in 1..ATTEMPTS {
        if all.log_weights.len() >= count {
            break;
        }
        let mut more = draw(attempt)?;
        keep(&mut more);
        all.objects.extend(more.objects);
        all.log_rewards.extend(more.log_rewards);
        all.log_weights.extend(more.log_weights);
    }
    if all.log_weights.len() < count {
        let detail = format!("{} of {} came to an end with weight", all.log_weights.len(), count * ATTEMPTS);
        return Err(Error::Numeric { step: 0, term: "the walks".to_owned(), detail });
    }
    all.objects.truncate(count * cells);
    all.log_rewards.truncate(count);
    all.log_weights.truncate(count);
    Ok(all)
}

/// Puts proposed walks in the place of others by the ratio of their weights; answers how many.
fn replaced<C: Copy>(at: &mut Found<C>, found: &Found<C>, cells: usize, noise: &Noise) -> usize {
    let choice = noise.purpose(Purpose::Target);
    let mut accepted = 0;
    for row in 0..at.log_weights.len() {
        let u = (f64::from(choice.words(row, 0)[0]) + 0.5) / 4_294_967_296.0;
        if u.ln() < found.log_weights[row] - at.log_weights[row] {
            accepted += 1;
            at.log_weights[row] = found.log_weights[row];
            at.log_rewards[row] = found.log_rewards[row];
            let place = row * cells..(row + 1) * cells;
            at.objects[place.clone()].copy_from_slice(&found.objects[place]);
        }
    }
    accepted
}
