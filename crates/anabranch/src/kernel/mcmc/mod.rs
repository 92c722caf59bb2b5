//! Markov chain Monte Carlo kernels: each leaves an unnormalised density `gamma` invariant and is reversible for it.
//!
//! ```text
//! y ~ q(. | x),   accept with probability min(1, gamma(y) q(x | y) / (gamma(x) q(y | x))),   else stay
//! log P_B - log P_F = log gamma(s_{t-1}) - log gamma(s_t)          forward from s_{t-1} to s_t
//! ```
//!
//! In equilibrium such a kernel run backward is the kernel itself, so that its ratio is that of `gamma` at its two ends, whatever it
//! proposed and however often (Wu, Köhler and Noé 2020, eq. 12; Hagemann, Hertrich and Steidl 2022). Its draws have atoms and
//! no density: a step is scored as it was made, never redrawn.
//!
//! | proposal | `q(y given x)` | accepts best at |
//! |---|---|---|
//! | [`RandomWalk`] | `N(x, h^2 S^2)` | .234 |
//! | [`Independent`] | `N(m, h^2 S^2)`, whatever `x` | 1 |
//! | [`Mala`] | `N(x + h^2 S^2 grad / 2, h^2 S^2)` | .574 |
//! | [`Hamiltonian`] | leapfrog steps from a fresh momentum | .651 |
//!
//! [`Gibbs`] is no proposal: it draws coordinates from their conditional laws where these are Gaussian.
//!
//! `h` is the step size and `S` a scale for each coordinate, the square root of the inverse of a diagonal mass matrix; for HMC it may be
//! a triangular matrix, the factor of a covariance.
//! With jitter `j` each proposal has a step size of its own, `h (1 + j u)` with `u` uniform in (-1, 1), drawn before anything else: a
//! mixture of kernels that are each reversible for `gamma`. Trajectories of one length come round to where they began wherever
//! all coordinates turn at one rate; of many lengths they do not (Neal 2011, 3.2).
//!
//! Noise may be kept: before each proposal it is `a n + sqrt(1 - a^2) n'` with fresh `n'`; an accepted one leaves that of its end, a
//! refused one turns it round. With HMC's momentum this is Horowitz's (1991) partial refreshment, invariant and, from a fresh momentum
//! on, reversible.
//!
//! A proposal at which the density is no number is not accepted, and counts as a divergence.

mod gibbs;
mod hamiltonian;
mod independent;
mod mala;
mod metropolis;
mod random_walk;

pub use gibbs::Gibbs;
pub use hamiltonian::Hamiltonian;
pub use independent::Independent;
pub use mala::Mala;
pub use metropolis::Metropolis;
pub use random_walk::RandomWalk;

use crate::chain::{Between, Given, LogWeight, State};
use crate::error::{Failure, Problem};
use crate::rng::Noise;

/// An unnormalised density over points, as kernels ask for it.
pub trait LogDensity: Send + Sync {
    /// Writes `log gamma` of each point, nats, and its gradient where `scores` are wanted. `points` is `[batch, dimension]`, `out`
    /// `[batch]`, `scores` `[batch, dimension]`.
    ///
    /// # Errors
    /// If the density does not answer, or has no gradient where one is wanted.
    fn evaluate(
        &self,
        points: &[f32],
        given: &Given,
        out: &mut [f64],
        scores: Option<&mut [f64]>,
    ) -> Result<(), Failure>;

    /// `log gamma` of each point on the tape of `x`, and of the density's own weights, `[batch]`, nats, f64.
    ///
    /// # Errors
    /// As [`LogDensity::evaluate`].
    fn log_density(&self, x: &State, given: &Given) -> Result<LogWeight, Failure>;

    /// [`LogDensity::log_density`] with the score, `[batch, dimension]`, both on the tape of `x`.
    ///
    /// # Errors
    /// As [`LogDensity::evaluate`]; if `x` is on a tape and the density has no second derivatives.
    fn with_score(&self, x: &State, given: &Given) -> Result<(LogWeight, State), Failure>;

    /// Writes the derivative of each point's score along its own direction, the Hessian of `log gamma` times `directions`; both are
    /// `[batch, dimension]`.
    ///
    /// # Errors
    /// As [`LogDensity::evaluate`], or if scores have no derivative.
    fn curvature(
        &self,
        _points: &[f32],
        _given: &Given,
        _directions: &[f64],
        _out: &mut [f64],
    ) -> Result<(), Failure> {
        Err(Problem::new("the target", "one whose score has no derivative")
            .allowed("one with second derivatives")
            .into())
    }

    /// The density as one of those between two others, where it is one.
    fn between(&self) -> Option<&dyn Between> {
        None
    }
}

