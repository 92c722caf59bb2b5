//! Five arms of a pinwheel.
//!
//! ```text
//! y = A_k (1 + 0.3 n_0, 0.1 n_1)        A_k a turn by 2 pi k / 5, k uniform
//! x = 2 T(|y|) y                        T(r) a turn by 0.25 exp(min(r, 3))
//! log p(x) = log q(T(r)^{-1} x / 2) - ln 4,     r = |x| / 2,     q the mixture of the five normals
//! ```
//!
//! The turn depends on the distance from the origin alone, so it keeps that distance and all areas: the density is
//! closed. (Johnson et al. 2016 turn by the signed radial coordinate instead, which near the arms is the same.) Beyond
//! a distance of 3, which a sample passes once in 10^11, the turn no longer grows, so that no gradient explodes.

use std::f64::consts::TAU;

use crate::math::Real;
use crate::target::continuous::density::log_sum_exp_visit;

const ARMS: usize = 5;
const RADIAL: f64 = 0.3;
const TANGENTIAL: f64 = 0.1;
const RATE: f64 = 0.25;
const FARTHEST: f64 = 3.0;
const SCALE: f64 = 2.0;

fn turn<T: Real>(angle: T, y: [T; 2]) -> [T; 2] {
    let (sin, cos) = (angle.sin(), angle.cos());
    [cos * y[0] - sin * y[1], sin * y[0] + cos * y[1]]
}

fn arm_angle(arm: usize) -> f64 {
    arm as f64 * TAU / ARMS as f64
}

/// The point of arm `floor(5 u_0)` at two normals.
pub fn point(u: [f64; 3], n: [f64; 2]) -> [f64; 2] {
    let arm = ((u[0] * ARMS as f64) as usize).min(ARMS - 1);
    let along = [1.0 + RADIAL * n[0], TANGENTIAL * n[1]];
    let radius = along[0].hypot(along[1]);
    turn(arm_angle(arm) + RATE * radius.min(FARTHEST).exp(), along).map(|v| SCALE * v)
}

/// The log-density and its gradient.
pub fn log_density<T: Real>(x: [T; 2]) -> (T, [T; 2]) {
    let turned = x.map(|v| v / SCALE);
    let radius = turned[0].hypot(turned[1]);
    let near = radius.value() < FARTHEST;
    let angle = if near { radius.exp() * RATE } else { (RATE * FARTHEST.exp()).into() };
    let y = turn(-angle, turned);
    let (inverse, across) = (RADIAL.powi(-2), TANGENTIAL.powi(-2));
    let residual = |arm: usize| {
        let [along, side] = turn((-arm_angle(arm)).into(), y);
        [along - 1.0, side]
    };
    let term = |arm: usize| {
        let [along, side] = residual(arm);
        (along * inverse * along + side * across * side) * -0.5
    };
    let mut gradient = [T::from(0.0); 2];
    let log_sum = log_sum_exp_visit(ARMS, term, |arm, weight| {
        let [along, side] = residual(arm);
        let back = turn(arm_angle(arm).into(), [along * inverse, side * across]);
        gradient[0] -= weight * back[0];
        gradient[1] -= weight * back[1];
    });
    // y = T(-angle(r)) turned: the gradient in y turns forward, and the angle's growth adds a radial part.
    let torque = gradient[1] * y[0] - gradient[0] * y[1];
    let growth = if near { angle } else { 0.0.into() };
    let radial = if radius.value() > 0.0 { -torque * growth / radius } else { 0.0.into() };
    let forward = turn(angle, gradient);
    let score = [0, 1].map(|i| (forward[i] + radial * turned[i]) / SCALE);
    let constant = (ARMS as f64 * TAU * RADIAL * TANGENTIAL * SCALE * SCALE).ln();
    (log_sum - constant, score)
}
