//! Training of flow networks: walk, ask for rewards, compare both sides, step.
//!
//! ```text
//! outward     trajectories drawn by the policy, perhaps with exploration     x, log R(x)
//! homeward    trajectories drawn by P_B from replayed, given or refined objects
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

use super::optimizer::{self, Moments, adam_step};
use super::{State, StepInfo, Training};
use crate::error::{Error, Problem, Result};
use crate::estimate::evidence;
use crate::estimate::trajectories::{ended, outward_from, reward_of_ends};
use crate::model::gflownet::{self as walks, Batch, GFlowNet, Homeward, Outward};
use crate::network::taped::Evaluator;
use crate::objective::balance::{Needs, Objective, ReferenceKind};
use crate::parallel::awake;
use crate::policy::Policy;
use crate::recipe::evaluation_noise;
use crate::rng::{Noise, Purpose};
use crate::sampler::back_and_forth::{BackAndForth, Particles};
use crate::target::{Failure, Target, checked};
use novelty::Novelty;
use replay::{Drawn, Replay};
pub use roots::{Roots, WalkedRoots};
pub use settings::{Conditions, Settings, Sources};

/// Batches in a row that a reward may fail to answer before training stops.
const MOST_SKIPPED: u64 = 100;

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
pub struct FlowTrainer<P: Policy> {
    model: GFlowNet<P>,
    reward: Arc<dyn Target<P::Cell>>,
    settings: Settings<P>,
    needs: Needs,
    state: State,
    places: Places,
    names: Vec<String>,
    replay: Option<Replay<P::Cell>>,
    novelty: Option<Novelty>,
    /// Batches that had no rewards, in all and since the last that had.
    skipped: u64,
    skipped_now: u64,
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
    gradient: Vec<f32>,
}

