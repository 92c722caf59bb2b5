//! Training of flow networks: walk, ask for rewards, compare both sides, step.
//!
//! ```text
//! forward     trajectories drawn by the policy, perhaps with exploration     x, log R(x)
//! backward    trajectories drawn by P_B from replayed, given or refined objects
//! loss        an objective of all of them, its slopes carried back through the rows that the walks have left
//! ```
//!
//! All random numbers of step `k` are addressed by `k`: a run resumes bit for bit from its weights, moments and replay.

pub mod exploration;
mod novelty;
pub mod replay;
mod roots;
mod settings;

use std::sync::Arc;

use super::learner::{Learner, Player, Rule};
use super::trainer::{Trainer, count};
use crate::error::{Problem, Result};
use crate::estimate::evidence;
use crate::estimate::trajectories::{Relative, ended, forward_from, forward_relative, reward_of_ends};
use crate::model::gflownet::{self as walks, BackwardRollout, Batch, ForwardRollout, GFlowNet};
use crate::network::taped::Evaluator;
use crate::objective::{Needs, Objective, ReferenceKind};
use crate::policy::Policy;
use crate::rng::{Address, Counted, Noise, Purpose};
use crate::sampler::back_and_forth::{BackAndForth, Particles};
use crate::target::{Failure, Target, checked};
use novelty::Novelty;
use replay::{Drawn, Replay};
pub use roots::{Roots, WalkedRoots};
pub use settings::{Conditions, Settings, Sources};

/// Trajectories of a validation score.
const SCORED: usize = 1000;

/// Which of a state's vectors is what.
#[derive(Debug, Clone, Copy)]
struct Places {
    log_z: Option<usize>,
    target: Option<usize>,
    novelty: Option<usize>,
}

/// A flow network being trained.
pub type FlowTrainer<P> = Trainer<FlowLearner<P>>;

/// A flow network with what its training draws from.
pub struct FlowLearner<P: Policy> {
    model: GFlowNet<P>,
    reward: Arc<dyn Target<P::Cell>>,
    settings: Settings<P>,
    needs: Needs,
    seed: u64,
    places: Places,
    replay: Option<Replay<P::Cell>>,
    novelty: Option<Novelty>,
    /// Trajectories that were given up before their end.
    cut: u64,
    work: Work<P>,
}

/// Memory of a step.
struct Work<P: Policy> {
    batch: Batch<P>,
    search: BackAndForth<P>,
    sources: Vec<P::Cell>,
    objects: Vec<P::Cell>,
    states: Vec<P::Cell>,
    home: Drawn<P::Cell>,
    /// `log R` of every visited state that is an object, where the objective is one of states.
    state_rewards: Vec<Option<f64>>,
}

impl<P: Policy> Trainer<FlowLearner<P>> {
    /// A run at its first step.
    ///
    /// # Errors
    /// If the objective does not fit the settings.
    pub fn new(
        model: GFlowNet<P>,
        reward: Arc<dyn Target<P::Cell>>,
        settings: Settings<P>,
        seed: u64,
    ) -> Result<Self> {
        let (training, optimizer) = (settings.training.clone(), settings.optimizer.clone());
        Ok(Self::start(FlowLearner::new(model, reward, settings, seed)?, training, optimizer, seed))
    }

    /// The policy and its network.
    pub fn model(&self) -> &GFlowNet<P> {
        &self.learner().model
    }

    /// The mean number of moves of the last step's trajectories.
    pub fn mean_length(&self) -> f64 {
        let paths = &self.learner().work.batch.paths;
        paths.rows() as f64 / paths.trajectories().max(1) as f64 - 1.0
    }
}

impl<P: Policy> FlowLearner<P> {
    /// Learns from this reward from now on.
    pub(super) fn set_reward(&mut self, reward: Arc<dyn Target<P::Cell>>) {
        self.reward = reward;
    }

    /// Other objects to start backward trajectories from, `[count, cells]`, where it starts some from data.
    pub(super) fn set_data(&mut self, objects: Vec<P::Cell>) {
        if let Some(data) = &mut self.settings.exploration.data {
            data.objects = Arc::new(objects);
        }
    }

