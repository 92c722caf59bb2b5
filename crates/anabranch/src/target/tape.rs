//! Targets on the tape of a chain.
//!
//! ```text
//! f(x) = f(stop(x)) + (x - stop(x)) . grad f(stop(x))
//! ```
//!
//! has the value and the first derivative of `f = log R`, and costs the tape one product per coordinate, whatever `f` costs. The score
//! `s = grad f` is one step of the tape, whose way back is a product with the Hessian: `g -> H(x) g`, as `H` is symmetric.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{Failure, Target, no_curvature};
use crate::array::bridge::{Fused, Saved, fused_of_one};
use crate::array::weights::{matrix, to_vec};
use crate::chain::{Given, LogWeight, State, double};
use crate::error::Problem;

/// The most coordinates of a point that a message names.
const NAMED: usize = 8;

/// `log R(x)` of each row of `x` under the condition that is given, `[batch]`, nats, f64; where `x` is on a tape, differentiable (once) in `x`.
///
/// # Errors
/// As [`Target::log_rewards`]. [`Failure::Stop`] if `x` is on a tape and the target has no scores; if at a finite point `log R` or
/// its gradient is NaN, R is infinite, or on a tape R is 0, which has no gradient, although the target calls itself
/// [positive](Target::positive_everywhere).
pub fn log_density(target: &dyn Target, x: &State, given: &Given) -> Result<LogWeight, Failure> {
    let at = Evaluated::of(target, x, given, x.is_tracked())?;
    Ok(at.on_tape(x))
}

/// `log R(x)` of each row of `x` under the condition that is given, `[batch]`, nats, f64, and its gradient by `x`,
/// `[batch, dimension]`; where `x` is on a tape, both differentiable (once) in `x`, elsewhere constants. A gradient through the score
/// is NaN if the target fails on the way back.
///
/// # Errors
/// As [`log_density`]; [`Failure::Stop`] if the target has no scores, or `x` is on a tape and they have no
/// [derivative](Target::has_curvature).
pub fn score(target: &Arc<dyn Target>, x: &State, given: &Given) -> Result<(LogWeight, State), Failure> {
    if x.is_tracked() && !target.has_curvature() {
        return Err(no_curvature());
    }
    let at = Evaluated::of(target.as_ref(), x, given, true)?;
    let log_density = at.on_tape(x);
    let Evaluated { conditions, scores, .. } = at;
    let op = ScoreOp { target: target.clone(), conditions, scores, columns: x.dims()[1] };
    Ok((log_density, fused_of_one(Arc::new(op), x.clone())))
}

/// A target at the rows of a tensor.
struct Evaluated {
    /// `[batch, width]`.
    conditions: Vec<f32>,
    values: Vec<f64>,
    /// `[batch, dimension]`; none where they were not wanted.
    scores: Vec<f32>,
}

impl Evaluated {
    fn of(target: &dyn Target, x: &State, given: &Given, scored: bool) -> Result<Self, Failure> {
        let [rows, columns] = x.dims();
        let points = to_vec(x.clone());
        let conditions = given.each(rows);
        let mut values = vec![0.0; rows];
        let mut scores = vec![0.0; if scored { rows * columns } else { 0 }];
        if scored {
            target.log_rewards_with_scores(&points, &conditions, &mut values, &mut scores)?;
        } else {
            target.log_rewards(&points, &conditions, &mut values)?;
        }
        check(target, &points, &values, &scores)?;
        let scores = scores.into_iter().map(|score| score as f32).collect();
        Ok(Self { conditions: conditions.into_owned(), values, scores })
    }

    /// The values, and on a tape their derivatives.
    fn on_tape(&self, x: &State) -> LogWeight {
        let device: Device = x.device();
        let data = TensorData::new(self.values.clone(), [self.values.len()]);
        let values = Tensor::<1>::from_data(data, (&device, DType::F64));
        if !x.is_tracked() {
            return values;
        }
        let scores = matrix(self.scores.clone(), x.dims()[1], &device);
        let zero = x.clone() - x.clone().detach();
        values + double((zero * scores).sum_dim(1).squeeze_dim(1))
    }
}

/// The score as a step of the tape, evaluated before.
#[derive(Debug)]
struct ScoreOp {
    target: Arc<dyn Target>,
    conditions: Vec<f32>,
    scores: Vec<f32>,
    columns: usize,
}

impl Fused for ScoreOp {
    fn shape(&self, [x, _, _]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.columns, self.columns]
    }

    fn forward(&self, _: [&[f32]; 3]) -> Vec<f32> {
        self.scores.clone()
    }

    fn forward_saving(&self, _: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.scores.clone(), Arc::new(()))
    }

    fn backward(
        &self,
        [x, _, _]: [&[f32]; 3],
        _: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let through = || {
            let directions: Vec<f64> = grad.iter().map(|g| f64::from(*g)).collect();
            let mut out = vec![0.0; x.len()];
            match self.target.score_derivatives(x, &self.conditions, &directions, &mut out) {
                Ok(()) => out.into_iter().map(|slope| slope as f32).collect(),
                Err(_) => vec![f32::NAN; x.len()],
            }
        };
        [wanted[0].then(through), None, None]
    }
}

