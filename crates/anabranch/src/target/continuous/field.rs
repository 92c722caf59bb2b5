//! The scalar field phi^4 on a square lattice with periodic edges.
//!
//! ```text
//! log R = -sum_i [ phi_i (4 phi_i - sum of the four neighbours of i) + m^2 phi_i^2 + lambda phi_i^4 ]
//! ```
//!
//! `side = 14`, `m^2 = -4.75`, `lambda = 5.1` as in annealed flow transport (Arbel, Matthews and Doucet 2021; Matthews et al. 2022).
//! Half of the mass is at `phi > 0`. Z is not known in closed form; that of a small lattice is an integral which the tests take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::entry::{Built, Entry, Result, check_count, check_finite, problem, shared};
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::papers::{ANNEALED_FLOW, CRAFT};
use crate::rng::Noise;

/// The field phi^4: sites row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalarField {
    /// Sites of a side.
    #[serde(default = "fourteen")]
    pub side: usize,
    /// The bare mass, squared.
    #[serde(default = "mass")]
    pub mass_squared: f64,
    /// The bare coupling.
    #[serde(default = "coupling")]
    pub coupling: f64,
}

fn fourteen() -> usize {
    14
}

fn mass() -> f64 {
    -4.75
}

fn coupling() -> f64 {
    5.1
}

impl Default for ScalarField {
    fn default() -> Self {
        Self { side: fourteen(), mass_squared: mass(), coupling: coupling() }
    }
}

impl Density for ScalarField {
    fn dimension(&self) -> usize {
        self.side * self.side
    }

    #[inline]
    fn at<T: Real>(&self, point: &[T], mut score: Option<&mut [T]>) -> T {
        let (n, mut sum) = (self.side, T::from(0.0));
        for row in 0..n {
            let (above, below) = ((row + n - 1) % n * n, (row + 1) % n * n);
            for column in 0..n {
                let (left, right) = ((column + n - 1) % n, (column + 1) % n);
                let phi = point[row * n + column];
                let near = point[row * n + left]
                    + point[row * n + right]
                    + point[above + column]
                    + point[below + column];
                let square = phi * phi;
                sum += phi * near - square * (square * self.coupling + (4.0 + self.mass_squared));
                if let Some(score) = &mut score {
                    let own = square * (4.0 * self.coupling) + 2.0 * (4.0 + self.mass_squared);
                    score[row * n + column] = near * 2.0 - phi * own;
                }
            }
        }
        sum
    }

    fn log_z_tempered(&self, _: f64) -> Option<f64> {
        None
    }

    fn draw(&self, _: usize, _: &Noise) -> Option<Vec<f32>> {
        None
    }
}

impl Entry for ScalarField {
    fn formula(&self) -> String {
        let Self { side, mass_squared, coupling } = self;
        format!("phi^4 on {side} x {side}: -sum phi (4 phi - near) - {mass_squared} phi^2 - {coupling} phi^4")
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![ANNEALED_FLOW, CRAFT]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.side.saturating_mul(self.side))
    }

    fn check(&self) -> Result<()> {
        check_count("side", self.side, 1, 316)?;
        check_finite("mass_squared", [self.mass_squared])?;
        match (1e-12..=1e12).contains(&self.coupling) {
            true => Ok(()),
            false => problem("coupling", self.coupling.to_string(), "a number from 1e-12 to 1e12"),
        }
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each edge of the torus counts `(phi_i - phi_j)^2` once.
    #[test]
    fn the_action_is_that_of_its_edges() {
        let field = ScalarField { side: 3, ..ScalarField::default() };
        let phi: Vec<f64> = (0..9).map(|i| (f64::from(i) * 1.7).sin()).collect();
        let at = |row: usize, column: usize| phi[row % 3 * 3 + column % 3];
        let mut action = 0.0;
        for (row, column) in (0..9).map(|i| (i / 3, i % 3)) {
            let here = at(row, column);
            action += (here - at(row, column + 1)).powi(2) + (here - at(row + 1, column)).powi(2);
            action += -4.75 * here.powi(2) + 5.1 * here.powi(4);
        }
        assert!((field.at(&phi, None) + action).abs() < 1e-12);
    }
}
