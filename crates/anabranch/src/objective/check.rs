//! Ranges of hyper-parameters, with the key that stands in the message.

use crate::error::{Problem, Result};

/// Checks the keys below one place of a recipe, such as `objective`.
pub(super) struct Check<'a>(pub &'a str);

impl Check<'_> {
    pub fn that(&self, key: &str, value: f64, fine: bool, allowed: &str) -> Result<()> {
        if fine {
            return Ok(());
        }
        Err(Problem::new(format!("{}.{key}", self.0), value.to_string()).allowed(allowed).into())
    }

    pub fn within(&self, key: &str, value: f64, low: f64, high: f64) -> Result<()> {
        let fine = (low..=high).contains(&value);
        self.that(key, value, fine, &format!("a number from {low} to {high}"))
    }

    /// A factor of a term of a loss, or a ratio.
    pub fn weight(&self, key: &str, value: f64) -> Result<()> {
        self.within(key, value, 0.0, 1e6)
    }

    pub fn positive(&self, key: &str, value: f64, high: f64) -> Result<()> {
        let fine = value > 0.0 && value <= high;
        self.that(key, value, fine, &format!("a positive number up to {high}"))
    }
}
