//! Free energies: what can still be reached from a state.
//!
//! ```text
//! exp(-FE(s)) = sum_{x >= s} R(x)                    x >= s: moves lead from s to x; each object once, not once per way
//! P(T >= s) = exp(FE(s_0) - FE(s))                   where x >= s means that x contains s: marginals over supersets
//! P(T = x | T >= s) = R(x) exp(FE(s))
//! H(T | T >= s) = sum_{x >= s} P(x | s) [-log P(x | s)]
//! ```
//!
//! Reachability of many objects from all states has no algorithm that is linear in the edges; here 64 objects at a time
//! are bits of a word that is passed from children to parents, `edges objects / 64` operations in all. For one state a
//! single walk is linear.
//!
//! Bengio et al., "GFlowNet Foundations" (2023), sections 5 and 6.

use rayon::prelude::*;

use super::{Flows, over_states, without_cycles};
use crate::environment::States;
use crate::error::Result;
use crate::math::log_sum_exp;

/// Objects whose weights are summed in one scale differ by no more than this, so that none vanishes. Nats.
const RANGE: f64 = 600.0;
/// Words of 64 bits, one bit per object, that are passed along an edge at once.
const WORDS: usize = 4;
const BLOCK: usize = 64 * WORDS;
/// Blocks whose sums are kept at a time, however many threads there are.
const BLOCKS: usize = 8;

/// `FE(s)`, `[states]`, nats, from `log R`, `[objects]`; infinite where no object of positive reward is ahead.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if a reward is no number or infinite, or there are cycles.
///
/// # Panics
/// If there are not as many rewards as objects.
pub fn free_energies(states: &States, log_rewards: &[f64]) -> Result<Vec<f64>> {
    let log_sums = log_sums_over_descendants(states, log_rewards)?;
    Ok(log_sums.into_iter().map(|log_sum| -log_sum).collect())
}

/// `H(T | T >= s)`, `[states]`, nats: 0 where no object of positive reward is ahead.
///
/// As in an entropic pair of flows, the second of which has the reward `-R log R` with all `R < 1`: rewards are divided by
/// the largest, which leaves the entropies as they are.
///
/// # Errors
/// As [`free_energies`].
///
/// # Panics
/// If there are not as many rewards as objects.
pub fn entropies(states: &States, log_rewards: &[f64]) -> Result<Vec<f64>> {
    let largest = log_rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scaled: Vec<f64> = log_rewards.iter().map(|log_reward| log_reward - largest).collect();
    let entropic: Vec<f64> = scaled
        .iter()
        .map(
            |log_reward| {
                if log_reward.is_finite() { log_reward + (-log_reward).ln() } else { f64::NEG_INFINITY }
            },
        )
        .collect();
    let first = log_sums_over_descendants(states, &scaled)?;
    let second = log_sums_over_descendants(states, &entropic)?;
    let entropy = |(f, g): (&f64, f64)| if f.is_finite() { (g - f).exp() + f } else { 0.0 };
    Ok(first.iter().zip(second).map(entropy).collect())
}

/// Which states moves lead to from `start`, itself included, `[states]`.
pub fn descendants(states: &States, start: usize) -> Vec<bool> {
    let mut reached = vec![false; states.len()];
    reached[start] = true;
    let mut waiting = vec![start as u32];
    while let Some(i) = waiting.pop() {
        for (child, _) in states.children(i as usize) {
            if !std::mem::replace(&mut reached[*child as usize], true) {
                waiting.push(*child);
            }
        }
    }
    reached
}

/// `log P(T = x | T >= start)`, `[objects]`: `-inf` for objects that are not ahead of `start`; none if no object of positive
/// reward is.
///
/// # Panics
/// If there are not as many rewards as objects.
pub fn conditional_law(states: &States, start: usize, log_rewards: &[f64]) -> Option<Vec<f64>> {
    let ahead = rewards_ahead(states, &descendants(states, start), log_rewards);
    let log_sum = log_sum_exp(&ahead);
    log_sum.is_finite().then(|| ahead.into_iter().map(|log_reward| log_reward - log_sum).collect())
}