impl<P: Policy> FlowTrainer<P> {
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
        settings.check(&model.policy)?;
        let needs = settings.objective.needs();
        let novelty = settings.exploration.novelty.map(|novelty| Novelty::new(&model.policy, novelty, seed));
        let policy = match &settings.prior {
            Some(prior) => prior.to_vec(),
            None => model.network.initial(&Noise::new(seed, Purpose::Weights)),
        };
        let (mut weights, mut names) = (vec![policy], vec!["policy".to_owned()]);
        let mut add = |name: &str, values: Vec<f32>| {
            weights.push(values);
            names.push(name.to_owned());
            weights.len() - 1
        };
        let log_z = (needs.log_z && !settings.log_z_is_flow()).then(|| add("log_z", vec![0.0]));
        let follows = matches!(needs.reference, ReferenceKind::Target { .. });
        let target = follows.then(|| {
            let values = model.network.initial(&Noise::new(seed, Purpose::Weights));
            add("target", values)
        });
        let novelty_place = novelty.as_ref().map(|novelty| add("novelty", novelty.initial(seed)));
        let state = State::new(seed, weights);
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
            gradient: vec![0.0; state.weights[0].len()],
        };
        let places = Places { log_z, target, novelty: novelty_place };
        let (skipped, skipped_now, cut) = (0, 0, 0);
        Ok(Self {
            model,
            reward,
            settings,
            needs,
            state,
            places,
            names,
            replay,
            novelty,
            skipped,
            skipped_now,
            cut,
            work,
        })
    }

    /// The policy and its network.
    pub fn model(&self) -> &GFlowNet<P> {
        &self.model
    }

    /// How many batches had no rewards.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The learned `log Z`, where it is a weight of its own.
    pub fn log_z(&self) -> Option<f64> {
        self.places.log_z.map(|place| f64::from(self.state.weights[place][0]))
    }

    /// The mean number of moves of the last step's trajectories.
    pub fn mean_length(&self) -> f64 {
        let paths = &self.work.batch.paths;
        paths.rows() as f64 / paths.trajectories().max(1) as f64 - 1.0
    }

    fn step_here(&mut self) -> Result<StepInfo> {
        let mut weights = std::mem::take(&mut self.state.weights[0]);
        let found = self.walk_and_learn(&mut weights);
        self.state.weights[0] = weights;
        let step = self.state.step + 1;
        match found {
            Ok(info) => {
                self.skipped_now = 0;
                self.follow();
                self.state.step = step;
                Ok(info)
            }
            Err(Failure::Stop(error)) => Err(error),
            Err(Failure::Skip(words)) => {
                self.skipped += 1;
                self.skipped_now += 1;
                if self.skipped_now > MOST_SKIPPED {
                    let found =
                        format!("no rewards for {MOST_SKIPPED} batches in a row; the last time: {words}");
                    return Err(Problem::new("target.reward", found).into());
                }
                self.state.step = step;
                Ok(StepInfo { step, loss: f64::NAN, gradient_norm: 0.0, learning_rate: 0.0 })
            }
        }
    }

    fn walk_and_learn(&mut self, weights: &mut [f32]) -> Result<StepInfo, Failure> {
        let network = Arc::clone(&self.model.network);
        let mut info = None;
        for epoch in 0..self.needs.epochs {
            let evaluator = network.with(weights);
            if epoch == 0 {
                self.walk(evaluator.as_ref())?;
                self.ask_reference();
            } else {
                self.work.batch.ask_again(&self.model.policy, evaluator.as_ref());
            }
            let (loss, log_z_slope) = self.compare(evaluator.as_ref());
            drop(evaluator);
            let found = self.update(weights, epoch as u64, loss, log_z_slope)?;
            info.get_or_insert(found);
        }
        Ok(info.expect("there is at least one epoch"))
    }

    fn ask_reference(&mut self) {
        let (policy, batch) = (&self.model.policy, &mut self.work.batch);
        let theirs = match self.needs.reference {
            ReferenceKind::None => return,
            ReferenceKind::Acting => return batch.keep_reference(policy),
            ReferenceKind::Target { .. } => self.places.target.map(|place| &self.state.weights[place]),
            ReferenceKind::Prior => self.settings.prior.as_deref(),
        };
        if let Some(weights) = theirs {
            batch.ask_reference(policy, self.model.network.with(weights).as_ref());
        }
    }

    /// The loss, its gradient by the policy's weights (in the work's memory), and its slope by `log Z`.
    fn compare(&mut self, evaluator: &dyn Evaluator) -> (f64, f64) {
        let Work { batch, gradient, state_rewards, .. } = &mut self.work;
        let paths = &mut batch.paths;
        let at_start = self.settings.log_z_is_flow();
        let learned = self.places.log_z.map_or(0.0, |place| f64::from(self.state.weights[place][0]));
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
                let flows = batch.junctions.with_rewards(state_rewards);
                let loss = objective.evaluate(&flows, &mut batch.junction_slopes);
                batch.differentiate_junctions(policy, evaluator, gradient);
                (loss, 0.0)
            }
            Objective::Quantiles(objective) => {
                batch.ask_parents(policy, evaluator);
                let flows = batch.junctions.with_observations(state_rewards);
                let loss = objective.evaluate(&flows, &mut batch.quantile_slopes);
                batch.differentiate_junctions(policy, evaluator, gradient);
                (loss, 0.0)
            }
        }
    }

    /// One update of all weights.
    fn update(&mut self, weights: &mut [f32], epoch: u64, loss: f64, log_z_slope: f64) -> Result<StepInfo> {
        let step = self.state.step;
        if !loss.is_finite() {
            let rewards = &self.work.batch.paths.log_reward;
            let least = rewards.iter().copied().fold(f64::INFINITY, f64::min);
            let largest = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let detail = format!("it was {loss}; log-rewards from {least} to {largest}");
            return Err(Error::Numeric { step: step + 1, term: "the loss".to_owned(), detail });
        }
        let gradient = &self.work.gradient;
        let squares = optimizer::norm_squared(gradient);
        let norm = if self.places.log_z.is_some() { squares + log_z_slope.powi(2) } else { squares }.sqrt();
        if !norm.is_finite() {
            let detail = format!("the loss was {loss}");
            return Err(Error::Numeric { step: step + 1, term: "the gradient of policy".to_owned(), detail });
        }
        let recipe = &self.settings.optimizer;
        let scale =
            if recipe.clip_norm > 0.0 && norm > recipe.clip_norm { recipe.clip_norm / norm } else { 1.0 };
        let learning_rate = optimizer::learning_rate(recipe, step, self.settings.training.steps);
        // The log Z's rate moves as the policy's does.
        let mut of_log_z = recipe.of_log_z();
        of_log_z.learning_rate *= learning_rate / recipe.learning_rate;
        let time = step * self.needs.epochs as u64 + epoch + 1;
        let State { first, second, weights: others, .. } = &mut self.state;
        adam_step(recipe, learning_rate, time, scale, weights, gradient, moments(first, second, 0));
        if let Some(place) = self.places.log_z {
            adam_step(
                &of_log_z,
                of_log_z.learning_rate,
                time,
                scale,
                &mut others[place],
                &[log_z_slope as f32],
                moments(first, second, place),
            );
        }
        if let (Some(place), Some(novelty), 0) = (self.places.novelty, &self.novelty, epoch) {
            let rate = novelty.settings.learning_rate;
            adam_step(
                recipe,
                rate,
                step + 1,
                1.0,
                &mut others[place],
                &novelty.gradient,
                moments(first, second, place),
            );
        }
        Ok(StepInfo { step: step + 1, loss, gradient_norm: norm, learning_rate })
    }

    /// Moves what follows the weights: the target network and the average.
    fn follow(&mut self) {
        let step = self.state.step + 1;
        if let (ReferenceKind::Target { rate, every }, Some(place)) =
            (self.needs.reference, self.places.target)
            && step.is_multiple_of(every)
        {
            let (policy, rest) = self.state.weights.split_at_mut(1);
            optimizer::average(&mut rest[place - 1], &policy[0], (1.0 - rate) as f32);
        }
        self.state.average(self.settings.training.ema, self.state.step);
    }

    fn noise(&self, purpose: Purpose, rows: usize) -> Noise {
        Noise::new(self.state.seed, purpose).from_trajectory(self.state.step * rows as u64)
    }

    /// Walks the step's trajectories and finds their rewards.
    fn walk(&mut self, evaluator: &dyn Evaluator) -> Result<(), Failure> {
        let (count, step) = (self.settings.training.batch, self.state.step);
        let policy = &self.model.policy;
        let conditions = match &self.settings.conditions {
            Some(conditions) => {
                let each = self.needs.per_condition;
                let drawn = conditions.draw(count.div_ceil(each), &self.noise(Purpose::Source, count));
                let rows = drawn.chunks_exact(conditions.width());
                rows.flat_map(|row| row.repeat(each)).take(count * conditions.width()).collect()
            }
            None => Vec::new(),
        };
        if let Some(sources) = &self.settings.sources {
            sources.draw(&self.noise(Purpose::Source, count), &mut self.work.sources);
        }
        let noise = self.noise(Purpose::Choice, count);
        let behaviour = self.settings.exploration.behaviour(step);
        let outward =
            Outward { sources: &self.work.sources, conditions: &conditions, behaviour, noise: &noise };
        self.work.batch.clear();
        self.work.batch.outward(policy, evaluator, outward);
        self.work.batch.objects(policy, &mut self.work.objects);
        let mut log_rewards = vec![0.0; count];
        let cut: Vec<bool> = self.work.batch.cut().collect();
        let (reward, objects) = (self.reward.as_ref(), &self.work.objects);
        self.cut += reward_of_ends(policy, reward, objects, &cut, &conditions, &mut log_rewards)? as u64;
        let noise = Noise::new(self.state.seed, Purpose::Reward).from_trajectory(self.state.step << 24);
        self.reward.observe(&self.work.objects, &conditions, &noise, &mut log_rewards)?;
        log_rewards
            .iter_mut()
            .zip(&cut)
            .filter(|(_, cut)| **cut)
            .for_each(|(log, _)| *log = f64::NEG_INFINITY);
        self.homeward(evaluator, &cut, &conditions, &log_rewards)?;
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
        if let (Some(novelty), Some(place)) = (&mut self.novelty, self.places.novelty) {
            novelty.add_bonus(policy, &self.state.weights[place], &self.work.objects, &mut log_rewards);
        }
        self.work.batch.describe(policy);
        self.work.batch.paths.log_reward = log_rewards;
        self.work.batch.group_by_condition(policy);
        if self.needs.partial || !matches!(self.settings.objective, Objective::Paths(_)) {
            self.rewards_on_the_way()?;
        }
        Ok(())
    }

    fn rewards_on_the_way(&mut self) -> Result<(), Failure> {
        let (policy, count) = (&self.model.policy, self.settings.training.batch);
        let Work { batch, states, state_rewards, .. } = &mut self.work;
        batch.states(policy, states);
        let conditions = batch.row_conditions();
        let rows = batch.paths.rows();
        if self.needs.partial {
            batch.paths.partial.resize(rows, 0.0);
            if !self.reward.partial(states, &conditions, &mut batch.paths.partial)? {
                let found = "one that needs rewards on the way to an object";
                let allowed = "a reward that is known on the way, or another objective";
                return Err(Problem::new("objective.kind", found).allowed(allowed).into());
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
            let describe = |object: &[P::Cell]| policy.describe(object);
            checked(self.reward.as_ref(), &objects, &theirs, &describe, &mut found)?;
            let noise = Noise::new(self.state.seed, Purpose::Reward);
            let noise = noise.from_trajectory((self.state.step << 24) + count as u64);
            self.reward.observe(&objects, &theirs, &noise, &mut found)?;
            state_rewards.clear();
            state_rewards.resize(rows, None);
            ends.into_iter().zip(found).for_each(|(row, log_reward)| state_rewards[row] = Some(log_reward));
        }
        Ok(())
    }

    /// Walks backward from replayed, given and refined objects.
    fn homeward(
        &mut self,
        evaluator: &dyn Evaluator,
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
            let noise = Noise::new(self.state.seed, Purpose::Data);
            let noise = noise.from_trajectory(self.state.step * settings.batch as u64);
            replay.draw(settings.batch, &noise, home);
        }
        if let Some(data) = &exploration.data {
            let noise = Noise::new(self.state.seed, Purpose::Target);
            let noise = noise.from_trajectory(self.state.step * data.batch as u64);
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
                let moves =
                    (self.state.step * search.rounds as u64 + round as u64) * log_rewards.len() as u64;
                let noise = Noise::new(self.state.seed, Purpose::Local).from_trajectory(moves);
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
        let rows = home.log_rewards.len();
        let noise = Noise::new(self.state.seed, Purpose::Backward).from_trajectory(self.state.step << 20);
        debug_assert!(rows < 1 << 20);
        let walk =
            Homeward { objects: &home.objects, conditions: &home.conditions, most: &[], noise: &noise };
        self.work.batch.homeward(policy, evaluator, walk);
        Ok(())
    }
}

