//! One engine for every generative model that is a Markovian trajectory.
//!
//! Diffusion models, normalizing flows and variational autoencoders are pairs of Markov chains that run against each
//! other between a simple source and a target. One number per trajectory, the path log-weight ([`chain`]), gives their
//! likelihoods, their bounds on log Z and their training objectives.

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