    /// A flow network at its first step, to be trained by who has it.
    pub(super) fn new(
        model: GFlowNet<P>,
        reward: Arc<dyn Target<P::Cell>>,
        settings: Settings<P>,
        seed: u64,
    ) -> Result<Self> {
        settings.check(&model.policy)?;
        let needs = settings.objective.needs();
        let novelty = settings.exploration.novelty.map(|novelty| Novelty::new(&model.policy, novelty, seed));
        let mut players = 1;
        let mut place = |there: bool| {
            players += usize::from(there);
            there.then_some(players - 1)
        };
        let places = Places {
            log_z: place(needs.log_z && !settings.log_z_is_flow()),
            target: place(matches!(needs.reference, ReferenceKind::Target { .. })),
            novelty: place(novelty.is_some()),
        };
        let cells = model.policy.cells();
        let width = settings.conditions.as_ref().map_or(0, |conditions| conditions.width());
        let replay = settings.exploration.replay;
        let replay = replay.map(|replay| Replay::new(replay.kind, replay.capacity, cells, width));
        let mut sources = vec![P::Cell::default(); settings.training.batch * cells];
        sources.chunks_exact_mut(cells).for_each(|source| model.policy.source(source));
        let work = Work {
            batch: Batch::default(),
            search: BackAndForth::default(),
            sources,
            objects: Vec::new(),
            states: Vec::new(),
            home: Drawn::default(),
            state_rewards: Vec::new(),
        };
        Ok(Self { model, reward, settings, needs, seed, places, replay, novelty, cut: 0, work })
    }

    fn ask_reference(&mut self, weights: &[Vec<f32>]) {
        let (policy, batch) = (&self.model.policy, &mut self.work.batch);
        let theirs = match self.needs.reference {
            ReferenceKind::None => return,
            ReferenceKind::Acting => return batch.keep_reference(policy),
            ReferenceKind::Target { .. } => self.places.target.map(|place| weights[place].as_slice()),
            ReferenceKind::Prior { .. } => self.settings.prior.as_deref().map(Vec::as_slice),
        };
        if let Some(weights) = theirs {
            batch.ask_reference(policy, self.model.network.with(weights).as_ref());
        }
    }

    /// The loss, its gradient by the policy's weights, written to `gradient`, and its slope by `log Z`.
    fn compare(&mut self, evaluator: &dyn Evaluator, learned: f64, gradient: &mut [f32]) -> (f64, f64) {
        let Work { batch, state_rewards, .. } = &mut self.work;
        let paths = &mut batch.paths;
        let at_start = self.settings.log_z_is_flow();
        paths.log_z.clear();
        let starts = &paths.starts[..paths.starts.len() - 1];
        paths.log_z.extend(starts.iter().map(|start| if at_start { paths.flow[*start] } else { learned }));
        let policy = &self.model.policy;
        match &self.settings.objective {
            Objective::Paths(objective) => {
                let loss = objective.evaluate(&batch.paths, &mut batch.slopes);
                if at_start {
                    for (start, slope) in batch.paths.starts.iter().zip(&batch.slopes.log_z) {
                        batch.slopes.flow[*start] += slope;
                    }
                }
                batch.differentiate(policy, evaluator, gradient);
                (loss, batch.slopes.log_z.iter().sum())
            }
            Objective::States(objective) => {
                batch.ask_parents(policy, evaluator);
                let flows = batch.edge_flows.with_rewards(state_rewards);
                let loss = objective.evaluate(&flows, &mut batch.edge_flow_slopes);
                batch.differentiate_edge_flows(policy, evaluator, gradient);
                (loss, 0.0)
            }
            Objective::Quantiles(objective) => {
                batch.ask_parents(policy, evaluator);
                let flows = batch.edge_flows.with_observations(state_rewards);
                let loss = objective.evaluate(&flows, &mut batch.quantile_slopes);
                batch.differentiate_edge_flows(policy, evaluator, gradient);
                (loss, 0.0)
            }
            Objective::Factors(_) => unreachable!("recipes are checked: flow networks have no factors"),
            Objective::Particles(_) | Objective::Bootstrap(_) => {
                unreachable!("recipes are checked: flow networks have no maps")
            }
        }
    }

    fn noise(&self, purpose: Purpose, step: u64, rows: usize) -> Noise {
        noise_of(self.seed, purpose, Counted::Rows, step, rows)
    }

    /// The noise of what is observed of random rewards at a step: of the step's own objects, then of visited states.
    fn observations(&self, step: u64) -> Noise {
        let rows = self.settings.most_observations(self.model.policy.longest());
        noise_of(self.seed, Purpose::Reward, Counted::Observations, step, rows)
    }

