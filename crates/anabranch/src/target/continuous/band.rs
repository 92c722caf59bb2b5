//! The grid's band reward with real coordinates (Lahlou et al. 2023), on the box `[0, 1]^d`.
//!
//! ```text
//! R = R0 + R1 prod [|x_d - 1/2| > 1/4] + R2 prod [3/10 < |x_d - 1/2| < 4/10]
//! log Z = ln(R0 + R1 / 2^d + R2 / 5^d)
//! ```
//!
//! Outside of the box it is 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::{Built, Entry, shared};
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::math::log_sum_exp;
use crate::rng::Noise;
use crate::target::recipe::{half, tenth, two};
use crate::target::{Failure, LARGEST, LEAST, Target, fill_rows, within};

/// The grid's band reward on the box in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandRecipe {
    /// The floor.
    #[serde(default = "tenth")]
    pub r0: f64,
    /// How much the corners are above it.
    #[serde(default = "half")]
    pub r1: f64,
    /// How much the modes are above the corners.
    #[serde(default = "two")]
    pub r2: f64,
}

impl Default for BandRecipe {
    fn default() -> Self {
        Self { r0: tenth(), r1: half(), r2: two() }
    }
}

impl Entry for BandRecipe {
    fn formula(&self) -> String {
        let Self { r0, r1, r2 } = self;
        format!("box band: {r0} + {r1} prod_d [outer] + {r2} prod_d [band]")
    }

    fn dimension(&self) -> Option<usize> {
        None
    }

    fn domain(&self) -> Option<Domain> {
        Some(Domain::Unit)
    }

    fn build(&self, domains: &[Domain], _: &str) -> Built {
        shared(BoxBand::new(domains.len(), [self.r0, self.r1, self.r2])?)
    }
}

/// The grid's band reward on the box.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxBand {
    dim: usize,
    rewards: [f64; 3],
}

/// The most modes that are numbered.
const NUMBERED: usize = 63;

impl BoxBand {
    /// A floor, corners above it and modes above those, on the box of `dim` coordinates.
    ///
    /// # Errors
    /// If there is no coordinate, the floor is not positive, or another one negative.
    pub fn new(dim: usize, [r0, r1, r2]: [f64; 3]) -> Result<Self, Problem> {
        within("dim", dim as f64, 1.0, 65535.0)?;
        within("r0", r0, LEAST, LARGEST)?;
        within("r1", r1, 0.0, LARGEST)?;
        within("r2", r2, 0.0, LARGEST)?;
        Ok(Self { dim, rewards: [r0, r1, r2] })
    }
}

/// The distance from the middle, twenty times: the thresholds are 5, 6 and 8.
fn distance(x: f32) -> f64 {
    (20.0 * f64::from(x) - 10.0).abs()
}

fn in_band(x: &f32) -> bool {
    distance(*x) > 6.0 && distance(*x) < 8.0
}

pub(super) fn in_box(point: &[f32]) -> bool {
    point.iter().all(|x| (0.0..=1.0).contains(x))
}

impl Target for BoxBand {
    fn log_rewards(&self, objects: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let [r0, r1, r2] = self.rewards;
        fill_rows(objects, out, |point| {
            if !in_box(point) {
                return f64::NEG_INFINITY;
            }
            let outer = point.iter().all(|x| distance(*x) > 5.0);
            let band = point.iter().all(in_band);
            (r0 + if outer { r1 } else { 0.0 } + if band { r2 } else { 0.0 }).ln()
        });
        Ok(())
    }

    fn partial(&self, states: &[f32], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.log_rewards(states, conditions, out).map(|()| true)
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        let ([r0, r1, r2], d) = (self.rewards, self.dim as f64);
        let (outer, band) = ((-d * 2f64.ln()).exp(), (-d * 5f64.ln()).exp());
        let terms = [(1.0 - outer, r0), (outer - band, r0 + r1), (band, r0 + r1 + r2)];
        Some(log_sum_exp(&terms.map(|(volume, r)| volume.ln() + beta * r.ln())))
    }

