//! One engine for every generative model that is a Markovian trajectory.
//!
//! Diffusion models, normalizing flows, variational autoencoders, autoregressive models, GFlowNets, annealed importance sampling,
//! learned samplers of energies and jump processes are pairs of Markov chains that run against each other between a simple source and a
//! target: data, an energy, a reward. One number per trajectory, the path log-weight ([`chain`]), gives their likelihoods, their
//! bounds on log Z and their training objectives, and is what lets them be joined: a flow behind a diffusion, Markov kernels between the
//! layers of a flow, any trained model as the proposal of sequential Monte Carlo.
//!
//! All numbers of one run are the same to the last bit on any number of threads: noise has addresses ([`rng`]).
//!
//! # Words
//!
//! | word | is | where |
//! |---|---|---|
//! | chain | a source and the transitions that lead from it to a target | [`chain::Chain`] |
//! | transition | a kernel forward and a kernel backward, with `log P_B - log P_F` of every step | [`chain::Transition`] |
//! | segment | the stretch of a chain that one family supplies, with its weights | [`model::Segment`] |
//! | model | a source and segments | [`model::Model`] |
//! | environment | a space of objects that are built move by move | [`environment::Environment`] |
//! | policy | what a network's answers mean as laws of moves | [`policy::Policy`] |
//! | target | an unnormalised density or mass, `log R(x)` in nats | [`target::Target`], [`target::Density`] |
//! | objective | a loss that is a function of paths' numbers | [`objective::PathObjective`] |
//! | condition | numbers beside every row that all kernels may read | [`chain::Given`] |
//! | bound, ELBO, EUBO | means of log-weights that lie below and above log Z, or log p(x) | [`estimate`] |
//! | recipe | a TOML file that names all of these | [`recipe`] |
//!
//! States are tensors `[batch, dimension]`, log-densities nats, log-weights f64.
//!
//! # What it does not do
//!
//! It runs on CPUs. Networks are perceptrons, transformers, deep sets and tables of up to some millions of weights: no convolutions, no
//! pretrained models, no pictures of more than some thousand pixels. Derivatives are those of [`burn`] and of kernels of its own; a density
//! of your own is written over [`math::Real`] and brings its gradient.
//!
//! # From a recipe
//!
//! What the program does with a file needs three lines here. [`run`] makes the directory, [`report`] the page.
//!
//! ```
//! use anabranch::recipe::{Plan, named};
//! let plan = Plan::new(named("moons-flow", &[])?)?;
//! let mut trainer = plan.start()?;
//! let first = trainer.step()?;
//! assert!(first.loss.is_finite());
//! # Ok::<(), anabranch::error::Error>(())
//! ```
//!
//! Nothing below needs a recipe.
//!
//! # A flow of your own rows
//!
//! Four affine couplings learn rows that lie in a slice.
//!
//! ```
//! use std::sync::Arc;
//!
//! use anabranch::array::shape::{Activation, Feedforward, Transform};
//! use anabranch::chain::Given;
//! use anabranch::error::Failure;
//! use anabranch::estimate::likelihood::{Bound, nll};
//! use anabranch::kernel::bijection::{Bijection, Coupling, Split};
//! use anabranch::model::Model;
//! use anabranch::model::flow::Flow;
//! use anabranch::network::Network;
//! use anabranch::objective::ForwardKl;
//! use anabranch::rng::{Noise, Purpose};
//! use anabranch::train::chain::{ChainTask, ChainTrainer, Ends};
//! use anabranch::train::Training;
//!
//! fn main() -> Result<(), Failure> {
//!     // A parabola with noise, [rows, 2], one row after the other.
//!     let normals = Noise::new(1, Purpose::Data).normal(4000, 2);
//!     let rows: Vec<f32> = normals.chunks(2).flat_map(|z| [z[0], z[0] * z[0] + 0.5 * z[1]]).collect();
//!     let (train, test) = rows.split_at(2 * 3000);
//!
//!     let layers = (0..4).map(|layer| {
//!         let transform = Transform::Affine { cap: 3.0 };
//!         let split = if layer % 2 == 0 { Split::FirstHalf } else { Split::SecondHalf };
//!         let (context, hidden, output) = (0, vec![32], transform.raw_len());
//!         let shape =
//!             Feedforward { input: 1, context, hidden, output, activation: Activation::Silu, residual: false };
//!         let network = Network::new(format!("coupling{layer}"), shape, 0, layer, true);
//!         Box::new(Coupling::new(2, split, transform, network)) as Box<dyn Bijection>
//!     });
//!     let model = Model::new(vec![Box::new(Flow::new(2, layers.collect()))]);
//!
//!     let given = Given::nothing();
//!     let ends = Ends::Rows { rows: train, columns: 2, given: &given };
//!     let mut task = ChainTask::new(model.clone(), ends, Arc::new(ForwardKl::default()));
//!     task.optimizer.learning_rate = 3e-3;
//!     let mut trainer = ChainTrainer::new(task)?;
//!     for _ in 0..300 {
//!         trainer.step()?;
//!     }
//!     let flow = model.with_weights(trainer.trained());
//!     let noise = Noise::new(2, Purpose::Backward);
//!     let found = nll(&flow, test, &given, Bound::Lower(1), &noise)?;
//!     // The best there is: the entropy of the law that the rows come from, ln(2 pi e) - ln 2.
//!     assert!((found.value - 2.1447).abs() < 0.1, "{found:?}");
//!     let drawn = flow.chain().sample(5, &given, &noise)?;
//!     assert_eq!(drawn.dims(), [5, 2]);
//!     Ok(())
//! }
//! ```
//!
//! # Your own energy
//!
//! A density with its gradient, written once over plain and dual numbers, is a target of every family that learns from energies. Here
//! annealed importance sampling finds its log Z and draws weighted samples.
//!
//! ```
//! use std::sync::Arc;
//!
//! use anabranch::chain::Given;
//! use anabranch::error::Failure;
//! use anabranch::estimate::evidence;
//! use anabranch::estimate::paths::weighted_paths;
//! use anabranch::math::Real;
//! use anabranch::model::Model;
//! use anabranch::model::annealed::{Annealing, Base};
//! use anabranch::rng::{Noise, Purpose};
//! use anabranch::target::Density;
//!
//! /// `log R(x, y) = -(x^2 - 4)^2 / 4 - (y - x)^2 / 2`: two wells.
//! #[derive(Debug)]
//! struct Wells;
//!
//! impl Density for Wells {
//!     fn dimension(&self) -> usize {
//!         2
//!     }
//!
//!     fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
//!         let (well, away) = (point[0] * point[0] - 4.0, point[1] - point[0]);
//!         if let Some(score) = score {
//!             score[0] = away - well * point[0];
//!             score[1] = -away;
//!         }
//!         well * well * -0.25 - away * away * 0.5
//!     }
//! }
//!
//! fn main() -> Result<(), Failure> {
//!     let base = Base::new("base", 2, 0.0, 2.0, false);
//!     let mut model = Model::new(vec![Box::new(Annealing::new(Arc::new(Wells), base, 32))]);
//!     let given = Given::nothing();
//!     model.warm_up(500, &given, &Noise::new(1, Purpose::Weights))?;
//!
//!     let noise = Noise::new(2, Purpose::Forward);
//!     let paths = weighted_paths(&model, &Wells, 4000, &given, &noise, &|_| true)?.expect("nobody stops it");
//!     let found = evidence(&paths.log_weights);
//!     // The integral over y is a Gaussian's, that over x a sum.
//!     let wells: f64 = (-5000..5000).map(|i| (-0.25 * ((i as f64 * 1e-3).powi(2) - 4.0).powi(2)).exp() * 1e-3).sum();
//!     let exact = wells.ln() + 0.5 * std::f64::consts::TAU.ln();
//!     assert!((found.log_z.value - exact).abs() < 4.0 * found.log_z.error);
//!     Ok(())
//! }
//! ```
//!
//! # Your own transition
//!
//! A kernel pair is three methods. Whatever two kernels it has, the mean weight of a chain's paths is Z; here they are each other's
//! reversal, and the weights do not vary at all.
//!
//! ```
//! use anabranch::array::weights::to_vec_f64;
//! use anabranch::chain::{Chain, Densities, Given, Score, State, Step, Transition, double};
//! use anabranch::error::Failure;
//! use anabranch::kernel::law::{Gaussian, Law, LogStd};
//! use anabranch::model::StandardNormal;
//! use anabranch::rng::{Noise, Purpose};
//!
//! /// `P_F(x | s) = N(s, v)`; `P_B(s | x) = N(x / (1 + v), v / (1 + v))` undoes it where `s ~ N(0, 1)`.
//! struct Spread {
//!     variance: f32,
//! }
//!
//! impl Spread {
//!     fn kernels(&self, before: &State, after: &State) -> [Gaussian; 2] {
//!         let v = self.variance;
//!         let law = |mean, v: f32| Gaussian { mean, log_std: LogStd::Shared(0.5 * v.ln()) };
//!         [law(before.clone(), v), law(after.clone() / (1.0 + v), v / (1.0 + v))]
//!     }
//!
//!     fn densities(&self, before: &State, after: &State) -> Densities {
//!         let [forward, backward] = self.kernels(before, after);
//!         Densities { forward: forward.log_density(after), backward: backward.log_density(before) }
//!     }
//! }
//!
//! impl Transition for Spread {
//!     fn forward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
//!         let [law, _] = self.kernels(&from, &from);
//!         let to = law.sample(noise);
//!         Ok(self.densities(&from, &to).forward_step(to))
//!     }
//!
//!     fn backward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
//!         let [_, law] = self.kernels(&from, &from);
//!         let to = law.sample(noise);
//!         Ok(self.densities(&to, &from).backward_step(to))
//!     }
//!
//!     fn score(&self, before: &State, after: &State, _: &Given) -> Result<Score, Failure> {
//!         Ok(Score::Densities(self.densities(before, after)))
//!     }
//! }
//!
//! fn main() -> Result<(), Failure> {
//!     let chain = Chain {
//!         source: Box::new(StandardNormal::new(1)),
//!         transitions: vec![Box::new(Spread { variance: 3.0 })],
//!     };
//!     let paths = chain.generate(100, &Given::nothing(), &Noise::new(1, Purpose::Forward))?;
//!     // R(x) = 7 N(x; 0, 4): towards it the kernels undo each other exactly, and every path weighs Z = 7.
//!     let target = Gaussian { mean: paths.end.zeros_like(), log_std: LogStd::Shared(2_f32.ln()) };
//!     let log_reward = double(target.log_density(&paths.end)) + 7_f64.ln();
//!     for log_weight in to_vec_f64(paths.log_weight + log_reward) {
//!         assert!((log_weight - 7_f64.ln()).abs() < 1e-5);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Your own environment
//!
//! Moves, their masks and how they are undone are all that a flow network has to know of a space.
//!
//! ```
//! use std::sync::Arc;
//!
//! use anabranch::environment::{Cell, Environment, check};
//! use anabranch::error::Failure;
//! use anabranch::estimate::{evidence, trajectories::forward_rollout};
//! use anabranch::model::gflownet::GFlowNet;
//! use anabranch::network::Activation;
//! use anabranch::network::taped::{Inputs, Mlp, TapedNetwork};
//! use anabranch::objective::{Objective, TrajectoryBalance};
//! use anabranch::policy::{Actions, BackwardPolicy, FlowHead};
//! use anabranch::rng::{Noise, Purpose};
//! use anabranch::target::Target;
//! use anabranch::train::gflownet::{FlowTrainer, Settings};
//! use anabranch::train::Training;
//!
//! /// Particles on a ring of sites, no two of them neighbours.
//! #[derive(Debug)]
//! struct HardCore {
//!     sites: usize,
//! }
//!
//! impl Environment for HardCore {
//!     fn cells(&self) -> usize { self.sites }
//!     fn moves(&self) -> usize { self.sites }
//!     fn removals(&self) -> usize { self.sites }
//!     fn longest(&self) -> usize { self.sites / 2 }
//!     fn stops(&self) -> bool { true }
//!     fn all_objects(&self) -> bool { true }
//!     fn source(&self, state: &mut [Cell]) { state.fill(0); }
//!     fn is_object(&self, _: &[Cell]) -> bool { true }
//!     fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
//!         let n = self.sites;
//!         let free = |i: usize| [i + n - 1, i, i + 1].iter().all(|j| state[j % n] == 0);
//!         mask.iter_mut().enumerate().for_each(|(i, to)| *to = free(i));
//!     }
//!     fn removable(&self, state: &[Cell], mask: &mut [bool]) {
//!         mask.iter_mut().zip(state).for_each(|(to, cell)| *to = *cell == 1);
//!     }
//!     fn apply(&self, state: &mut [Cell], action: usize) -> usize {
//!         state[action] = 1;
//!         action
//!     }
//!     fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
//!         state[removal] = 0;
//!         removal
//!     }
//!     fn features(&self) -> usize { self.sites }
//!     fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
//!         on.extend((0..self.sites as u32).filter(|i| state[*i as usize] == 1));
//!     }
//!     fn describe(&self, state: &[Cell]) -> String {
//!         state.iter().map(|cell| if *cell == 1 { 'o' } else { '.' }).collect()
//!     }
//!     fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
//!         if text.len() != self.sites {
//!             return Err(format!("{text:?} where {} sites are allowed", self.sites));
//!         }
//!         state.iter_mut().zip(text.chars()).for_each(|(to, letter)| *to = Cell::from(letter == 'o'));
//!         Ok(())
//!     }
//! }
//!
//! /// `R(x) = a^(particles)`.
//! #[derive(Debug)]
//! struct Activity(f64);
//!
//! impl Target<Cell> for Activity {
//!     fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
//!         let sites = objects.len() / out.len();
//!         for (out, object) in out.iter_mut().zip(objects.chunks(sites)) {
//!             *out = object.iter().map(|cell| f64::from(*cell)).sum::<f64>() * self.0.ln();
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result<(), Failure> {
//!     let ring: Arc<dyn Environment> = Arc::new(HardCore { sites: 8 });
//!     // 47 states, a Lucas number.
//!     assert_eq!(check::exhaustively(ring.as_ref(), 1000), Ok(47));
//!
//!     let policy = Actions::new(ring, BackwardPolicy::Uniform, FlowHead::None);
//!     let inputs = Inputs { features: 8, dense: 0 };
//!     let network = Arc::new(Mlp::new(inputs, &[64, 64], 9, Activation::Silu));
//!     let model = GFlowNet { policy: policy.clone(), network: network.clone() };
//!     let mut settings = Settings::new(Objective::Paths(Arc::new(TrajectoryBalance::default())));
//!     settings.optimizer.learning_rate = 3e-3;
//!     settings.training.batch = 64;
//!     let reward = Arc::new(Activity(2.0));
//!     let mut trainer = FlowTrainer::new(model, reward.clone(), settings, 1)?;
//!     for _ in 0..300 {
//!         trainer.step()?;
//!     }
//!     let evaluator = network.with(&trainer.trained()[0]);
//!     let noise = Noise::new(2, Purpose::Choice);
//!     let found = forward_rollout(&policy, evaluator.as_ref(), reward.as_ref(), &[], 4000, &noise, &|_| true)?;
//!     let found = evidence(&found.log_weights);
//!     // By the transfer matrix [1 2; 1 0], whose eigenvalues are 2 and -1: Z = 2^8 + 1.
//!     assert!((found.log_z.value - 257_f64.ln()).abs() < 4.0 * found.log_z.error);
//!     Ok(())
//! }
//! ```

pub mod array;
pub mod chain;
pub mod data;
pub mod environment;
pub mod error;
pub mod estimate;
pub mod kernel;
pub mod math;
pub mod metric;
pub mod model;
pub mod network;
pub mod objective;
pub mod optim;
mod papers;
pub mod parallel;
pub mod plot;
pub mod policy;
pub mod program;
pub mod recipe;
pub mod report;
pub mod rng;
pub mod run;
pub mod sampler;
pub mod target;
pub mod train;
