//! Learning a chain on burn's tape.
//!
//! ```text
//! backward paths of data      through the encoder's states             forward KL, importance-weighted
//! forward paths               through the states, and through log R    reverse KL
//! forward paths at rest       drawn without a tape, then scored        every other objective of paths
//! ```
//!
//! The objective sees the numbers of a [`Path`] and answers slopes; burn carries them back to the weights.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::epochs::{Epochs, gathered, redrawn};
use super::learner::{Learner, Player, Rule};
use super::tuning::{Tuning, WARM_UP};
use super::{Trainer, TrainingRecipe};
use crate::array::scratch;
use crate::array::weights::{Weights, matrix, to_vec_f64};
use crate::chain::{Given, Paths, Reference, Slopes, State};
use crate::error::{Failure, Result};
use crate::estimate::evidence;
use crate::estimate::likelihood::{Bound, nll};
use crate::estimate::paths::forward_weights;
use crate::model::path::{Path, States};
use crate::model::state_flow::StateFlow;
use crate::model::{Goal, Model, Watch};
use crate::objective::{Drawn, Needs, PathObjective, ReferenceKind};
use crate::optim::OptimizerRecipe;
use crate::rng::{Address, Counted, Noise, Purpose};
use crate::target::{Conditions, Target, log_density};

/// Paths of a validation score.
const SCORED: usize = 1000;

/// Where a chain's paths end.
#[derive(Debug, Clone, Copy)]
pub enum Ends<'a> {
    /// At rows of data, `[rows, columns]` one after the other.
    Rows {
        /// The training split.
        rows: &'a [f32],
        /// Numbers of a row.
        columns: usize,
        /// The condition of each row.
        given: &'a Given,
    },
    /// At points of a target, or at exact samples of it.
    Target(&'a dyn Target),
}

/// What the score of a model is: lower is better.
pub type Score<'a> = Box<dyn Fn(&Model) -> Result<f64, Failure> + Send + 'a>;

/// A chain with all that its training needs.
pub struct ChainTask<'a> {
    /// The model with its first weights.
    pub model: Model,
    /// Where paths end.
    pub ends: Ends<'a>,
    /// Where rows are binary, the chances of a 1 by which they are drawn afresh in every epoch, laid out as they are.
    pub chances: Option<&'a [f32]>,
    /// The loss.
    pub objective: Arc<dyn PathObjective>,
    /// `log F` of states, where the objective needs it.
    pub flow: Option<StateFlow>,
    /// The law of conditions, where the target has some.
    pub conditions: Option<Conditions>,
    /// `log Z` of conditions, where there are some and the objective learns it: their flow before the first kernel.
    pub log_z: Option<StateFlow>,
    /// The chain of the prior, where the objective is relative to one.
    pub prior: Option<Model>,
    /// The validation score.
    pub score: Score<'a>,
    /// How long, and how many paths a step has.
    pub training: TrainingRecipe,
    /// How weights are updated.
    pub optimizer: OptimizerRecipe,
    /// The seed of every random stream.
    pub seed: u64,
    /// Whether the weights are a checkpoint's, which has them tuned already.
    pub restored: bool,
}

impl<'a> ChainTask<'a> {
    /// A model without conditions, prior or state flows, for [`TrainingRecipe::default`] and [`OptimizerRecipe::default`]. Its
    /// validation score is [`nll`] of the training rows where there are no others, or `-ELBO` over 1000 paths: give
    /// [`ChainTask::score`] rows that it has not seen.
    pub fn new(model: Model, ends: Ends<'a>, objective: Arc<dyn PathObjective>) -> Self {
        let noise = Noise::of_validation(0, Purpose::Backward);
        Self {
            model,
            ends,
            chances: None,
            objective,
            flow: None,
            conditions: None,
            log_z: None,
            prior: None,
            score: Box::new(move |model| match ends {
                Ends::Rows { rows, given, .. } => Ok(nll(model, rows, given, Bound::Lower(1), &noise)?.value),
                Ends::Target(target) => {
                    let none = Given::nothing();
                    let weights = forward_weights(model, target, SCORED, &none, &noise, &|_| true)?;
                    Ok(-evidence(&weights.unwrap_or_default()).elbo.value)
                }
            }),
            training: TrainingRecipe::default(),
            optimizer: OptimizerRecipe::default(),
            seed: 0,
            restored: false,
        }
    }
}

