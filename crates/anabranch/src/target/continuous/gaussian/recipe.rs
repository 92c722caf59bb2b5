//! Gaussians as a recipe names them: the spread in one of three ways.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DiagonalGaussian, FullGaussian};
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::target::continuous::entry::{Built, Entry, Result, check_finite, check_std, problem, shared};

/// A Gaussian in a recipe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianRecipe {
    /// The means.
    pub mean: Vec<f32>,
    /// The standard deviations of independent coordinates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f32>>,
    /// The rows of the covariance matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariance: Option<Vec<Vec<f64>>>,
    /// The rows of the covariance's lower Cholesky factor, zeros above the diagonal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cholesky: Option<Vec<Vec<f64>>>,
    /// The logarithm of the normalising constant.
    #[serde(default)]
    pub log_z: f32,
}

impl Entry for GaussianRecipe {
    fn formula(&self) -> String {
        match self.std {
            Some(_) => "gaussian: e^{log_z} N(mean, diag std^2)".to_owned(),
            None => "gaussian: e^{log_z} N(mean, covariance)".to_owned(),
        }
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.mean.len())
    }

    fn check(&self) -> Result<()> {
        if self.mean.is_empty() {
            return problem("mean", "an empty list", "at least one number");
        }
        check_finite("mean", self.mean.iter().map(|m| f64::from(*m)))?;
        check_finite("log_z", [f64::from(self.log_z)])
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        let Self { mean, std, covariance, cholesky, log_z } = self;
        match (std, covariance, cholesky) {
            (Some(std), None, None) => shared(diagonal_gaussian(mean, std, *log_z)?),
            (None, Some(rows), None) => shared(gaussian_by_covariance(mean, rows, *log_z)?),
            (None, None, Some(rows)) => shared(gaussian_by_cholesky(mean, rows, *log_z)?),
            _ => {
                let given = [std.is_some(), covariance.is_some(), cholesky.is_some()];
                let count = given.iter().filter(|given| **given).count();
                let found = format!("{count} of std, covariance and cholesky");
                Err(Problem::new("", found).allowed("exactly one of them"))
            }
        }
    }
}

/// A square matrix of dimension `d`, row-major.
fn square(key: &str, rows: &[Vec<f64>], d: usize) -> Result<Vec<f64>> {
    if rows.len() != d {
        return problem(key, format!("{} rows for {d} means", rows.len()), "one row per mean");
    }
    for (index, row) in rows.iter().enumerate() {
        let key = format!("{key}.{index}");
        if row.len() != d {
            return problem(&key, format!("{} numbers for {d} means", row.len()), "one number per mean");
        }
        check_finite(&key, row.iter().copied())?;
    }
    Ok(rows.concat())
}

/// Every place below the diagonal of a square matrix.
fn below_diagonal(d: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..d).flat_map(|i| (0..i).map(move |j| (i, j)))
}

fn diagonal_gaussian(mean: &[f32], std: &[f32], log_z: f32) -> Result<DiagonalGaussian> {
    if mean.len() != std.len() {
        let found = format!("{} values for {} means", std.len(), mean.len());
        return problem("std", found, "one per mean");
    }
    check_std("std", std.iter().map(|s| f64::from(*s)))?;
    Ok(DiagonalGaussian { mean: mean.to_vec(), std: std.to_vec(), log_z })
}

fn gaussian_by_cholesky(mean: &[f32], rows: &[Vec<f64>], log_z: f32) -> Result<FullGaussian> {
    let d = mean.len();
    let matrix = square("cholesky", rows, d)?;
    if let Some((i, j)) = below_diagonal(d).find(|(i, j)| matrix[j * d + i] != 0.0) {
        return problem(
            &format!("cholesky.{j}"),
            format!("{} in column {i}", matrix[j * d + i]),
            "a lower triangular matrix: zeros right of the diagonal",
        );
    }
    check_std("cholesky", (0..d).map(|i| matrix[i * d + i]))?;
    let mean = mean.iter().map(|m| f64::from(*m)).collect();
    Ok(FullGaussian::from_cholesky(mean, matrix, f64::from(log_z)))
}

fn gaussian_by_covariance(mean: &[f32], rows: &[Vec<f64>], log_z: f32) -> Result<FullGaussian> {
    let d = mean.len();
    let matrix = square("covariance", rows, d)?;
    let unlike = |(i, j): &(usize, usize)| {
        let (below, above) = (matrix[i * d + j], matrix[j * d + i]);
        (below - above).abs() > 1e-6 * below.abs().max(above.abs())
    };
    if let Some((i, j)) = below_diagonal(d).find(unlike) {
        return problem(
            "covariance",
            format!("{} in row {i}, column {j} and {} across", matrix[i * d + j], matrix[j * d + i]),
            "a symmetric matrix",
        );
    }
    let mean = mean.iter().map(|m| f64::from(*m)).collect();
    FullGaussian::from_covariance(mean, &matrix, f64::from(log_z)).or_else(|size| {
        problem(
            "covariance",
            format!("a matrix whose leading {size} x {size} block is not positive definite"),
            "a positive definite matrix",
        )
    })
}