/// Refuses what no objective can use, of points that are numbers: others are the chain's doing, which its own loss tells.
fn check(target: &dyn Target, points: &[f32], values: &[f64], scores: &[f64]) -> Result<(), Failure> {
    let columns = points.len() / values.len().max(1);
    let positive = target.positive_everywhere() && !scores.is_empty();
    for (row, value) in values.iter().enumerate() {
        let place = row * columns..(row + 1) * columns;
        let (point, score) = (&points[place.clone()], scores.get(place).unwrap_or_default());
        let (what, found, allowed) = match *value {
            value if value.is_nan() => ("log R", "NaN", "a number"),
            f64::INFINITY => ("R", "infinity", "a finite density: give its logarithm"),
            f64::NEG_INFINITY if positive => {
                ("R", "0", "a positive density: give its logarithm, finite everywhere")
            }
            f64::NEG_INFINITY => continue,
            _ if score.iter().all(|slope| (*slope as f32).is_finite()) => continue,
            _ => ("the gradient of log R", "no number", "a density that is smooth there"),
        };
        if point.iter().all(|x| x.is_finite()) {
            let mut names: Vec<String> = point.iter().take(NAMED).map(f32::to_string).collect();
            names.extend((point.len() > NAMED).then(|| "...".to_owned()));
            let place = format!("the target at ({})", names.join(", "));
            return Err(Problem::new(place, format!("{what} = {found}")).allowed(allowed).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::target::Expression;

    fn on_tape(formula: &str, points: &[f32], tape: bool) -> Result<(Vec<f64>, Vec<f32>), String> {
        let target = Expression::log_reward("log_reward", formula, 2).unwrap();
        let device = if tape { Device::flex().autodiff() } else { Device::flex() };
        let x = matrix(points.to_vec(), 2, &device);
        let x = if tape { x.require_grad() } else { x };
        let found = log_density(&target, &x, &Given::nothing()).map_err(|failure| match failure {
            Failure::Stop(error) if error.is_input() => error.to_string(),
            other => panic!("{other:?}"),
        })?;
        let values = crate::array::weights::to_vec_f64(found.clone());
        let gradient = tape.then(|| to_vec(x.grad(&found.sum().backward()).expect("x takes part")));
        Ok((values, gradient.unwrap_or_default()))
    }

    #[test]
    fn values_and_gradients_reach_the_tape() {
        let (points, formula) = ([0.5, -1.0, 2.0, 3.0], "-x0^2 * x1 + exp(x1)");
        let (values, gradient) = on_tape(formula, &points, true).unwrap();
        let exact = |x: f64, y: f64| (-x * x * y + y.exp(), [-2.0 * x * y, -x * x + y.exp()]);
        for (i, point) in points.chunks(2).enumerate() {
            let (value, slopes) = exact(f64::from(point[0]), f64::from(point[1]));
            assert!((values[i] - value).abs() < 1e-12);
            assert!(
                (0..2).all(|k| (f64::from(gradient[2 * i + k]) - slopes[k]).abs() < 1e-5),
                "{gradient:?}"
            );
        }
        assert_eq!(on_tape(formula, &points, false).unwrap(), (values, vec![]));
    }

    #[test]
    fn the_point_at_fault_is_named() {
        let message = |formula, points: [f32; 2]| on_tape(formula, &points, true).unwrap_err();
        assert_eq!(
            message("ln(x0)", [-1.5, 2.0]),
            "the target at (-1.5, 2): found log R = NaN; allowed: a number"
        );
        assert!(message("ln(x0)", [0.0, 2.0]).contains("found R = 0; allowed: a positive density"));
        assert!(message("1 / x0", [0.0, 2.0]).contains("found R = infinity"));
        assert!(message("sqrt(x0)", [0.0, 2.0]).contains("found the gradient of log R = no number"));
        // A point that is no number is no fault of the target's.
        assert!(on_tape("ln(x0)", &[f32::NAN, 2.0], true).unwrap().0[0].is_nan());
    }

    #[test]
    fn scores_without_a_derivative_are_constants() {
        let data = crate::data::embedded_labelled("digits").expect("it comes along");
        let settings =
            crate::target::RowClassifierSettings { class: 0, width: 1, beta: 1.0, least: 0.5, seed: 0 };
        let target: Arc<dyn Target> =
            Arc::new(crate::target::RowClassifier::train(&data, &settings).expect("good settings"));
        let x = matrix(vec![0.5; 128], 64, &Device::flex().autodiff());
        let (_, constant) = score(&target, &x, &Given::nothing()).expect("a constant");
        assert_eq!(constant.dims(), [2, 64]);
        let Err(Failure::Stop(error)) = score(&target, &x.require_grad(), &Given::nothing()) else {
            panic!()
        };
        assert_eq!(
            error.to_string(),
            "the target: found one whose score has no derivative; allowed: one with second derivatives, or an objective that \
             needs no derivative of the score"
        );
    }
}
