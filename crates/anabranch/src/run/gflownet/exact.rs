//! The learned distribution of objects beside the exact one, over all states of an environment.
//!
//! ```text
//! u(s_0) = 1,   u(s') = sum_parents u(s) P_F(s' | s),   P_T(x) = u(x) P_F(s_f | x)
//! P(x) = R(x) / Z,   TV = sum_x |P_T - P| / 2,   L1 = 2 TV,   JSD = KL(P_T, M) / 2 + KL(P, M) / 2,   M = (P_T + P) / 2
//! ```

use crate::environment::{Cell, States};
use crate::error::Result;
use crate::estimate::trajectories::log_policy;
use crate::math::log_sum_exp;
use crate::policy::Actions;
use crate::recipe::gflownet::FlowTask;
use crate::rng::Noise;

/// States that the policy is asked about at once.
const BLOCK: usize = 4096;

/// Both distributions over all objects.
#[derive(Debug, Clone)]
pub(super) struct Exact<C> {
    cells: usize,
    /// `[objects, cells]`.
    objects: Vec<C>,
    /// `[objects]`, nats.
    log_rewards: Vec<f64>,
    /// `log sum R`.
    pub log_z: f64,
    /// `P_T(x)`, `[objects]`.
    learned: Vec<f64>,
}

impl Exact<Cell> {
    /// Both distributions, if there are at most `limit` states.
    pub fn of(task: &FlowTask<Actions>, weights: &[f32], limit: usize) -> Result<Option<Self>> {
        let policy = &task.model.policy;
        let environment = policy.environment().as_ref();
        if limit == 0 || environment.objects().is_some_and(|objects| objects > limit as f64) {
            return Ok(None);
        }
        let Ok(states) = States::of(environment, limit) else { return Ok(None) };
        let cells = environment.cells();
        // Where the edges out of each state stand among those into all of them.
        let mut out: Vec<Vec<(usize, usize)>> = vec![Vec::new(); states.len()];
        let mut edges = 0;
        for child in 0..states.len() {
            for (parent, edge) in states.parents(child) {
                out[*parent as usize].push((edge.action as usize, edges));
                edges += 1;
            }
        }
        let moves = environment.moves();
        let evaluator = task.model.network.with(weights);
        let mut log_forward = vec![f64::NEG_INFINITY; edges];
        let mut log_stop = vec![f64::NEG_INFINITY; states.len()];
        for first in (0..states.len()).step_by(BLOCK) {
            let block: Vec<usize> = (first..states.len().min(first + BLOCK)).collect();
            let values: Vec<Cell> = block.iter().flat_map(|i| states.state(*i).iter().copied()).collect();
            let rows = log_policy(policy, evaluator.as_ref(), &values, &[]);
            for (i, row) in block.into_iter().zip(rows.chunks_exact(moves + 1)) {
                out[i].iter().for_each(|(action, edge)| log_forward[*edge] = row[*action]);
                log_stop[i] = row[moves];
            }
        }
        let mut log_visits = vec![0.0; states.len()];
        let mut edge = states.parents(0).len();
        for i in 1..states.len() {
            let parents = states.parents(i);
            let terms: Vec<f64> = parents
                .iter()
                .zip(&log_forward[edge..])
                .map(|((parent, _), log_prob)| log_visits[*parent as usize] + log_prob)
                .collect();
            log_visits[i] = log_sum_exp(&terms);
            edge += parents.len();
        }
        let found: Vec<usize> = states.objects().iter().map(|i| *i as usize).collect();
        let objects: Vec<Cell> = found.iter().flat_map(|i| states.state(*i).iter().copied()).collect();
        let mut log_rewards = vec![0.0; found.len()];
        task.reward.log_rewards(&objects, &[], &mut log_rewards).map_err(super::fatal)?;
        let learned = found.iter().map(|i| (log_visits[*i] + log_stop[*i]).exp()).collect();
        Ok(Some(Self { cells, objects, log_z: log_sum_exp(&log_rewards), log_rewards, learned }))
    }
}

impl<C: Copy> Exact<C> {
    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        let target = self.log_rewards.iter().map(|log_reward| (log_reward - self.log_z).exp());
        self.learned.iter().copied().zip(target)
    }

    /// The sum of absolute differences.
    pub fn l1(&self) -> f64 {
        self.pairs().map(|(learned, target)| (learned - target).abs()).sum()
    }

    /// Total variation.
    pub fn tv(&self) -> f64 {
        0.5 * self.l1()
    }

    /// The Jensen-Shannon divergence, nats.
    pub fn jsd(&self) -> f64 {
        let term = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).ln() } else { 0.0 };
        self.pairs().map(|(p, q)| 0.5 * (term(p, 0.5 * (p + q)) + term(q, 0.5 * (p + q)))).sum()
    }

    /// Exact draws from the target, `[count, cells]`, with their log-rewards.
    pub fn draw(&self, count: usize, noise: &Noise) -> (Vec<C>, Vec<f64>) {
        let sums: Vec<f64> = self
            .pairs()
            .scan(0.0, |sum, (_, target)| {
                *sum += target;
                Some(*sum)
            })
            .collect();
        let whole = sums.last().copied().unwrap_or(0.0);
        let (mut objects, mut log_rewards) = (Vec::new(), Vec::new());
        for i in 0..count {
            let [low, high, ..] = noise.words(i, 0);
            let unit = ((u64::from(high) << 32 | u64::from(low)) >> 11) as f64 / (1u64 << 53) as f64;
            let place = sums.partition_point(|sum| *sum <= unit * whole).min(sums.len() - 1);
            objects.extend_from_slice(&self.objects[place * self.cells..][..self.cells]);
            log_rewards.push(self.log_rewards[place]);
        }
        (objects, log_rewards)
    }
}
