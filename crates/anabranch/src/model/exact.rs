//! Whether the density of a model's draws is known, or only bounded along its paths.

use super::Model;
use crate::array::weights::to_vec_f64;
use crate::chain::Given;
use crate::error::Failure;
use crate::rng::{Noise, Purpose};

/// Rows by which [`is_exact`] tells.
const PROBED: usize = 16;

/// How far two answers of an exact density may be apart for rounding, as a share of them.
const ROUNDING: f64 = 1e-4;

/// Whether the density of a model's draws is known: what a path back from a draw says of it is the same whatever noise it meets, as of
/// bijections and of mixtures.
///
/// # Errors
/// If a kernel fails.
pub fn is_exact(model: &Model) -> Result<bool, Failure> {
    let (model, none) = (model.frozen(), Given::nothing());
    let chain = model.chain();
    let x = chain.sample(PROBED, &none, &Noise::new(0, Purpose::Probe))?;
    let encoded = |seed: u64| -> Result<Vec<f64>, Failure> {
        Ok(to_vec_f64(chain.encode(x.clone(), &none, &Noise::new(seed, Purpose::Backward))?.log_weight))
    };
    let (first, second) = (encoded(0)?, encoded(1)?);
    Ok(first.iter().zip(second).all(|(a, b)| (a - b).abs() <= ROUNDING * (1.0 + a.abs())))
}
