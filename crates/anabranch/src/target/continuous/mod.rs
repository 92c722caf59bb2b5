//! Targets over points: real vectors, the box `[0, 1]^d`, the torus `[0, 2 pi)^d`.
//!
//! ```text
//! gaussian    N(mean, covariance), times e^{log_z}                           log Z = log_z
//! mixture     sum_k w_k prod_d p(x_d; theta_kd); gmm9, gmm25, gmm40          log Z = ln sum_k w_k
//! funnel      N(x_0; 0, s^2) prod_i N(x_i; 0, e^{x_0})   (Neal 2003)         log Z = 0
//! many-well   sum over pairs -d^4 + 6 d^2 + d / 2 - v^2 / 2                  log Z = pairs (ln 11784.50927 + ln(2 pi) / 2)
//! toy         seven densities in the plane, see [`toy`]                      log Z = 0
//! box band    R0 + R1 prod [outer] + R2 prod [band]                          log Z = ln(R0 + R1 / 2^d + R2 / 5^d)
//! function    e^(-beta f(x)): Branin, Hartmann-6                             log Z of the plane: by quadrature
//! ```
//!
//! `log Z` is the logarithm of the integral of R. Outside of its space a target is 0.

mod banana;
mod band;
mod brownian;
mod cluster;
mod cox;
mod density;
mod entry;
mod field;
mod function;
mod funnel;
mod gaussian;
mod gmm;
mod hard;
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