    /// Walks the step's trajectories and finds their rewards.
    fn walk(&mut self, evaluator: &dyn Evaluator, weights: &[Vec<f32>], step: u64) -> Result<(), Failure> {
        let count = self.settings.training.batch;
        let (policy, each) = (&self.model.policy, self.needs.per_condition);
        let conditions = match &self.settings.conditions {
            Some(conditions) => {
                let drawn = conditions.draw(count.div_ceil(each), &self.noise(Purpose::Source, step, count));
                let rows = drawn.chunks_exact(conditions.width());
                rows.flat_map(|row| row.repeat(each)).take(count * conditions.width()).collect()
            }
            None => Vec::new(),
        };
        if let Some(drawn) = &self.settings.sources {
            let (cells, sources) = (policy.cells(), &mut self.work.sources);
            let noise = noise_of(self.seed, Purpose::Source, Counted::Rows, step, count);
            drawn.draw(&noise, &mut sources[..count.div_ceil(each) * cells]);
            for row in (0..count).rev() {
                sources.copy_within(row / each * cells..(row / each + 1) * cells, row * cells);
            }
        }
        let noise = self.noise(Purpose::Choice, step, count);
        let behaviour = self.settings.exploration.behaviour(step);
        let forward_rollout =
            ForwardRollout { sources: &self.work.sources, conditions: &conditions, behaviour, noise: &noise };
        self.work.batch.clear();
        self.work.batch.forward_rollout(policy, evaluator, forward_rollout)?;
        self.work.batch.objects(policy, &mut self.work.objects);
        let mut log_rewards = vec![0.0; count];
        let cut: Vec<bool> = self.work.batch.cut().collect();
        let (reward, objects) = (self.reward.as_ref(), &self.work.objects);
        self.cut += reward_of_ends(policy, reward, objects, &cut, &conditions, &mut log_rewards)? as u64;
        self.backward_rollout(evaluator, step, &cut, &conditions, &log_rewards)?;
        let policy = &self.model.policy;
        let cells = policy.cells();
        if let Some(replay) = &mut self.replay {
            let width = conditions.len() / count.max(1);
            for (i, object) in self.work.objects.chunks_exact(cells).enumerate().filter(|(i, _)| !cut[*i]) {
                replay.add(object, &conditions[i * width..][..width], log_rewards[i]);
            }
        }
        log_rewards.extend_from_slice(&self.work.home.log_rewards);
        self.work.objects.extend_from_slice(&self.work.home.objects);
        // Where rewards of other states are read, they are what gets the bonus.
        let of_states = self.reads_states();
        if let (Some(novelty), Some(place), false) = (&mut self.novelty, self.places.novelty, of_states) {
            novelty.add_bonus(policy, &weights[place], &self.work.objects, &mut log_rewards);
        }
        self.work.batch.describe(policy);
        self.work.batch.paths.log_reward = log_rewards;
        self.work.batch.group_by_condition(policy);
        if self.needs.partial || of_states {
            self.rewards_on_the_way(weights, step)?;
        }
        Ok(())
    }

    /// Whether the objective reads `log R` of every visited state that is an object, not that of a trajectory's end.
    fn reads_states(&self) -> bool {
        self.needs.stops || !matches!(self.settings.objective, Objective::Paths(_))
    }

    fn rewards_on_the_way(&mut self, weights: &[Vec<f32>], step: u64) -> Result<(), Failure> {
        let (policy, count) = (&self.model.policy, self.settings.training.batch);
        let noise = self.observations(step).from_row(count);
        let Work { batch, states, state_rewards, .. } = &mut self.work;
        batch.states(policy, states);
        let conditions = batch.row_conditions();
        let rows = batch.paths.rows();
        let describe = |object: &[P::Cell]| policy.describe(object);
        let mut novelty = self.novelty.as_mut().zip(self.places.novelty);
        if self.needs.partial {
            let partial = &mut batch.paths.partial;
            partial.resize(rows, 0.0);
            if !self.reward.partial(states, &conditions, partial)? {
                if !policy.all_objects() {
                    let found = "one that needs rewards on the way to an object";
                    let allowed = "a reward that is known on the way, or another objective";
                    return Err(Problem::new("objective.kind", found).allowed(allowed).into());
                }
                checked(self.reward.as_ref(), states, &conditions, &describe, partial)?;
            }
            if let (true, Some((novelty, place))) = (self.needs.stops, &mut novelty) {
                novelty.add_bonus(policy, &weights[*place], states, partial);
            }
        }
        if !matches!(self.settings.objective, Objective::Paths(_)) {
            let (cells, width) = (policy.cells(), conditions.len() / rows);
            let state = |row: usize| &states[row * cells..][..cells];
            let ends: Vec<usize> = (0..rows).filter(|row| policy.is_object(state(*row))).collect();
            let objects: Vec<P::Cell> = ends.iter().flat_map(|row| state(*row).iter().copied()).collect();
            let theirs: Vec<f32> =
                ends.iter().flat_map(|row| conditions[row * width..][..width].iter().copied()).collect();
            let mut found = vec![0.0; ends.len()];
            checked(self.reward.as_ref(), &objects, &theirs, &describe, &mut found)?;
            // Only quantiles are learned from observations: of others `log R` is the logarithm of the mean.
            if matches!(self.settings.objective, Objective::Quantiles(_)) {
                self.reward.observe(&objects, &theirs, &noise, &mut found)?;
            }
            if let Some((novelty, place)) = &mut novelty {
                novelty.add_bonus(policy, &weights[*place], &objects, &mut found);
            }
            state_rewards.clear();
            state_rewards.resize(rows, None);
            ends.into_iter().zip(found).for_each(|(row, log_reward)| state_rewards[row] = Some(log_reward));
        }
        Ok(())
    }

