//! The laws, each over every instance: a new kernel, chain or target is covered by adding it to a list in `instances`
//! (energies: to the list in `chains`; environments and rewards: to those in `environments` and `rewards`).

mod annealed;
mod autoregressive;
mod chain_objectives;
mod chains;
mod continuous;
mod cycles;
mod diffusion;
mod draws;
mod energies;
mod enumeration;
mod environments;
mod flow_networks;
mod fused;
mod gaussian;
mod gibbs;
mod gradients;
mod instances;
mod jumps;
mod kernels;
mod langevin;
mod objectives;
mod ode;
mod reach;
mod refine;
mod refined;
mod starts;
mod steps;
mod stochastic;
mod targets;
mod variational;