fn moments<'a>(first: &'a mut [Vec<f32>], second: &'a mut [Vec<f32>], place: usize) -> Moments<'a> {
    Moments { first: &mut first[place], second: &mut second[place] }
}

impl<P: Policy> Training for FlowTrainer<P> {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        let replay = self.replay.iter().map(|replay| ("replay".to_owned(), replay.to_bytes()));
        let counts = [("skipped", self.skipped), ("cut", self.cut)];
        replay.chain(counts.map(|(name, count)| (name.to_owned(), count.to_le_bytes().to_vec()))).collect()
    }

    fn restore(&mut self, state: State, memory: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        let kept =
            |name: &str| memory.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.as_slice());
        if let Some(replay) = &mut self.replay {
            let bytes = kept("replay").unwrap_or_default();
            replay.restore(bytes).map_err(|words| format!("of another run (its replay buffer: {words})"))?;
        }
        let count = |name: &str| {
            kept(name)
                .and_then(|bytes| bytes.first_chunk::<8>())
                .map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        (self.skipped, self.cut) = (count("skipped"), count("cut"));
        self.state = state;
        Ok(())
    }

    /// Makes one step. Where the reward fails for a batch but may answer another, the step is spent, the weights stay, and
    /// the loss is no number.
    fn step(&mut self) -> Result<StepInfo> {
        awake(walks::lanes(self.settings.training.batch) - 1, || self.step_here())
    }

    fn evaluate(&mut self) -> Result<f64> {
        let (policy, training) = (&self.model.policy, &self.settings.training);
        let noise = evaluation_noise(self.state.seed, Purpose::Choice);
        let conditions = match &self.settings.conditions {
            Some(conditions) => conditions.draw(SCORED, &noise.purpose(Purpose::Source)),
            None => Vec::new(),
        };
        let evaluator = self.model.network.with(&self.state.scored(training)[0]);
        let reward = self.reward.as_ref();
        let mut sources = vec![P::Cell::default(); SCORED * policy.cells()];
        sources.chunks_exact_mut(policy.cells()).for_each(|source| policy.source(source));
        if let Some(settings) = &self.settings.sources {
            settings.draw(&noise.purpose(Purpose::Source), &mut sources);
        }
        let found =
            outward_from(policy, evaluator.as_ref(), reward, &sources, &conditions, SCORED, &noise, &|_| {
                true
            });
        drop(evaluator);
        let score = match found {
            Ok(found) => -evidence(&found.log_weights).elbo.value,
            Err(Failure::Skip(_)) => f64::NAN,
            Err(Failure::Stop(error)) => return Err(error),
        };
        self.state.note(score, training);
        Ok(score)
    }

    fn trained(&self) -> &[Vec<f32>] {
        self.state.trained(&self.settings.training)
    }

    fn counted(&self) -> Vec<(&'static str, u64)> {
        vec![("skipped_batches", self.skipped), ("cut_trajectories", self.cut)]
    }

    fn finished(&self) -> bool {
        self.state.finished(&self.settings.training)
    }
}
