//! Log-weights of many trajectories of a flow network, in blocks of bounded memory.
//!
//! ```text
//! forward     x by P_F                       log w = log R(x) + sum_t [log P_B - log P_F]
//! backward    x given, trajectory by P_B     the same number
//! log P_T(x)  log mean_k exp(sum_t [log P_F - log P_B]),  tau_k ~ P_B(. | x)
//! ```
//!
//! All use the policy's own probabilities, however the objects were found.

use std::ops::Range;

use crate::environment::Environment;
use crate::error::Error;
use crate::math::log_sum_exp;
use crate::model::gflownet::{BackwardRollout, Batch, ForwardRollout};
use crate::network::taped::{Evaluator, NONE, Tape};
use crate::policy::{Actions, Behaviour, Policy};
use crate::rng::Noise;
use crate::target::{Failure, Target, checked};

/// Trajectories walked together.
const BLOCK: usize = 512;

/// What forward trajectories found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<C> {
    /// `[count, cells]`.
    pub objects: Vec<C>,
    /// `log R(x)`, `[count]`, nats; `-inf` for a walk that was cut short.
    pub log_rewards: Vec<f64>,
    /// `log w`, `[count]`, nats; `-inf` for a walk that was cut short.
    pub log_weights: Vec<f64>,
    /// How many walks were cut short.
    pub cut: usize,
    /// The sum of all numbers of moves.
    pub moves: usize,
}

/// Walks `conditions.len() / width` trajectories (`count` without conditions) from the source on-policy; `seen` is told how
/// many are done and answers whether to go on.
///
/// # Errors
/// If the reward fails, the policy has no law at a state, or with [`Error::Interrupted`] where `seen` said so.
pub fn forward_rollout<P: Policy>(
    policy: &P,
    evaluator: &dyn Evaluator,
    reward: &dyn Target<P::Cell>,
    conditions: &[f32],
    count: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>, Failure> {
    let sources = block_of_sources(policy, count);
    let sources = |rows: Range<usize>| &sources[..rows.len() * policy.cells()];
    in_blocks(policy, evaluator, None, reward, &sources, conditions, count, noise, seen)
}

/// The prior policy of a posterior: `log w = beta log R(x) + sum_t [log P_prior - log P_F]`, whose mean is at most
/// `log E_prior[R^beta]`.
#[derive(Clone, Copy)]
pub struct Relative<'a> {
    /// The prior's network.
    pub prior: &'a dyn Evaluator,
    /// The power of the reward.
    pub beta: f64,
}

