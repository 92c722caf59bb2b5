//! Simple likelihood, complex posterior: four points of a normal law whose mean and covariance five parameters set.
//!
//! ```text
//! x_1..x_4 ~ N(m, S),   m = (t_0, t_1),   S = [a^2, r a b; r a b, b^2],   a = t_2^2,  b = t_3^2,  r = tanh t_4
//! theta uniform in [-3, 3]^5
//! ```
//!
//! The signs of `t_2` and `t_3` leave no trace: the posterior has four equal modes. It is drawn from exactly. With the scatter
//! matrix `A = sum (x_i - mean x)(x_i - mean x)^T`, and `dt_2 dt_3 dt_4` written as `dS`,
//!
//! ```text
//! dt_2 dt_3 dt_4 ~ (a b)^(-3/2) / (1 - r^2) da^2 db^2 dr ~ |S|^(-5/4) (1 - r^2)^(1/4) dS
//! p(S | x) ~ |S|^(-(5/2 + 3) / 2) e^(-tr(A S^-1) / 2) (1 - r^2)^(1/4) [a, b <= 9, |r| <= tanh 3] P(m in box)
//! m | S, x ~ N(mean x, S / 4) within the box
//! ```
//!
//! an inverse Wishart law of 5/2 degrees of freedom, whose draws (by Bartlett's decomposition of the Wishart law) are accepted
//! with probability `(1 - r^2)^(1/4)`, if in range, and if a draw of `m` lies in the box. The derivation is this project's. sbibm adds
//! `10^-6` to both variances, which is left out here: it is seen where `|t_2|` or `|t_3|` is below .05 alone.

use super::{Simulator, log_uniform, uniform};
use crate::rng::{Stream, log_gamma_draw};

const BOUND: f64 = 3.0;
const POINTS: usize = 4;
/// Degrees of freedom of the inverse Wishart law.
const FREEDOM: f64 = 2.5;

/// The problem of a simple likelihood and a complex posterior.
#[derive(Debug)]
pub(super) struct Slcp;

/// Two standard deviations and a correlation as a lower triangular root of the covariance: `[l_00, l_10, l_11]`.
fn root([a, b, r]: [f64; 3]) -> [f64; 3] {
    [a, r * b, (1.0 - r * r).max(0.0).sqrt() * b]
}

fn deviations(parameters: &[f64]) -> [f64; 3] {
    [parameters[2] * parameters[2], parameters[3] * parameters[3], parameters[4].tanh()]
}

/// `N(mean, L L^T)`.
fn plane_normal(mean: [f64; 2], [l00, l10, l11]: [f64; 3], stream: &mut Stream<'_>) -> [f64; 2] {
    let (z0, z1) = (stream.normal(), stream.normal());
    [mean[0] + l00 * z0, mean[1] + l10 * z0 + l11 * z1]
}

impl Simulator for Slcp {
    fn sizes(&self) -> [usize; 2] {
        [5, 2 * POINTS]
    }

    fn prior(&self, stream: &mut Stream<'_>) -> Vec<f64> {
        uniform(5, BOUND, stream)
    }

    fn simulate(&self, parameters: &[f64], stream: &mut Stream<'_>) -> Vec<f64> {
        let root = root(deviations(parameters));
        (0..POINTS).flat_map(|_| plane_normal([parameters[0], parameters[1]], root, stream)).collect()
    }

    fn log_prior(&self, parameters: &[f64]) -> f64 {
        log_uniform(parameters, BOUND)
    }

    fn log_likelihood(&self, parameters: &[f64], observation: &[f64]) -> f64 {
        let [l00, l10, l11] = root(deviations(parameters));
        let point = |x: &[f64]| {
            let z0 = (x[0] - parameters[0]) / l00;
            let z1 = (x[1] - parameters[1] - l10 * z0) / l11;
            -0.5 * (z0 * z0 + z1 * z1) - (l00 * l11).ln() - std::f64::consts::TAU.ln()
        };
        observation.chunks_exact(2).map(point).sum()
    }

    fn posterior(&self, observation: &[f64], stream: &mut Stream<'_>) -> Option<Vec<f64>> {
        let n = POINTS as f64;
        let mean = [0, 1].map(|k| observation.iter().skip(k).step_by(2).sum::<f64>() / n);
        let scatter = |i: usize, j: usize| -> f64 {
            observation.chunks_exact(2).map(|x| (x[i] - mean[i]) * (x[j] - mean[j])).sum()
        };
        // A = C C^T.
        let c00 = scatter(0, 0).sqrt();
        let c10 = scatter(0, 1) / c00;
        let c11 = (scatter(1, 1) - c10 * c10).max(0.0).sqrt();
        // T lower triangular: T T^T ~ Wishart(I), so that C (T T^T)^-1 C^T = M M^T with M = C T^-T, upper times lower.
        let t00 = (0.5 * (2f64.ln() + log_gamma_draw(0.5 * FREEDOM, stream))).exp();
        let t11 = (0.5 * (2f64.ln() + log_gamma_draw(0.5 * (FREEDOM - 1.0), stream))).exp();
        let t10 = stream.normal();
        // T^-T = [1 / t00, -t10 / (t00 t11); 0, 1 / t11].
        let (m00, m01) = (c00 / t00, -c00 * t10 / (t00 * t11));
        let (m10, m11) = (c10 / t00, c11 / t11 - c10 * t10 / (t00 * t11));
        let (a, b) = (m00.hypot(m01), m10.hypot(m11));
        let r = (m00 * m10 + m01 * m11) / (a * b);
        let in_range = a <= BOUND * BOUND && b <= BOUND * BOUND && r.abs() <= BOUND.tanh();
        if !in_range || stream.uniform() >= (1.0 - r * r).powf(0.25) {
            return None;
        }
        let shrunk = root([a, b, r]).map(|entry| entry / n.sqrt());
        let [m0, m1] = plane_normal(mean, shrunk, stream);
        let sign = |value: f64, stream: &mut Stream<'_>| if stream.uniform() < 0.5 { value } else { -value };
        let (t2, t3) = (sign(a.sqrt(), stream), sign(b.sqrt(), stream));
        let parameters = vec![m0, m1, t2, t3, r.atanh()];
        (self.log_prior(&parameters) > f64::NEG_INFINITY).then_some(parameters)
    }
}