    /// Walks backward from replayed, given and refined objects.
    fn backward_rollout(
        &mut self,
        evaluator: &dyn Evaluator,
        step: u64,
        cut: &[bool],
        conditions: &[f32],
        log_rewards: &[f64],
    ) -> Result<(), Failure> {
        let policy = &self.model.policy;
        let cells = policy.cells();
        let exploration = &self.settings.exploration;
        let home = &mut self.work.home;
        home.clear();
        if let (Some(settings), Some(replay)) = (exploration.replay, &self.replay) {
            let noise = noise_of(self.seed, Purpose::Data, Counted::Rows, step, settings.batch);
            replay.draw(settings.batch, &noise, home);
        }
        if let Some(data) = &exploration.data {
            let noise = noise_of(self.seed, Purpose::Target, Counted::Rows, step, data.batch);
            let rows = data.objects.len() / cells;
            let first = home.objects.len();
            for i in 0..data.batch {
                home.objects.extend_from_slice(&data.objects[noise.below(i, rows) * cells..][..cells]);
            }
            if let Some(conditions) = &self.settings.conditions {
                home.conditions.extend(conditions.draw(data.batch, &noise.purpose(Purpose::Time)));
            }
            let known = home.log_rewards.len();
            home.log_rewards.resize(known + data.batch, 0.0);
            let width = home.conditions.len() / home.log_rewards.len().max(1);
            checked(
                self.reward.as_ref(),
                &home.objects[first..],
                &home.conditions[known * width..],
                &|object| policy.describe(object),
                &mut home.log_rewards[known..],
            )?;
        }
        if let Some(search) = exploration.search {
            let first = home.objects.len();
            let known = home.log_rewards.len();
            let conditions = ended(cut, conditions);
            home.objects.extend(ended(cut, &self.work.objects));
            home.conditions.extend_from_slice(&conditions);
            home.log_rewards.extend(ended(cut, log_rewards));
            for round in 0..search.rounds {
                let rounds = step * search.rounds as u64 + round as u64;
                let noise = noise_of(self.seed, Purpose::Local, Counted::Search, rounds, log_rewards.len());
                let particles = Particles {
                    objects: &mut home.objects[first..],
                    log_rewards: &mut home.log_rewards[known..],
                    conditions: &conditions,
                };
                let reward = self.reward.as_ref();
                self.work.search.round(
                    policy,
                    evaluator,
                    reward,
                    particles,
                    search.removals,
                    search.acceptance,
                    &noise,
                )?;
            }
        }
        if home.log_rewards.is_empty() {
            return Ok(());
        }
        let rows = self.settings.most_walks_back();
        let noise = noise_of(self.seed, Purpose::Backward, Counted::WalksBack, step, rows);
        let walk = BackwardRollout {
            objects: &home.objects,
            conditions: &home.conditions,
            most: &[],
            noise: &noise,
        };
        Ok(self.work.batch.backward_rollout(policy, evaluator, walk)?)
    }
}

/// The noise of a use of step `step`, which has at most `rows` rows at any step.
fn noise_of(seed: u64, purpose: Purpose, counted: Counted, step: u64, rows: usize) -> Noise {
    Noise::new(seed, purpose).at(Address::of_step(counted, step, rows))
}