/// The same with log-weights relative to a prior, without conditions.
///
/// # Errors
/// As [`forward_rollout`].
pub fn forward_relative<P: Policy>(
    policy: &P,
    evaluator: &dyn Evaluator,
    relative: Relative<'_>,
    reward: &dyn Target<P::Cell>,
    count: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>, Failure> {
    let sources = block_of_sources(policy, count);
    let sources = |rows: Range<usize>| &sources[..rows.len() * policy.cells()];
    in_blocks(policy, evaluator, Some(relative), reward, &sources, &[], count, noise, seen)
}

/// As many sources as are walked from together.
fn block_of_sources<P: Policy>(policy: &P, count: usize) -> Vec<P::Cell> {
    let mut sources = vec![P::Cell::default(); count.min(BLOCK) * policy.cells()];
    sources.chunks_exact_mut(policy.cells()).for_each(|source| policy.source(source));
    sources
}

/// The same from `sources`, `[count, cells]`.
///
/// # Errors
/// As [`forward_rollout`].
#[expect(clippy::too_many_arguments, reason = "those of `forward_rollout` and where to start")]
pub fn forward_from<P: Policy>(
    policy: &P,
    evaluator: &dyn Evaluator,
    reward: &dyn Target<P::Cell>,
    sources: &[P::Cell],
    conditions: &[f32],
    count: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>, Failure> {
    let cells = policy.cells();
    let sources = |rows: Range<usize>| &sources[rows.start * cells..rows.end * cells];
    in_blocks(policy, evaluator, None, reward, &sources, conditions, count, noise, seen)
}

#[expect(clippy::too_many_arguments, reason = "those of `forward_from`, the sources of a block at a time")]
fn in_blocks<'a, P: Policy>(
    policy: &P,
    evaluator: &dyn Evaluator,
    relative: Option<Relative<'_>>,
    reward: &dyn Target<P::Cell>,
    sources: &dyn Fn(Range<usize>) -> &'a [P::Cell],
    conditions: &[f32],
    count: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>, Failure> {
    let width = conditions.len() / count.max(1);
    let mut found =
        Found { objects: Vec::new(), log_rewards: Vec::new(), log_weights: Vec::new(), cut: 0, moves: 0 };
    let (mut batch, mut objects) = (Batch::default(), Vec::new());
    for first in (0..count).step_by(BLOCK) {
        let size = BLOCK.min(count - first);
        let noise = noise.from_row(first);
        let conditions = &conditions[first * width..(first + size) * width];
        let walk = ForwardRollout {
            sources: sources(first..first + size),
            conditions,
            behaviour: Behaviour::default(),
            noise: &noise,
        };
        batch.clear();
        batch.forward_rollout(policy, evaluator, walk)?;
        batch.describe(policy);
        if relative.is_none() {
            batch.imply_backward(policy, evaluator);
        }
        batch.objects(policy, &mut objects);
        let paths = &mut batch.paths;
        paths.log_reward.resize(size, 0.0);
        found.cut += reward_of_ends(policy, reward, &objects, &paths.cut, conditions, &mut paths.log_reward)?;
        match relative {
            None => found.log_weights.extend(paths.log_weights()),
            Some(Relative { prior, beta }) => {
                batch.ask_reference(policy, prior);
                found.log_weights.extend((0..size).map(|b| batch.paths.relative_log_weight(beta, b)));
            }
        }
        let paths = &batch.paths;
        found.log_rewards.extend_from_slice(&paths.log_reward);
        found.objects.extend_from_slice(&objects);
        found.moves += paths.rows() - size;
        if !seen(size) {
            return Err(Failure::Stop(Error::Interrupted));
        }
    }
    Ok(found)
}

/// Asks for the rewards of `objects`, `[count, cells]`, at which walks ended, but for those that were `cut` short, whose
/// rewards are 0; answers how many these are.
///
/// # Errors
/// If the reward fails.
pub fn reward_of_ends<P: Policy>(
    policy: &P,
    reward: &dyn Target<P::Cell>,
    objects: &[P::Cell],
    cut: &[bool],
    conditions: &[f32],
    log_rewards: &mut [f64],
) -> Result<usize, Failure> {
    let describe = |object: &[P::Cell]| policy.describe(object);
    let given_up = cut.iter().filter(|cut| **cut).count();
    if given_up == 0 {
        checked(reward, objects, conditions, &describe, log_rewards)?;
        return Ok(0);
    }
    let ends = ended(cut, objects);
    let mut found = vec![0.0; cut.len() - given_up];
    if !found.is_empty() {
        checked(reward, &ends, &ended(cut, conditions), &describe, &mut found)?;
    }
    let mut found = found.into_iter();
    for (log_reward, cut) in log_rewards.iter_mut().zip(cut) {
        *log_reward = if *cut { f64::NEG_INFINITY } else { found.next().expect("one for each end") };
    }
    Ok(given_up)
}

/// The rows of `values` that belong to walks that came to their end.
pub(crate) fn ended<T: Copy>(cut: &[bool], values: &[T]) -> Vec<T> {
    let width = values.len() / cut.len().max(1);
    let rows = values.chunks_exact(width.max(1)).zip(cut).filter(|(_, cut)| !**cut);
    rows.flat_map(|(row, _)| row.iter().copied()).collect()
}

/// `log w` of one backward trajectory from each of `objects`, `[count, cells]`, whose log-rewards are known; with zeros for
/// these it is the log-ratio of both directions alone. A walk that was cut short, which the forward chain does not make, has
/// `inf`.
///
/// # Errors
/// If the policy has no law at a state, or with [`Error::Interrupted`] where `seen` said so.
pub fn backward_rollout<P: Policy>(
    policy: &P,
    evaluator: &dyn Evaluator,
    objects: &[P::Cell],
    conditions: &[f32],
    log_rewards: &[f64],
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Vec<f64>, Error> {
    let (cells, count) = (policy.cells(), log_rewards.len());
    let width = conditions.len() / count.max(1);
    let mut log_weights = Vec::with_capacity(count);
    let mut batch = Batch::default();
    for first in (0..count).step_by(BLOCK) {
        let size = BLOCK.min(count - first);
        let noise = noise.from_row(first);
        let walk = BackwardRollout {
            objects: &objects[first * cells..(first + size) * cells],
            conditions: &conditions[first * width..(first + size) * width],
            most: &[],
            noise: &noise,
        };
        batch.clear();
        batch.backward_rollout(policy, evaluator, walk)?;
        batch.describe(policy);
        batch.imply_backward(policy, evaluator);
        batch.paths.log_reward.clear();
        batch.paths.log_reward.extend_from_slice(&log_rewards[first..first + size]);
        let paths = &batch.paths;
        let weight = |b| if paths.is_cut(b) { f64::INFINITY } else { paths.log_weight(b) };
        log_weights.extend((0..size).map(weight));
        if !seen(size) {
            return Err(Error::Interrupted);
        }
    }
    Ok(log_weights)
}

/// `log P_T(x)` of each of `objects`, `[count, cells]`, by `samples` backward trajectories each: a lower bound on average,
/// exact as they grow many. Nats.
///
/// # Errors
/// If the policy has no law at a state, or with [`Error::Interrupted`] where `seen` said so.
pub fn log_likelihoods<P: Policy>(
    policy: &P,
    evaluator: &dyn Evaluator,
    objects: &[P::Cell],
    samples: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Vec<f64>, Error> {
    let repeated: Vec<P::Cell> =
        objects.chunks_exact(policy.cells()).flat_map(|object| object.repeat(samples)).collect();
    let zeros = vec![0.0; repeated.len() / policy.cells()];
    let ratios = backward_rollout(policy, evaluator, &repeated, &[], &zeros, noise, seen)?;
    let mean = |ratios: &[f64]| {
        let negated: Vec<f64> = ratios.iter().map(|ratio| -ratio).collect();
        log_sum_exp(&negated) - (samples as f64).ln()
    };
    Ok(ratios.chunks_exact(samples).map(mean).collect())
}

/// `log P_F` of every move and of stopping at each of `states`, `[count, moves + 1]`, nats, `-inf` where impossible: what an
/// exact terminating distribution is computed from.
pub fn log_policy(
    policy: &Actions,
    evaluator: &dyn Evaluator,
    states: &[u16],
    condition: &[f32],
) -> Vec<f64> {
    use rayon::prelude::*;
    let environment: &dyn Environment = policy.environment().as_ref();
    let (cells, moves, outputs) = (policy.cells(), environment.moves(), policy.outputs());
    let block = |states: &[u16]| {
        let (mut tape, mut work) = (Tape::default(), Default::default());
        for state in states.chunks_exact(cells).filter(|state| !policy.must_stop(state)) {
            tape.push(NONE, |on, dense| {
                policy.encode(state, on, dense);
                dense.extend_from_slice(condition);
            });
        }
        evaluator.evaluate(&mut tape, 0);
        let mut out = Vec::with_capacity(states.len() / cells * (moves + 1));
        let mut row = 0;
        for state in states.chunks_exact(cells) {
            if policy.must_stop(state) {
                out.extend(std::iter::repeat_n(f64::NEG_INFINITY, moves).chain([0.0]));
                continue;
            }
            let values = tape.output_mut(row, outputs);
            row += 1;
            policy.prepare(state, values, &mut work);
            out.extend(values[..moves].iter().map(|value| f64::from(*value)));
            out.push(if environment.stops() { f64::from(values[moves]) } else { f64::NEG_INFINITY });
        }
        out
    };
    states.par_chunks(BLOCK * cells).flat_map_iter(block).collect()
}