    /// Of the three layers one is chosen by its volume; within each a point is uniform.
    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let ([r0, r1, r2], d) = (self.rewards, self.dim as i32);
        let volumes = [r0, r1 * 0.5f64.powi(d), r2 * 0.2f64.powi(d)];
        let mut points = Vec::with_capacity(count * self.dim);
        for i in 0..count {
            let stream = &mut noise.stream(i);
            let layer = stream.uniform() * volumes.iter().sum::<f64>();
            for _ in 0..self.dim {
                let (u, side) = (stream.uniform(), stream.uniform());
                let away = match layer {
                    layer if layer < volumes[0] => 0.5 * u,
                    layer if layer < volumes[0] + volumes[1] => 0.25 + 0.25 * u,
                    _ => 0.3 + 0.1 * u,
                };
                points.push((if side < 0.5 { 0.5 - away } else { 0.5 + away }) as f32);
            }
        }
        Some(points)
    }

    fn is_mode(&self, object: &[f32]) -> Option<bool> {
        Some(object.iter().all(in_band))
    }

    fn modes(&self) -> Option<f64> {
        Some(2f64.powi(self.dim as i32))
    }

    fn modes_of(&self, object: &[f32], found: &mut dyn FnMut(usize)) {
        if object.len() <= NUMBERED && object.iter().all(in_band) {
            found(object.iter().enumerate().map(|(d, x)| usize::from(*x > 0.5) << d).sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_by_hand_and_by_cells() {
        let original = BoxBand::new(2, [0.1, 0.5, 2.0]).unwrap();
        assert!((original.log_z(&[]).unwrap() + 1.187_444).abs() < 5e-7);
        let points =
            [0.5, 0.5, 0.08, 0.9, 0.15, 0.85, 0.15, 0.95, 0.75, 0.1, 0.76, 0.05, -0.1, 0.5, 0.5, f32::NAN];
        let mut out = [0.0; 8];
        original.log_rewards(&points, &[], &mut out).unwrap();
        let exact = [0.1, 0.6, 2.6, 0.6, 0.1, 0.6, 0.0, 0.0];
        assert!(out.iter().zip(exact).all(|(found, exact)| (found.exp() - exact).abs() < 1e-14), "{out:?}");
        let mut modes = Vec::new();
        [[0.15f32, 0.85], [0.85, 0.85], [0.15, 0.15], [0.5, 0.15]]
            .iter()
            .for_each(|x| original.modes_of(x, &mut |mode| modes.push(mode)));
        assert_eq!(
            (modes, original.modes(), original.is_mode(&[0.5, 0.15])),
            (vec![2, 3, 0], Some(4.0), Some(false))
        );
        // The reward is constant on cells of 1/20: midpoints are exact, to rounding of the points.
        let uneven = BoxBand::new(3, [0.3, 1.7, 0.4]).unwrap();
        let points: Vec<f32> = (0..20usize.pow(3))
            .flat_map(|at| [at % 20, at / 20 % 20, at / 400].map(|i| (i as f32 + 0.5) / 20.0))
            .collect();
        let mut out = vec![0.0; 8000];
        uneven.log_rewards(&points, &[], &mut out).unwrap();
        for beta in [1.0, 0.4, 3.0] {
            let terms: Vec<f64> = out.iter().map(|value| beta * value).collect();
            let (found, exact) =
                (uneven.log_z_tempered(beta, &[]).unwrap(), log_sum_exp(&terms) - 8000f64.ln());
            assert!((found - exact).abs() < 1e-12, "{beta}: {found}, {exact}");
        }
        assert!(BoxBand::new(2, [0.0, 0.5, 2.0]).unwrap_err().to_string().starts_with("r0: found 0"));
    }
}