impl<P: Policy> Learner for FlowLearner<P> {
    fn players(&self) -> Vec<Player> {
        let network = self.model.network.as_ref();
        let start = |name: &str| self.settings.start.as_ref()?.get(name).map(<[f32]>::to_vec);
        let initial = || network.initial(&Noise::new(self.seed, Purpose::Weights));
        let first = || start("policy").unwrap_or_else(initial);
        let policy = self.settings.prior.as_ref().map_or_else(first, |prior| prior.to_vec());
        let mut players = vec![Player::model("policy", policy, &network.layout())];
        if self.places.log_z.is_some() {
            let optimizer = &self.settings.optimizer;
            let log_z = Player::log_z(optimizer.log_z_rate / optimizer.learning_rate);
            players.push(Player { values: start("log_z").unwrap_or_else(|| vec![0.0]), ..log_z });
        }
        if let ReferenceKind::Target { rate, every } = self.needs.reference {
            let rule = Rule::Follow { player: 0, rate, every };
            players.push(Player { rule, ..Player::model("target", first(), &[]) });
        }
        if let Some(novelty) = &self.novelty {
            let rule = Rule::Apart { rate: novelty.settings.learning_rate };
            players.push(Player { rule, ..novelty.player(self.seed) });
        }
        players
    }

    fn epochs(&self) -> u64 {
        self.needs.epochs as u64
    }

    fn threads(&self) -> usize {
        walks::lanes(self.settings.training.batch) - 1
    }

    fn learn(
        &mut self,
        weights: &mut [Vec<f32>],
        step: u64,
        epoch: u64,
        gradients: &mut [Option<Vec<f32>>],
    ) -> Result<f64, Failure> {
        let network = Arc::clone(&self.model.network);
        let evaluator = network.with(&weights[0]);
        if epoch == 0 {
            self.walk(evaluator.as_ref(), weights, step)?;
            self.ask_reference(weights);
        } else {
            self.work.batch.ask_again(&self.model.policy, evaluator.as_ref());
        }
        let log_z = self.places.log_z.map_or(0.0, |place| f64::from(weights[place][0]));
        let gradient = gradients[0].get_or_insert_with(|| vec![0.0; weights[0].len()]);
        let (loss, log_z_slope) = self.compare(evaluator.as_ref(), log_z, gradient);
        if let Some(problem) = self.model.policy.failure() {
            return Err(problem.into());
        }
        if let Some(place) = self.places.log_z {
            gradients[place].get_or_insert_with(|| vec![0.0])[0] = log_z_slope as f32;
        }
        if let (Some(place), Some(novelty)) = (self.places.novelty, &mut self.novelty) {
            std::mem::swap(
                gradients[place].get_or_insert_with(|| vec![0.0; weights[place].len()]),
                &mut novelty.gradient,
            );
        }
        Ok(loss)
    }

    fn detail(&self) -> String {
        let rewards = &self.work.batch.paths.log_reward;
        let least = rewards.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("log-rewards from {least} to {largest}")
    }

    fn score(&self, weights: &[Vec<f32>]) -> Result<f64, Failure> {
        let policy = &self.model.policy;
        let noise = Noise::of_validation(self.seed, Purpose::Choice);
        let conditions = match &self.settings.conditions {
            Some(conditions) => conditions.draw(SCORED, &noise.purpose(Purpose::Source)),
            None => Vec::new(),
        };
        let evaluator = self.model.network.with(&weights[0]);
        let reward = self.reward.as_ref();
        let mut sources = vec![P::Cell::default(); SCORED * policy.cells()];
        sources.chunks_exact_mut(policy.cells()).for_each(|source| policy.source(source));
        if let Some(settings) = &self.settings.sources {
            settings.draw(&noise.purpose(Purpose::Source), &mut sources);
        }
        let found = match (self.needs.reference, &self.settings.prior) {
            (ReferenceKind::Prior { beta }, Some(prior)) => {
                let prior = self.model.network.with(prior);
                let relative = Relative { prior: prior.as_ref(), beta };
                forward_relative(policy, evaluator.as_ref(), relative, reward, SCORED, &noise, &|_| true)
            }
            _ => {
                let (evaluator, all) = (evaluator.as_ref(), |_| true);
                forward_from(policy, evaluator, reward, &sources, &conditions, SCORED, &noise, &all)
            }
        };
        Ok(-evidence(&found?.log_weights).elbo.value)
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        let replay = self.replay.iter().map(|replay| ("replay".to_owned(), replay.to_bytes()));
        replay.chain([("cut".to_owned(), self.cut.to_le_bytes().to_vec())]).collect()
    }

    fn restore(&mut self, memory: &[(String, Vec<u8>)]) -> Result<(), String> {
        if let Some(replay) = &mut self.replay {
            let kept = memory.iter().find(|(known, _)| known == "replay");
            let bytes = kept.map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
            replay.restore(bytes).map_err(|words| format!("of another run (its replay buffer: {words})"))?;
        }
        self.cut = count(memory, "cut");
        Ok(())
    }

    fn counted(&self) -> Vec<(&'static str, u64)> {
        vec![("cut_trajectories", self.cut)]
    }
}