/// Points with what the density says of them.
#[derive(Debug, Clone, Default)]
pub struct Evaluated {
    /// `[batch, dimension]`.
    pub points: Vec<f32>,
    /// `log gamma`, `[batch]`, nats.
    pub log_density: Vec<f64>,
    /// Its gradient, `[batch, dimension]`; empty where none is wanted.
    pub scores: Vec<f64>,
}

impl Evaluated {
    /// Asks the density about points.
    ///
    /// # Errors
    /// As [`LogDensity::evaluate`].
    pub fn new(
        points: Vec<f32>,
        rows: usize,
        density: &dyn LogDensity,
        given: &Given,
        scores: bool,
    ) -> Result<Self, Failure> {
        let length = if scores { points.len() } else { 0 };
        let mut found = Self { points, log_density: vec![0.0; rows], scores: vec![0.0; length] };
        found.ask(density, given)?;
        Ok(found)
    }

    /// Asks the density again, about the points as they are now.
    fn ask(&mut self, density: &dyn LogDensity, given: &Given) -> Result<(), Failure> {
        let scores = Some(&mut self.scores[..]).filter(|scores| !scores.is_empty());
        density.evaluate(&self.points, given, &mut self.log_density, scores)
    }

    /// Takes row `row` of `other`.
    fn take(&mut self, row: usize, other: &Self) {
        let columns = self.points.len() / self.log_density.len();
        let place = row * columns..(row + 1) * columns;
        self.points[place.clone()].copy_from_slice(&other.points[place.clone()]);
        self.log_density[row] = other.log_density[row];
        if !self.scores.is_empty() {
            self.scores[place.clone()].copy_from_slice(&other.scores[place]);
        }
    }
}

/// How far and in which shape a kernel moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Stride {
    /// The step size `h`.
    pub step: f32,
    /// The scale `S` of each coordinate, `[dimension]`.
    pub scale: Vec<f32>,
    /// In place of `S`, for kernels that read it ([`Hamiltonian`]): a lower triangular `L`, row-major, `[dimension, dimension]`, with `L L^T`
    /// the inverse of a dense mass matrix. Empty where the mass is diagonal.
    pub factor: Vec<f32>,
}

impl Stride {
    /// Of a diagonal mass matrix.
    pub fn new(step: f32, scale: Vec<f32>) -> Self {
        Self { step, scale, factor: Vec::new() }
    }
}

/// A way to propose a point.
pub trait Proposal: Send + Sync {
    /// Its name, as recipes have it.
    fn name(&self) -> &'static str;

    /// Whether it asks for scores.
    fn uses_scores(&self) -> bool;

    /// The share of proposals at whose acceptance it moves fastest.
    fn best_acceptance(&self) -> f64;

    /// How much of the noise of a proposal that of the next one keeps, `a` in [0, 1): its correlation with it.
    fn kept(&self) -> f32 {
        0.0
    }

    /// From `from` to `to`, whose vectors have the right lengths, with `normals`, `[batch, dimension]`, and the step size of each row,
    /// `steps`, `[batch]`, in place of the stride's. Leaves `to` evaluated, and writes `log q(x | y) - log q(y | x)` to `log_ratio`.
    /// Where noise is kept, `normals` become those of the end.
    ///
    /// # Errors
    /// If the density does not answer.
    #[allow(clippy::too_many_arguments)]
    fn propose(
        &self,
        density: &dyn LogDensity,
        stride: &Stride,
        steps: &[f32],
        given: &Given,
        normals: &mut [f32],
        from: &Evaluated,
        to: &mut Evaluated,
        log_ratio: &mut [f64],
    ) -> Result<(), Failure>;

    /// The same point on the tape of `from`, and the noise at the end where it is kept; `steps` are `[batch, 1]`.
    ///
    /// # Errors
    /// As [`Proposal::propose`].
    fn on_tape(
        &self,
        density: &dyn LogDensity,
        stride: &Stride,
        steps: State,
        given: &Given,
        normals: State,
        from: State,
    ) -> Result<(State, Option<State>), Failure>;
}

/// The normals of `moves` proposals for each row, one after the other: `[moves][rows, columns]`.
fn normals(noise: &Noise, rows: usize, columns: usize, moves: usize) -> Vec<Vec<f32>> {
    let all = noise.normal(rows, columns * moves);
    if moves == 1 {
        return vec![all];
    }
    let of_move = |index: usize| {
        let row = |row: usize| &all[(row * moves + index) * columns..][..columns];
        (0..rows).flat_map(|r| row(r).iter().copied()).collect()
    };
    (0..moves).map(of_move).collect()
}
