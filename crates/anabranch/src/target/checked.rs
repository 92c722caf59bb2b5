//! Rewards of a batch, each a finite number.

use super::{Failure, Target};
use crate::error::Problem;

/// Writes `log R(x | c)` of each object as [`Target::log_rewards`] does, and refuses what is no number or infinite.
///
/// `describe` writes the object that a message names.
///
/// # Errors
/// As [`Target::log_rewards`]; [`Failure::Stop`] if a log-reward is NaN or infinite, or the reward depends on conditions and
/// there is not one for each object.
pub fn checked<C>(
    reward: &dyn Target<C>,
    objects: &[C],
    conditions: &[f32],
    describe: &dyn Fn(&[C]) -> String,
    out: &mut [f64],
) -> Result<(), Failure> {
    let width = reward.condition_width();
    if width > 0 && conditions.len() != width * out.len() {
        let found = format!("{} numbers for {} objects", conditions.len(), out.len());
        return Err(Problem::new("the conditions of the reward", found)
            .allowed(format!("{width} for each"))
            .into());
    }
    reward.log_rewards(objects, conditions, out)?;
    let Some(row) = out.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let cells = objects.len() / out.len();
    let place = format!("the reward of {}", describe(&objects[row * cells..][..cells]));
    let (found, allowed) = match out[row] {
        value if value.is_nan() => ("log R = NaN", "a number: the reward is not defined for this object"),
        f64::INFINITY => ("R = infinity", "a finite reward: scale it down, or give its logarithm"),
        _ => ("R = 0", "a positive reward: give the object a small one, or leave it out of the environment"),
    };
    Err(Problem::new(place, found).allowed(allowed).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Cell;

    #[derive(Debug)]
    struct Ratio;

    impl Target<Cell> for Ratio {
        fn log_rewards(&self, objects: &[u16], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
            super::super::fill_rows(objects, out, |x| f64::ln(f64::from(x[0]) / f64::from(x[1])));
            Ok(())
        }
    }

    #[test]
    fn the_object_at_fault_is_named() {
        let ask = |objects: &[u16]| {
            let mut out = vec![0.0; objects.len() / 2];
            let describe = |x: &[u16]| format!("{}/{}", x[0], x[1]);
            checked(&Ratio, objects, &[], &describe, &mut out).map(|()| out).map_err(
                |failure| match failure {
                    Failure::Stop(error) if error.is_input() => error.to_string(),
                    other => panic!("{other:?}"),
                },
            )
        };
        assert_eq!(ask(&[4, 4, 1, 2]), Ok(vec![0.0, 0.5f64.ln()]));
        assert_eq!(ask(&[]), Ok(vec![]));
        let message = |objects: &[u16]| ask(objects).unwrap_err();
        assert!(message(&[1, 1, 0, 7]).starts_with("the reward of 0/7: found R = 0; allowed: a positive"));
        assert!(message(&[1, 1, 2, 0, 0, 0]).starts_with("the reward of 2/0: found R = infinity;"));
        assert!(message(&[0, 0]).starts_with("the reward of 0/0: found log R = NaN; allowed: a number"));
    }

    #[test]
    fn a_condition_is_asked_for() {
        let reward = crate::target::Expression::log_reward("f", "c1 * x0", 1).unwrap();
        let ask =
            |conditions: &[f32]| checked(&reward, &[3, 4], conditions, &|_| String::new(), &mut [0.0; 2]);
        assert!(ask(&[0.0, 1.0, 0.0, 2.0]).is_ok());
        let Err(Failure::Stop(error)) = ask(&[]) else { panic!("conditions are missing") };
        assert_eq!(
            error.to_string(),
            "the conditions of the reward: found 0 numbers for 2 objects; allowed: 2 for each"
        );
    }
}
