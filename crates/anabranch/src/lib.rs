//! One engine for every generative model that is a Markovian trajectory.
//!
//! Diffusion models, normalizing flows, variational autoencoders and GFlowNets are pairs of Markov chains that run against each
//! other between a simple source and a target: data, an energy, a reward. One number per trajectory, the path log-weight
//! ([`chain`]), gives their likelihoods, their bounds on log Z and their training objectives.
//!
//! A [`recipe`] names the parts of a model and how to train it, and is checked as a whole into a plan. [`train`] has the one
//! trainer, [`run`] a directory with all that came of it, [`report`] a page.
//!
//! ```
//! use anabranch::recipe::{Plan, named};
//! let plan = Plan::new(named("moons-flow", &[])?)?;
//! let mut trainer = plan.start()?;
//! let first = trainer.step()?;
//! assert!(first.loss.is_finite());
//! # Ok::<(), anabranch::error::Error>(())
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
pub mod recipe;
pub mod report;
pub mod rng;
pub mod run;
pub mod sampler;
pub mod target;
pub mod train;
