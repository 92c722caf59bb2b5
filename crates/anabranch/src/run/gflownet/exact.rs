//! The learned distribution of objects beside the exact one, where all states of an environment can be listed.

use std::sync::Arc;

use crate::environment::{Cell, States};
use crate::error::{Failure, Result};
use crate::estimate::exact::{Flows, Policy as Table, Terminating};
use crate::estimate::trajectories::log_policy;
use crate::math::log_sum_exp;
use crate::metric::distribution::Learned;
use crate::network::taped::{NONE, Tape};
use crate::policy::{Actions, Policy, Visit};
use crate::recipe::gflownet::FlowTask;
use crate::rng::Noise;
use crate::target::checked;
use crate::train::Trained;

/// States that the policy is asked about at once.
const BLOCK: usize = 4096;

/// All states of a task's environment; none if they are more than `limit`.
pub(crate) fn listed(task: &FlowTask<Actions>, limit: usize) -> Option<Arc<States>> {
    let environment = task.model.policy.environment().as_ref();
    if limit == 0 || environment.objects().is_some_and(|objects| objects > limit as f64) {
        return None;
    }
    States::of(environment, limit).ok().map(Arc::new)
}

/// All states with what was learned of them.
#[derive(Debug)]
pub(crate) struct Exact {
    /// All of them.
    pub states: Arc<States>,
    /// The learned forward policy.
    pub policy: Table,
    /// The learned distribution of objects.
    pub terminating: Terminating,
    /// `log R(x)`, `[objects]`, nats.
    pub log_rewards: Vec<f64>,
}

impl Exact {
    /// Of an environment with at most `limit` states; none if it has more.
    pub fn of(task: &FlowTask<Actions>, trained: &Trained, limit: usize) -> Result<Option<Self>> {
        listed(task, limit).map(|states| Self::of_states(task, trained, states, &[])).transpose()
    }

    /// Of all states of an environment, at a condition, which is empty for none.
    pub fn of_states(
        task: &FlowTask<Actions>,
        trained: &Trained,
        states: Arc<States>,
        condition: &[f32],
    ) -> Result<Self> {
        let policy = &task.model.policy;
        let environment = policy.environment().as_ref();
        let evaluator = task.model.network.with(&trained.vectors[0]);
        let mut table = Table::empty(&states);
        for first in (0..states.len()).step_by(BLOCK) {
            let block: Vec<usize> = (first..states.len().min(first + BLOCK)).collect();
            let values: Vec<Cell> = block.iter().flat_map(|i| states.state(*i).iter().copied()).collect();
            let rows = log_policy(policy, evaluator.as_ref(), &values, condition);
            let rows = rows.chunks_exact(environment.moves() + 1);
            block.into_iter().zip(rows).for_each(|(i, row)| table.set(&states, i, row));
        }
        let terminating = Terminating::of(&states, &table)?;
        let objects: Vec<Cell> =
            states.objects().iter().flat_map(|i| states.state(*i as usize).iter().copied()).collect();
        let mut log_rewards = vec![0.0; states.objects().len()];
        let conditions = condition.repeat(log_rewards.len());
        let describe = |object: &[Cell]| environment.describe(object);
        checked(task.reward.as_ref(), &objects, &conditions, &describe, &mut log_rewards)
            .map_err(Failure::into_error)?;
        Ok(Self { states, policy: table, terminating, log_rewards })
    }

    /// How far the learned distribution is from the exact one.
    pub fn compared(&self, log_z: Option<f64>) -> Learned {
        Learned::of(&self.terminating.log_probs, &self.log_rewards, log_z)
    }