/// A chain being trained.
pub type ChainTrainer<'a> = Trainer<ChainLearner<'a>>;

/// A chain in training.
pub struct ChainLearner<'a> {
    task: ChainTask<'a>,
    needs: Needs,
    log_z: bool,
    /// The state flows of the target network, where the objective has one.
    follower: Option<StateFlow>,
    /// The permutation of an epoch of the data.
    order: Epochs,
    paths: Paths,
    slopes: Slopes,
    /// The paths of the step, where they are learned from again.
    states: Option<States>,
    /// The conditions of the step's paths.
    given: Given,
    log_reward: Vec<f64>,
    tuning: Tuning,
    detail: String,
}

impl<'a> Trainer<ChainLearner<'a>> {
    /// A run at its first step; initial values that depend on data are set from the first rows, guides fitted to an energy.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn new(task: ChainTask<'a>) -> Result<Self, Failure> {
        Self::observed(task, &|_| true)
    }

    /// [`Trainer::new`], telling `watch` how far kernels are tuned.
    ///
    /// # Errors
    /// If a kernel fails, or `watch` asked to stop.
    pub fn observed(mut task: ChainTask<'a>, watch: &Watch<'_>) -> Result<Self, Failure> {
        let mut tuning = Tuning::default();
        if let Ends::Target(target) = task.ends {
            task.model.start(target, &Noise::new(task.seed, Purpose::Probe))?;
        }
        if let Ends::Rows { rows, columns, given } = &task.ends {
            let count = rows.len() / columns;
            let count = count.min(2048);
            // A run that is opened without its rows has its weights from a checkpoint.
            if count > 0 {
                let first = rows[..count * columns].to_vec();
                let noise = Noise::new(task.seed, Purpose::Weights);
                let x = matrix(first, *columns, &task.model.device());
                task.model.initialise(x, &given.range(0, count), &noise)?;
            }
        }
        if let (Ends::Target(target), false) = (task.ends, task.restored) {
            let given = task.conditions.as_ref().map_or_else(Given::nothing, |conditions| {
                let noise = Noise::new(task.seed, Purpose::Condition).at(Address::WARM_UP);
                Given::rows(conditions.width(), conditions.draw(WARM_UP, &noise))
            });
            tuning = Tuning::of(&mut task.model, target, &given, task.seed, watch)?;
        }
        let (training, optimizer, seed) = (task.training.clone(), task.optimizer.clone(), task.seed);
        let needs = task.objective.needs();
        let learner = ChainLearner {
            needs,
            log_z: (needs.log_z || needs.flow) && task.log_z.is_none(),
            follower: task.flow.clone().filter(|_| matches!(needs.reference, ReferenceKind::Target { .. })),
            task,
            order: Epochs::default(),
            paths: Paths::default(),
            slopes: Slopes::default(),
            states: None,
            given: Given::nothing(),
            log_reward: Vec::new(),
            tuning,
            detail: String::new(),
        };
        let mut trainer = Trainer::start(learner, training, optimizer, seed);
        trainer.learner_mut().track();
        Ok(trainer)
    }
}

