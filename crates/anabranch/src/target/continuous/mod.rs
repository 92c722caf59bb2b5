//! Targets over points: real vectors, the box `[0, 1]^d`, the torus `[0, 2 pi)^d`.
//!
//! | target | d | log Z |
//! |---|---|---|
//! | [`DiagonalGaussian`], [`FullGaussian`] `e^{log_z} N(mean, covariance)` | any | `log_z` |
//! | [`Mixture`] `sum_k w_k prod_d p(x_d; theta_kd)`; gmm9, gmm25, gmm40 | any | `ln sum_k w_k` |
//! | [`HardMixture`] six normals, four of them needles | 2 | 0 |
//! | [`Funnel`] `N(x_0; 0, s^2) prod_i N(x_i; 0, e^{x_0})` | any | 0 |
//! | [`Banana`] `N(x_0; 0, s^2) N(x_1; b (x_0^2 - s^2), 1) ..` | any | 0 |
//! | [`Rosenbrock`] `-a (x_1 - m)^2 - b sum (x_i - x_{i-1}^2)^2` | any | closed form |
//! | [`ManyWell`] pairs of `-d^4 + 6 d^2 + d / 2 - v^2 / 2` | even | 10.2934797 a pair |
//! | [`Rings`] `-100 min_i (\|x\| - r_i)^2` | 2 | 2.304881 |
//! | [`mod@toy`] seven densities in the plane | 2 | 0 |
//! | [`ScalarField`] phi^4 on a square lattice | L^2 | |
//! | [`LennardJones`] particles held by a spring | 3 n | of two by quadrature |
//! | [`EightSchools`], [`Brownian`] posteriors | 10; 30, 32 | by quadrature, by Kalman's filter |
//! | [`Logistic`], [`CoxProcess`], [`Seeds`] posteriors | 61, 35, 25; n^2; 26 | published estimates |
//! | [`ItemResponse`] posterior | 501 | |
//! | [`BayesianMixture`] posterior | any | by enumeration |
//! | [`BoxBand`] `R0 + R1 prod [outer] + R2 prod [band]` on the box | any | closed form |
//! | [`Branin`], [`Hartmann6`] `e^{-beta f}` on the box | 2, 6 | of the plane by quadrature |
//!
//! `log Z` is the logarithm of the integral of R; what counts as density, what as constant and in which coordinates stands at the head
//! of each file. Outside of its space a target is 0. Of most, recipes know by an [`Entry`] beside their mathematics.

mod banana;
mod band;
mod bayesian_mixture;
mod brownian;
mod cluster;
mod cox;
mod density;
mod design;
mod entry;
mod field;
mod function;
mod funnel;
mod gaussian;
mod gmm;
mod hard;
mod inverse;
mod items;
mod logistic;
mod mersenne;
mod mixture;
mod placed;
mod quantiles;
mod recipe;
mod rings;
mod rosenbrock;
mod schools;
mod seeds;
mod threefry;
pub mod toy;
mod well;

pub use banana::Banana;
pub use band::BoxBand;
pub use bayesian_mixture::BayesianMixture;
pub use brownian::Brownian;
pub use cluster::LennardJones;
pub use cox::CoxProcess;
pub use density::Density;
pub use entry::Entry;
pub use field::ScalarField;
pub use function::{Branin, Hartmann6};
pub use funnel::Funnel;
pub use gaussian::{DiagonalGaussian, FullGaussian};
pub use gmm::Generator;
pub use hard::HardMixture;
pub use inverse::MixtureInverse;
pub use items::ItemResponse;
pub use logistic::{Logistic, Scaling};
pub use mixture::Mixture;
pub use placed::{ChartReward, OnCharts, OnPoints};
pub use recipe::PointTargetRecipe;
pub use rings::Rings;
pub use rosenbrock::Rosenbrock;
pub use schools::EightSchools;
pub use seeds::Seeds;
pub use toy::Toy;
pub use well::ManyWell;
