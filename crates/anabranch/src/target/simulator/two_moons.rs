//! Two moons: a half circle of noise, moved by parameters through a map that folds.
//!
//! ```text
//! p = (r cos a + 1/4, r sin a),   a uniform in [-pi/2, pi/2],   r ~ N(0.1, 0.01^2)
//! x = p + (-|t_0 + t_1|, -t_0 + t_1) / sqrt(2)
//! log p(x | theta) = log N(r; 0.1, 0.01^2) - log(pi r)  where p_0 >= 1/4,   r = |p - (1/4, 0)|
//! ```
//!
//! Given `x`, a draw of `p` and a sign, both as likely, give `z_0 = +-(p_0 - x_0)` and `z_1 = x_1 - p_1`, of which `theta` is a
//! rotation, under a prior that is flat: what lies within its box, and has `p_0 >= x_0`, is a draw of the posterior. (sbibm's
//! likelihood lacks the factor `1 / (pi r)` of polar coordinates, its simulator and its reference draws have it.)

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::{Simulator, log_uniform, uniform};
use crate::rng::Stream;

const BOUND: f64 = 1.0;
const OFFSET: f64 = 0.25;
const RADIUS: f64 = 0.1;
const SPREAD: f64 = 0.01;

/// The problem of two moons.
#[derive(Debug)]
pub(super) struct TwoMoons;

/// A point of the half circle.
fn noise(stream: &mut Stream<'_>) -> [f64; 2] {
    let angle = PI * (stream.uniform() - 0.5);
    let radius = RADIUS + SPREAD * stream.normal();
    [radius * angle.cos() + OFFSET, radius * angle.sin()]
}

/// `theta` turned by an eighth: `((t_0 + t_1), (t_1 - t_0)) / sqrt(2)`.
fn turned(parameters: &[f64]) -> [f64; 2] {
    [parameters[0] + parameters[1], parameters[1] - parameters[0]].map(|value| value * FRAC_1_SQRT_2)
}

impl Simulator for TwoMoons {
    fn sizes(&self) -> [usize; 2] {
        [2, 2]
    }

    fn prior(&self, stream: &mut Stream<'_>) -> Vec<f64> {
        uniform(2, BOUND, stream)
    }

    fn simulate(&self, parameters: &[f64], stream: &mut Stream<'_>) -> Vec<f64> {
        let ([p0, p1], [z0, z1]) = (noise(stream), turned(parameters));
        vec![p0 - z0.abs(), p1 + z1]
    }

    fn log_prior(&self, parameters: &[f64]) -> f64 {
        log_uniform(parameters, BOUND)
    }

    fn log_likelihood(&self, parameters: &[f64], observation: &[f64]) -> f64 {
        let [z0, z1] = turned(parameters);
        let (u, v) = (observation[0] + z0.abs() - OFFSET, observation[1] - z1);
        if u < 0.0 {
            return f64::NEG_INFINITY;
        }
        let radius = u.hypot(v);
        let standard = (radius - RADIUS) / SPREAD;
        -0.5 * (standard * standard + (2.0 * PI * SPREAD * SPREAD).ln()) - (PI * radius).ln()
    }

    fn posterior(&self, observation: &[f64], stream: &mut Stream<'_>) -> Option<Vec<f64>> {
        let [p0, p1] = noise(stream);
        let (size, z1) = (p0 - observation[0], observation[1] - p1);
        let z0 = if stream.uniform() < 0.5 { size } else { -size };
        let parameters = [z0 - z1, z0 + z1].map(|value| value * FRAC_1_SQRT_2);
        let inside = size >= 0.0 && self.log_prior(&parameters) > f64::NEG_INFINITY;
        inside.then(|| parameters.to_vec())
    }
}