impl ChainLearner<'_> {
    fn track(&mut self) {
        self.task.model.track();
        let flows = self.task.flow.iter_mut().chain(&mut self.task.log_z);
        flows.for_each(|flow| flow.weights_mut().track());
    }

    /// The vectors that burn differentiates by, in the players' order.
    fn vectors(&mut self) -> impl Iterator<Item = &mut Weights> {
        let flows = self.task.flow.iter_mut().chain(&mut self.task.log_z).map(StateFlow::weights_mut);
        self.task.model.weights_mut().into_iter().chain(flows)
    }

    /// The place of the player behind the vectors: `log Z`, where it is one number.
    fn log_z_place(&self) -> usize {
        let flows = self.task.flow.iter().chain(&self.task.log_z);
        self.task.model.weights().len() + flows.count()
    }

    /// Draws the conditions of a step: as many paths in a row share one as the objective takes means of.
    fn draw_conditions(&mut self, step: u64) {
        let Some(conditions) = &self.task.conditions else { return };
        let (batch, each) = (self.task.training.batch, self.needs.per_condition.max(1));
        let noise = self.noise(Purpose::Condition, step, batch);
        let drawn = Given::rows(conditions.width(), conditions.draw(batch.div_ceil(each), &noise));
        self.given = drawn.repeat(each).range(0, batch);
    }

    /// The batch of step `step`, with its conditions: the next rows of an endless sequence of permutations, or fresh exact samples.
    fn batch(&mut self, step: u64) -> (Vec<f32>, Given) {
        let batch = self.task.training.batch;
        match &self.task.ends {
            Ends::Rows { rows: data, columns, given } => {
                let numbers = self.order.batch(data.len() / columns, batch, step, self.task.seed);
                let rows = match self.task.chances {
                    Some(chances) => redrawn(chances, *columns, &numbers, step, self.task.seed),
                    None => gathered(data, *columns, &numbers),
                };
                (rows, given.select(&numbers))
            }
            Ends::Target(target) => {
                let noise = self.noise(Purpose::Target, step, batch);
                let given = self.given.clone();
                let rows = match given.width() {
                    0 => target.draw(batch, &noise),
                    _ => target.draw_given(given.values(), &noise),
                };
                (rows.unwrap_or_default(), given)
            }
        }
    }

    /// The noise of a step of so many rows.
    fn noise(&self, purpose: Purpose, step: u64, rows: usize) -> Noise {
        Noise::new(self.task.seed, purpose).at(Address::of_step(Counted::Rows, step, rows))
    }

    /// The paths of a step, with their numbers.
    fn draw(&mut self, step: u64, epoch: u64, log_z: f64) -> Result<Path, Failure> {
        let batch = self.task.training.batch;
        let noise = self.noise(Purpose::Backward, step, batch);
        self.paths.log_z.clear();
        if epoch == 0 {
            self.draw_conditions(step);
        }
        Ok(match (self.needs.drawn, &self.task.ends) {
            (Drawn::Backward { samples, local }, _) => {
                let (rows, given) = self.batch(step);
                let model = &self.task.model;
                let x = matrix(rows, model.dimension(), &model.device());
                let noise = self.noise(Purpose::Backward, step, batch * samples);
                let (x, given) = (repeated(x, samples), given.repeat(samples));
                let path = Path::backward(model, x, &given, &noise, local.then_some(Goal::Loss))?;
                path.numbers(vec![0.0; batch * samples], &mut self.paths);
                path
            }
            (Drawn::Forward, Ends::Target(target)) if self.needs.through_states => {
                let walk = if self.needs.stopped { Path::forward_stopped } else { Path::forward };
                let path = walk(&self.task.model, *target, batch, &self.given, &noise)?;
                let log_reward =
                    path.log_reward.clone().map_or_else(Vec::new, |log| to_vec_f64(log.detach()));
                path.numbers(log_reward, &mut self.paths);
                path
            }
            (Drawn::Forward, Ends::Target(target)) => {
                if epoch == 0 {
                    let states = States::draw(&self.task.model.frozen(), batch, &self.given, &noise)?;
                    self.log_reward = to_vec_f64(log_density(*target, states.end(), &self.given)?);
                    self.states = Some(states);
                }
                self.score_states(&noise.purpose(Purpose::Backward), epoch, log_z)?
            }
            (Drawn::Forward, Ends::Rows { .. }) => unreachable!("plans are checked: data have no log R"),
        })
    }

    /// Scores the states that were drawn, asks for flows and for what other weights say.
    fn score_states(&mut self, noise: &Noise, epoch: u64, log_z: f64) -> Result<Path, Failure> {
        let states = self.states.as_ref().expect("the first epoch draws them");
        let (mut path, before) = Path::scored(&self.task.model, states, &self.given, noise)?;
        if let Some(flow) = &self.task.flow {
            path.flow = flow.log_flows(&before, &self.given);
        }
        path.numbers(self.log_reward.clone(), &mut self.paths);
        let paths = &mut self.paths;
        let rows = path.forward.len() + 1;
        paths.group.clear();
        if self.given.width() > 0 {
            // As many in a row have one condition as the objective takes means of.
            let each = self.needs.per_condition.max(1);
            paths.group.extend((0..self.log_reward.len()).map(|b| (b / each) as u32));
        }
        match &self.task.log_z {
            Some(flow) => {
                let (rows, width) = (self.log_reward.len(), self.given.width());
                let conditions = matrix(self.given.each(rows).into_owned(), width, &self.task.model.device());
                path.log_z = flow.log_flows(&[conditions], &Given::nothing()).pop();
                paths.log_z.extend(path.log_z.iter().flat_map(|log_z| to_vec_f64(log_z.clone().detach())));
            }
            None => paths.log_z.resize(self.log_reward.len(), log_z),
        }
        if self.needs.flow {
            (0..self.log_reward.len()).for_each(|b| paths.flow[b * rows] = paths.log_z[b]);
        }
        match self.needs.reference {
            ReferenceKind::Acting if epoch == 0 => {
                let divergence = vec![0.0; paths.forward.len()];
                paths.reference = Some(Reference {
                    forward: paths.forward.clone(),
                    flow: paths.flow.clone(),
                    stop: Vec::new(),
                    divergence,
                });
            }
            ReferenceKind::Acting => {
                let reference = paths.reference.as_mut().expect("kept by the first epoch");
                let drawn = paths.forward.iter().zip(&reference.forward).zip(&mut reference.divergence);
                drawn.for_each(|((now, then), divergence)| *divergence = divergence_at(now - then).0);
            }
            ReferenceKind::Prior { .. } => {
                let prior = self.task.prior.as_ref().expect("plans are checked");
                let (theirs, _) = Path::scored(prior, states, &self.given, noise)?;
                let mut numbers = Paths::default();
                theirs.numbers(self.log_reward.clone(), &mut numbers);
                paths.reference = Some(Reference { forward: numbers.forward, ..Reference::default() });
            }
            ReferenceKind::Target { .. } => {
                let follower = self.follower.as_ref().expect("objectives with a target network have flows");
                let theirs = Path { flow: follower.log_flows(&before, &self.given), ..path.clone() };
                let mut numbers = Paths::default();
                theirs.numbers(self.log_reward.clone(), &mut numbers);
                let (forward, flow) = (numbers.forward, numbers.flow);
                paths.reference = Some(Reference { forward, flow, ..Reference::default() });
            }
            ReferenceKind::None => paths.reference = None,
        }
        Ok(path)
    }

    fn loss(&mut self, step: u64, epoch: u64, log_z: f64) -> Result<(f64, Option<Tensor<1>>), Failure> {
        let parts = self.task.objective.parts();
        if parts.is_empty() {
            let objective = self.task.objective.clone();
            return self.loss_of(objective.as_ref(), step, epoch, log_z);
        }
        let (mut loss, mut pull) = (0.0, None::<Tensor<1>>);
        for (share, objective) in parts.into_iter().filter(|(share, _)| *share > 0.0) {
            self.needs = objective.needs();
            let (part, pulled) = self.loss_of(objective.as_ref(), step, epoch, log_z)?;
            loss += share * part;
            let pulled = pulled.map(|pulled| pulled * share);
            pull = match (pull, pulled) {
                (Some(sum), Some(pulled)) => Some(sum + pulled),
                (sum, pulled) => sum.or(pulled),
            };
        }
        Ok((loss, pull))
    }

    /// The loss of an objective of one piece, whose needs are known.
    fn loss_of(
        &mut self,
        objective: &dyn PathObjective,
        step: u64,
        epoch: u64,
        log_z: f64,
    ) -> Result<(f64, Option<Tensor<1>>), Failure> {
        let path = self.draw(step, epoch, log_z)?;
        let (paths, slopes) = (&mut self.paths, &mut self.slopes);
        paths.log_z.resize(paths.log_reward.len(), log_z);
        let now = objective.at_step(step);
        let objective = now.as_deref().unwrap_or(objective);
        let loss = objective.evaluate(paths, slopes);
        if let (ReferenceKind::Acting, Some(reference)) = (self.needs.reference, &paths.reference) {
            let drawn = paths.forward.iter().zip(&reference.forward).zip(&slopes.divergence);
            let added = slopes.forward.iter_mut().zip(drawn);
            added.for_each(|(to, ((now, then), slope))| *to += slope * divergence_at(now - then).1);
        }
        if self.needs.flow {
            // The flow before the first kernel is `Z mu`.
            let rows = path.forward.len() + 1;
            let flows = slopes.flow.iter().step_by(rows);
            slopes.log_z.iter_mut().zip(flows).for_each(|(to, slope)| *to += slope);
        }
        Ok((loss, path.pull(slopes)))
    }
}