/// The state-conditional flow `F_start` over the states ahead of `start`, where `P_B` goes back to parents that are
/// themselves ahead, in the proportions of `log_backward` `[edges]`. `F_start(start) = exp(-FE(start))`.
///
/// # Errors
/// As [`Flows::from_backward`].
pub fn conditional_flows(
    states: &States,
    start: usize,
    log_rewards: &[f64],
    log_backward: &[f64],
) -> Result<Flows> {
    let ahead = descendants(states, start);
    let into = |i: usize| -> Vec<f64> {
        let edges = states.parents(i).iter().zip(&log_backward[states.incoming(i)]);
        let inside = |parent: u32| ahead[i] && i != start && ahead[parent as usize];
        let kept: Vec<f64> = edges
            .map(|((parent, _), log_prob)| if inside(*parent) { *log_prob } else { f64::NEG_INFINITY })
            .collect();
        let log_sum = log_sum_exp(&kept);
        kept.iter().map(|log_prob| if log_sum.is_finite() { log_prob - log_sum } else { *log_prob }).collect()
    };
    let log_backward = (0..states.len()).flat_map(into).collect();
    Flows::from_backward(states, rewards_ahead(states, &ahead, log_rewards), log_backward)
}

fn rewards_ahead(states: &States, ahead: &[bool], log_rewards: &[f64]) -> Vec<f64> {
    assert_eq!(log_rewards.len(), states.objects().len(), "a reward for each object");
    let objects = states.objects().iter().zip(log_rewards);
    objects.map(|(i, log_reward)| if ahead[*i as usize] { *log_reward } else { f64::NEG_INFINITY }).collect()
}

/// `log sum_{x >= s} exp(log_weight_x)`, `[states]`.
fn log_sums_over_descendants(states: &States, log_weights: &[f64]) -> Result<Vec<f64>> {
    without_cycles(states, "free energies")?;
    let log_weights = over_states(states, log_weights)?;
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut log_sums = vec![f64::NEG_INFINITY; states.len()];
    let mut left: Vec<u32> = states.objects().to_vec();
    left.retain(|i| log_weights[*i as usize] > f64::NEG_INFINITY);
    // One band of weights after another, each in a scale of its own; most often there is only one.
    let mut top = largest;
    while !left.is_empty() {
        let (band, rest): (Vec<u32>, Vec<u32>) =
            left.iter().partition(|i| log_weights[**i as usize] > top - RANGE);
        let weights: Vec<f64> = band.iter().map(|i| (log_weights[*i as usize] - top).exp()).collect();
        let sums = sums_over_descendants(states, &band, &weights);
        for (log_sum, sum) in log_sums.iter_mut().zip(sums) {
            *log_sum = log_sum_exp(&[*log_sum, top + sum.ln()]);
        }
        top = rest.iter().map(|i| log_weights[*i as usize]).fold(f64::NEG_INFINITY, f64::max);
        left = rest;
    }
    Ok(log_sums)
}

/// Sums of the weights of the objects ahead of each state.
fn sums_over_descendants(states: &States, objects: &[u32], weights: &[f64]) -> Vec<f64> {
    let blocks: Vec<(&[u32], &[f64])> = objects.chunks(BLOCK).zip(weights.chunks(BLOCK)).collect();
    let mut sums = vec![0.0; states.len()];
    for blocks in blocks.chunks(BLOCKS) {
        let parts: Vec<Vec<f64>> =
            blocks.par_iter().map(|(objects, weights)| block_sums(states, objects, weights)).collect();
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
    }
    sums
}

/// The same for a block of objects, ascending; states after the last of them are left out.
fn block_sums(states: &States, objects: &[u32], weights: &[f64]) -> Vec<f64> {
    let last = objects[objects.len() - 1] as usize;
    let mut ahead = vec![[0u64; WORDS]; last + 1];
    objects.iter().enumerate().for_each(|(at, i)| ahead[*i as usize][at / 64] |= 1 << (at % 64));
    for i in (1..=last).rev() {
        let words = ahead[i];
        if words != [0; WORDS] {
            for (parent, _) in states.parents(i) {
                ahead[*parent as usize].iter_mut().zip(words).for_each(|(to, from)| *to |= from);
            }
        }
    }
    let tables: Vec<Box<ByteSums>> = weights.chunks(64).map(ByteSums::of).collect();
    let sum = |words: [u64; WORDS]| words.iter().zip(&tables).map(|(word, table)| table.sum(*word)).sum();
    ahead.into_iter().map(sum).collect()
}

/// The sums of 64 weights over every pattern of each of eight bytes.
struct ByteSums([[f64; 256]; 8]);

impl ByteSums {
    fn of(weights: &[f64]) -> Box<Self> {
        let mut sums = Box::new(Self([[0.0; 256]; 8]));
        for (bit, weight) in weights.iter().enumerate() {
            let (byte, bit) = (&mut sums.0[bit / 8], bit % 8);
            (0..1 << bit).for_each(|pattern| byte[pattern | 1 << bit] = byte[pattern] + weight);
        }
        sums
    }

    fn sum(&self, word: u64) -> f64 {
        if word == 0 {
            return 0.0;
        }
        word.to_le_bytes().iter().zip(&self.0).map(|(byte, sums)| sums[usize::from(*byte)]).sum()
    }
}
