//! The laws, each over every instance: a new kernel, chain or target is covered by adding it to a list in `instances`
//! (energies: to the list in `chains`; environments: to that in `environments`).

mod chains;
mod diffusion;
mod environments;
mod fused;
mod gaussian;
mod instances;
mod kernels;
mod objectives;
mod ode;
