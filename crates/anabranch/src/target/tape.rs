//! Targets on the tape of a chain.
//!
//! ```text
//! f(x) = f(stop(x)) + (x - stop(x)) . grad f(stop(x))
//! ```
//!
//! has the value and the first derivative of `f = log R`, and costs the tape one product per coordinate, whatever `f` costs.

use burn::tensor::{DType, Tensor, TensorData};

use super::{Failure, Target};
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
    let [rows, columns] = x.dims();
    let points = to_vec(x.clone());
    let conditions = given.each(rows);
    let mut values = vec![0.0; rows];
    let mut scores = vec![0.0; if x.is_tracked() { rows * columns } else { 0 }];
    if x.is_tracked() {
        target.log_rewards_with_scores(&points, &conditions, &mut values, &mut scores)?;
    } else {
        target.log_rewards(&points, &conditions, &mut values)?;
    }
    check(target, &points, &values, &scores)?;
    let (device, data) = (x.device(), TensorData::new(values, [rows]));
    let values = Tensor::<1>::from_data(data, (&device, DType::F64));
    if scores.is_empty() {
        return Ok(values);
    }
    let scores = matrix(scores.into_iter().map(|score| score as f32).collect(), columns, &device);
    let zero = x.clone() - x.clone().detach();
    Ok(values + double((zero * scores).sum_dim(1).squeeze_dim(1)))
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
}