/// What one draw of the policy that acted says of `KL(pi || pi_acting)`, given `log pi - log pi_acting`: `r log r - r + 1`, whose
/// mean it is and which is never negative; and its slope by `log pi`.
fn divergence_at(log_ratio: f64) -> (f64, f64) {
    let ratio = log_ratio.clamp(-30.0, 30.0).exp();
    (ratio * log_ratio - ratio + 1.0, ratio * log_ratio)
}

/// Every row `samples` times, next to each other.
fn repeated(x: State, samples: usize) -> State {
    if samples == 1 {
        return x;
    }
    let [rows, columns] = x.dims();
    x.reshape([rows, 1, columns]).repeat_dim(1, samples).reshape([rows * samples, columns])
}

impl Learner for ChainLearner<'_> {
    fn players(&self) -> Vec<Player> {
        let of = |weights: &Weights| Player::model(weights.name(), weights.values(), weights.slots());
        let mut players: Vec<Player> = self.task.model.weights().into_iter().map(of).collect();
        let flows = self.task.flow.iter().chain(&self.task.log_z);
        players.extend(flows.map(|flow| of(flow.weights())));
        if self.log_z {
            let optimizer = &self.task.optimizer;
            players.push(Player::log_z(optimizer.log_z_rate / optimizer.learning_rate));
        }
        if let (Some(follower), ReferenceKind::Target { rate, every }) =
            (&self.follower, self.needs.reference)
        {
            let rule = Rule::Follow { player: self.task.model.weights().len(), rate, every };
            let values = follower.weights().values();
            players.push(Player { rule, ..Player::model("target", values, &[]) });
        }
        players
    }

    fn epochs(&self) -> u64 {
        self.needs.epochs as u64
    }

    fn learn(
        &mut self,
        weights: &mut [Vec<f32>],
        step: u64,
        epoch: u64,
        gradients: &mut [Option<Vec<f32>>],
    ) -> Result<f64, Failure> {
        gradients.iter_mut().filter_map(Option::take).for_each(scratch::give_back);
        let place = self.log_z_place();
        let log_z = weights.get(place).map_or(0.0, |values| f64::from(values[0]));
        for (vector, values) in self.vectors().zip(weights.iter_mut()) {
            vector.set(std::mem::take(values));
        }
        let target = place + usize::from(self.log_z);
        if let (Some(follower), Some(values)) = (&mut self.follower, weights.get(target)) {
            follower.weights_mut().set(values.clone());
        }
        let loss = self.loss(step, epoch, log_z).map(|(loss, pull)| {
            let found = pull.filter(|_| loss.is_finite()).map(|pull| pull.backward());
            (loss, found)
        });
        let (loss, mut found) = match loss {
            Ok((loss, found)) => (Ok(loss), found),
            Err(failure) => (Err(failure), None),
        };
        let own = weights.iter_mut().zip(gradients.iter_mut());
        for (vector, (values, gradient)) in self.vectors().zip(own) {
            *gradient = found.as_mut().and_then(|found| vector.gradient(found));
            *values = vector.take();
        }
        if let (true, Some(gradient), Ok(_)) = (self.log_z, gradients.get_mut(place), &loss) {
            *gradient = Some(vec![self.slopes.log_z.iter().sum::<f64>() as f32]);
        }
        self.detail = format!("trajectories {} onwards", step * self.task.training.batch as u64);
        loss
    }

    fn detail(&self) -> String {
        self.detail.clone()
    }

    fn score(&self, weights: &[Vec<f32>]) -> Result<f64, Failure> {
        let of_model = self.task.model.weights().len();
        (self.task.score)(&self.task.model.with_weights(&weights[..of_model]))
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        self.tuning.memory()
    }

    fn restore(&mut self, memory: &[(String, Vec<u8>)]) -> Result<(), String> {
        self.tuning = Tuning::remembered(memory)?;
        Ok(())
    }

    fn counted(&self) -> Vec<(&'static str, u64)> {
        self.tuning.counted()
    }
}