    /// The flows of the reward with the network's own backward policy.
    pub fn flows(&self, task: &FlowTask<Actions>, trained: &Trained) -> Result<Flows> {
        let (policy, states) = (&task.model.policy, &self.states);
        let evaluator = task.model.network.with(&trained.vectors[0]);
        let (mut tape, mut work) = (Tape::default(), Default::default());
        for i in 0..states.len() {
            tape.push(NONE, |on, dense| policy.encode(states.state(i), on, dense));
        }
        evaluator.evaluate(&mut tape, 0);
        for i in 0..states.len() {
            policy.prepare(states.state(i), tape.output_mut(i, policy.outputs()), &mut work);
        }
        let mut said = |visit: Visit<'_, Cell>, i: usize| {
            policy.log_probabilities(visit, tape.output(i, policy.outputs()), &mut work)
        };
        let mut log_backward = Vec::with_capacity(states.edges());
        for i in 0..states.len() {
            let first = log_backward.len();
            for (parent, edge) in states.parents(i) {
                let (parent, state) = (*parent as usize, states.state(i));
                let before = states.state(parent);
                log_backward.push(match policy.implied() {
                    None => said(Visit { state, came: Some((*edge, before)), went: None }, i).backward,
                    Some(_) => {
                        let said =
                            said(Visit { state: before, came: None, went: Some((*edge, state)) }, parent);
                        said.flow + said.forward
                    }
                });
            }
            let total = policy.implied().map_or(0.0, |_| log_sum_exp(&log_backward[first..]));
            log_backward[first..].iter_mut().for_each(|log| *log -= total);
        }
        Flows::from_backward(states, self.log_rewards.clone(), log_backward)
    }

    /// Exact draws from the target, `[count, cells]`, with their log-rewards.
    pub fn draw(&self, count: usize, noise: &Noise) -> (Vec<Cell>, Vec<f64>) {
        let largest = self.log_rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sums = self.log_rewards.iter().scan(0.0, |sum, log_reward| {
            *sum += (log_reward - largest).exp();
            Some(*sum)
        });
        let sums: Vec<f64> = sums.collect();
        let whole = sums.last().copied().unwrap_or(0.0);
        let (mut objects, mut log_rewards) = (Vec::new(), Vec::new());
        for i in 0..count {
            let [low, high, ..] = noise.words(i, 0);
            let unit = ((u64::from(high) << 32 | u64::from(low)) >> 11) as f64 / (1u64 << 53) as f64;
            let place = sums.partition_point(|sum| *sum <= unit * whole).min(sums.len() - 1);
            objects.extend_from_slice(self.states.state(self.states.objects()[place] as usize));
            log_rewards.push(self.log_rewards[place]);
        }
        (objects, log_rewards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::gflownet::Task;
    use crate::recipe::{Plan, read};
    use crate::rng::Purpose;
    use crate::run::gflownet::walked;

    /// What an untrained policy draws, and what is drawn from the target, have the distributions that were found.
    #[test]
    fn draws_have_the_distributions() {
        let text = "name = 't'\n[target]\nkind = 'hypergrid'\ndim = 2\nside = 3\n";
        let plan = Plan::new(read("t.toml", text, &[]).unwrap()).unwrap();
        let trainer = plan.start().unwrap();
        let trained = Trained { names: trainer.names(), vectors: trainer.trained().to_vec() };
        let Plan::GFlowNet(plan) = &plan else { panic!("a flow network") };
        let Task::Discrete(task) = &plan.task else { panic!("of integers") };
        assert!(Exact::of(task, &trained, 8).unwrap().is_none());
        let exact = Exact::of(task, &trained, 9).unwrap().expect("nine states");
        assert!(exact.terminating.lost.abs() < 1e-6);
        let count = 20_000;
        let found = walked(task, &trained, count, &Noise::new(1, Purpose::Choice), &|_| true).unwrap();
        let (drawn, log_rewards) = exact.draw(count, &Noise::new(2, Purpose::Target));
        let log_z = crate::math::log_sum_exp(&exact.log_rewards);
        for (place, i) in exact.states.objects().iter().enumerate() {
            let object = exact.states.state(*i as usize);
            let near = |objects: &[Cell], p: f64| {
                let share = objects.chunks(2).filter(|x| *x == object).count() as f64 / count as f64;
                assert!(
                    (share - p).abs() < 4.5 * (p * (1.0 - p) / count as f64).sqrt(),
                    "{object:?}: {share}, {p}"
                );
            };
            near(&found.objects, exact.terminating.log_probs[place].exp());
            near(&drawn, (exact.log_rewards[place] - log_z).exp());
            let own = drawn.chunks(2).position(|x| x == object).expect("it is drawn");
            assert_eq!(log_rewards[own], exact.log_rewards[place]);
        }
    }
}
