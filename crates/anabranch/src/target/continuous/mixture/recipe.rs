//! Mixtures as a recipe names them: of diagonal Gaussians, or of products of laws.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mixture;
use crate::environment::continuous::Domain;
use crate::target::continuous::entry::{
    self, Built, Entry, Result, check_finite, check_std, problem, shared,
};

/// A mixture in a recipe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixtureRecipe {
    /// The weights of the components: relative to each other, and equal where none are given, beside means; beside
    /// components, their sum is Z.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f64>,
    /// One row of means per component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub means: Vec<Vec<f64>>,
    /// One row of standard deviations per component, or one row for all; a row of one number holds for every
    /// coordinate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub std: Vec<Vec<f64>>,
    /// The two parameters of each coordinate of each component: `[a, b]`, `[mean, std]` or `[mean, concentration]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Vec<[f64; 2]>>,
}

impl MixtureRecipe {
    /// Whether it is one of products of laws, which may live anywhere.
    fn of_laws(&self) -> bool {
        !self.components.is_empty()
    }
}

impl Entry for MixtureRecipe {
    fn formula(&self) -> String {
        if self.of_laws() {
            return format!("mixture: {} products of laws", self.components.len());
        }
        format!("mixture: sum_k w_k N(m_k, diag s_k^2), {} components", self.means.len())
    }

    fn dimension(&self) -> Option<usize> {
        if self.of_laws() {
            return Some(self.components[0].len());
        }
        Some(self.means.first().map_or(0, Vec::len))
    }

    fn domain(&self) -> Option<Domain> {
        (!self.of_laws()).then_some(Domain::Line)
    }

    fn check(&self) -> Result<()> {
        if !self.of_laws() {
            return mixture(&self.weights, &self.means, &self.std).map(|_| ());
        }
        if self.means.is_empty() && self.std.is_empty() {
            return Ok(());
        }
        problem("components", "both them and means or std", "components, or means and std")
    }

    fn over(&self, domains: &[Domain]) -> Result<()> {
        match self.of_laws() {
            true => Mixture::over(domains, &self.weights, &self.components).map(|_| ()),
            false => entry::fits(self, domains),
        }
    }

    fn build(&self, domains: &[Domain], _: &str) -> Built {
        match self.of_laws() {
            true => shared(Mixture::over(domains, &self.weights, &self.components)?),
            false => shared(mixture(&self.weights, &self.means, &self.std)?),
        }
    }
}

fn mixture(weights: &[f64], means: &[Vec<f64>], std: &[Vec<f64>]) -> Result<Mixture> {
    let count = means.len();
    let Some(d) = means.first().map(Vec::len).filter(|d| *d > 0) else {
        return problem("means", "no numbers", "one row of means per component");
    };
    for (index, row) in means.iter().enumerate() {
        let key = format!("means.{index}");
        if row.len() != d {
            return problem(&key, format!("{} numbers", row.len()), &format!("{d}, as in the first row"));
        }
        check_finite(&key, row.iter().copied())?;
    }
    if !weights.is_empty() && weights.len() != count {
        return problem(
            "weights",
            format!("{} weights for {count} components", weights.len()),
            "one per component, or none",
        );
    }
    if let Some(bad) = weights.iter().find(|w| !(1e-30..=1e30).contains(*w)) {
        return problem("weights", bad.to_string(), "numbers from 1e-30 to 1e30");
    }
    if std.len() != count && std.len() != 1 {
        return problem(
            "std",
            format!("{} rows for {count} components", std.len()),
            "one row per component, or one for all",
        );
    }
    for (index, row) in std.iter().enumerate() {
        let key = format!("std.{index}");
        if row.len() != d && row.len() != 1 {
            return problem(
                &key,
                format!("{} numbers for {d} coordinates", row.len()),
                "one per coordinate, or one for all",
            );
        }
        check_std(&key, row.iter().copied())?;
    }
    let weights = if weights.is_empty() { vec![1.0; count] } else { weights.to_vec() };
    let wide = |row: &Vec<f64>| if row.len() == d { row.clone() } else { vec![row[0]; d] };
    let stds: Vec<Vec<f64>> = (0..count).map(|k| wide(&std[k.min(std.len() - 1)])).collect();
    Ok(Mixture::new(&weights, means, &stds))
}
