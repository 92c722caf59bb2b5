//! Energies as a recipe names them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DiagonalGaussian, Energy, FullGaussian, Funnel, ManyWell, Toy, gaussians::Mixture, toy};
use crate::error::{Problem, Result};

/// An energy in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EnergyRecipe {
    /// A Gaussian, its spread given in one of three ways.
    Gaussian {
        /// The means.
        mean: Vec<f32>,
        /// The standard deviations of independent coordinates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        std: Option<Vec<f32>>,
        /// The rows of the covariance matrix.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        covariance: Option<Vec<Vec<f64>>>,
        /// The rows of the covariance's lower Cholesky factor, zeros above the diagonal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cholesky: Option<Vec<Vec<f64>>>,
        /// The logarithm of the normalising constant.
        #[serde(default)]
        log_z: f32,
    },
    /// A mixture of diagonal Gaussians.
    Mixture {
        /// Weights relative to each other; equal where none are given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weights: Vec<f64>,
        /// One row of means per component.
        means: Vec<Vec<f64>>,
        /// One row of standard deviations per component, or one row for all; a row of one number holds for every
        /// coordinate.
        std: Vec<Vec<f64>>,
    },
    /// Nine modes in the plane on the grid {-5, 0, 5}^2, covariance 0.3 I.
    Gmm9 {},
    /// Twenty-five modes in the plane on the grid {-10, -5, 0, 5, 10}^2, covariance 0.3 I.
    Gmm25 {},
    /// Forty modes at random, but fixed, places of [-40, 40]^dimension, standard deviation ln(1 + e).
    Gmm40 {
        /// The dimension.
        #[serde(default = "two")]
        dimension: usize,
    },
    /// Neal's funnel.
    Funnel {
        /// The dimension.
        dimension: usize,
        /// The standard deviation of the first coordinate.
        std: f32,
    },
    /// Independent double wells; dimension 2 is the double well.
    ManyWell {
        /// The dimension, twice the number of pairs.
        dimension: usize,
    },
    /// A toy density in the plane.
    Toy {
        /// The density's name.
        name: String,
    },
}

fn two() -> usize {
    2
}

/// The largest dimension of an energy.
const LARGEST: usize = 100_000;

/// A problem with the key `key` of the energy.
fn problem<T>(key: &str, found: impl Into<String>, allowed: &str) -> Result<T> {
    Err(Problem::new(format!("target.energy.{key}"), found).allowed(allowed).into())
}

/// Refuses deviations whose squares or inverses would leave the range of f32.
fn check_std(key: &str, values: impl IntoIterator<Item = f64>) -> Result<()> {
    match values.into_iter().find(|s| !(1e-12..=1e12).contains(s)) {
        Some(bad) => problem(key, bad.to_string(), "numbers from 1e-12 to 1e12"),
        None => Ok(()),
    }
}

fn check_finite(key: &str, values: impl IntoIterator<Item = f64>) -> Result<()> {
    match values.into_iter().find(|v| !(-1e12..=1e12).contains(v)) {
        Some(bad) => problem(key, bad.to_string(), "numbers from -1e12 to 1e12"),
        None => Ok(()),
    }
}

fn check_dimension(dimension: usize, least: usize) -> Result<()> {
    if (least..=LARGEST).contains(&dimension) {
        return Ok(());
    }
    problem("dimension", dimension.to_string(), &format!("an integer from {least} to {LARGEST}"))
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

impl EnergyRecipe {
    /// Checks the values.
    ///
    /// # Errors
    /// If one is not allowed.
    pub fn check(&self) -> Result<()> {
        self.build().map(|_| ())
    }

    /// The energy.
    ///
    /// # Errors
    /// If a value is not allowed.
    pub fn build(&self) -> Result<Box<dyn Energy>> {
        Ok(match self {
            Self::Gaussian { mean, std, covariance, cholesky, log_z } => {
                if mean.is_empty() {
                    return problem("mean", "an empty list", "at least one number");
                }
                check_finite("mean", mean.iter().map(|m| f64::from(*m)))?;
                check_finite("log_z", [f64::from(*log_z)])?;
                match (std, covariance, cholesky) {
                    (Some(std), None, None) => Box::new(diagonal_gaussian(mean, std, *log_z)?),
                    (None, Some(rows), None) => Box::new(gaussian_by_covariance(mean, rows, *log_z)?),
                    (None, None, Some(rows)) => Box::new(gaussian_by_cholesky(mean, rows, *log_z)?),
                    _ => {
                        let given = [std.is_some(), covariance.is_some(), cholesky.is_some()];
                        let count = given.iter().filter(|given| **given).count();
                        let found = format!("{count} of std, covariance and cholesky");
                        return Err(Problem::new("target.energy", found)
                            .allowed("exactly one of them")
                            .into());
                    }
                }
            }
            Self::Mixture { weights, means, std } => Box::new(mixture(weights, means, std)?),
            Self::Gmm9 {} => Box::new(Mixture::gmm9()),
            Self::Gmm25 {} => Box::new(Mixture::gmm25()),
            Self::Gmm40 { dimension } => {
                check_dimension(*dimension, 1)?;
                Box::new(Mixture::gmm40(*dimension))
            }
            Self::Funnel { dimension, std } => {
                check_dimension(*dimension, 2)?;
                check_std("std", [f64::from(*std)])?;
                Box::new(Funnel { dimension: *dimension, std: *std })
            }
            Self::ManyWell { dimension } => {
                if *dimension == 0 || dimension % 2 == 1 || *dimension > LARGEST {
                    let allowed = format!("an even number from 2 to {LARGEST}");
                    return problem("dimension", dimension.to_string(), &allowed);
                }
                Box::new(ManyWell { dimension: *dimension })
            }
            Self::Toy { name } => match Toy::named(name) {
                Some(toy) => Box::new(toy),
                None => {
                    let found = Problem::new("target.energy.name", format!("\"{name}\""));
                    return Err(found.choices(&toy::NAMES).into());
                }
            },
        })
    }

    /// Its name and formula in one line.
    pub fn formula(&self) -> String {
        match self {
            Self::Gaussian { std: Some(_), .. } => "gaussian: e^{log_z} N(mean, diag std^2)".to_owned(),
            Self::Gaussian { .. } => "gaussian: e^{log_z} N(mean, covariance)".to_owned(),
            Self::Mixture { means, .. } => {
                format!("mixture: sum_k w_k N(m_k, diag s_k^2), {} components", means.len())
            }
            Self::Gmm9 {} => "gmm9: 9 equal N(m, 0.3 I), m in {-5, 0, 5}^2".to_owned(),
            Self::Gmm25 {} => "gmm25: 25 equal N(m, 0.3 I), m in {-10, -5, 0, 5, 10}^2".to_owned(),
            Self::Gmm40 { dimension } => {
                format!("gmm40: 40 equal N(m, ln(1 + e)^2 I), m in [-40, 40]^{dimension}")
            }
            Self::Funnel { std, .. } => {
                format!("funnel: N(x_0; 0, {std}^2) prod_i N(x_i; 0, e^{{x_0}})")
            }
            Self::ManyWell { dimension: 2 } => "double well: -d^4 + 6 d^2 + d / 2 - v^2 / 2".to_owned(),
            Self::ManyWell { dimension } => {
                format!("many-well: {} pairs of -d^4 + 6 d^2 + d / 2 - v^2 / 2", dimension / 2)
            }
            Self::Toy { name } => format!("toy density: {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn energy(text: &str) -> EnergyRecipe {
        toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn good_values_build_what_they_say() {
        for (text, dimension, log_z) in [
            ("kind = \"gaussian\"\nmean = [0.5, 1]\nstd = [1, 2]\nlog_z = 1.5", 2, 1.5),
            ("kind = \"gaussian\"\nmean = [0.5, 1]\ncovariance = [[1, 0.5], [0.5, 2]]\nlog_z = -2", 2, -2.0),
            ("kind = \"gaussian\"\nmean = [3]\ncholesky = [[2]]", 1, 0.0),
            ("kind = \"mixture\"\nmeans = [[0, 1, 2], [3, 4, 5]]\nstd = [[0.5]]", 3, 0.0),
            ("kind = \"mixture\"\nweights = [1, 3]\nmeans = [[0], [3]]\nstd = [[0.5], [1]]", 1, 0.0),
            ("kind = \"gmm9\"", 2, 0.0),
            ("kind = \"gmm25\"", 2, 0.0),
            ("kind = \"gmm40\"", 2, 0.0),
            ("kind = \"gmm40\"\ndimension = 50", 50, 0.0),
            ("kind = \"funnel\"\ndimension = 10\nstd = 3", 10, 0.0),
            ("kind = \"many-well\"\ndimension = 2", 2, 10.293_479_7),
            ("kind = \"toy\"\nname = \"moons\"", 2, 0.0),
        ] {
            let recipe = energy(text);
            let built = recipe.build().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(built.dimension(), dimension, "{text}");
            assert!((built.log_z().unwrap() - log_z).abs() < 1e-6, "{text}");
            let again = toml::to_string(&recipe).unwrap();
            assert_eq!(energy(&again), recipe, "{again}");
            assert!(!recipe.formula().is_empty());
        }
    }

    /// A covariance and its own factor are the same target, and so is one given by deviations.
    #[test]
    fn spreads_agree() {
        use crate::array::weights::{matrix, to_vec};
        let by = |spread: &str| {
            let built = energy(&format!("kind = \"gaussian\"\nmean = [1, -1]\n{spread}")).build().unwrap();
            let x = matrix(vec![0.3, 0.4, -1.0, 2.0], 2, &burn::tensor::Device::flex());
            to_vec(built.log_density(&x))
        };
        let close = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(by("covariance = [[4, 2], [2, 2]]"), by("cholesky = [[2, 0], [1, 1]]")));
        assert!(close(by("covariance = [[4, 0], [0, 9]]"), by("std = [2, 3]")));
        assert!(!close(by("covariance = [[4, 2], [2, 2]]"), by("covariance = [[4, -2], [-2, 2]]")));
    }

    #[test]
    fn bad_values_say_what_is_allowed() {
        let gaussian = "kind = \"gaussian\"\nmean = [0, 1]\n";
        let mixture = "kind = \"mixture\"\n";
        for (text, message) in [
            (gaussian.to_owned(), ": found 0 of std, covariance and cholesky; allowed: exactly one of them"),
            (
                format!("{gaussian}std = [1, 1]\ncovariance = [[1, 0], [0, 1]]"),
                ": found 2 of std, covariance and cholesky; allowed: exactly one of them",
            ),
            (
                "kind = \"gaussian\"\nmean = []\nstd = []".to_owned(),
                ".mean: found an empty list; allowed: at least one number",
            ),
            (
                "kind = \"gaussian\"\nmean = [nan]\nstd = [1]".to_owned(),
                ".mean: found NaN; allowed: numbers from -1e12 to 1e12",
            ),
            (format!("{gaussian}std = [1]"), ".std: found 1 values for 2 means; allowed: one per mean"),
            (format!("{gaussian}std = [1, 0]"), ".std: found 0; allowed: numbers from 1e-12 to 1e12"),
            (
                format!("{gaussian}std = [1, 1]\nlog_z = inf"),
                ".log_z: found inf; allowed: numbers from -1e12 to 1e12",
            ),
            (
                format!("{gaussian}covariance = [[1, 0]]"),
                ".covariance: found 1 rows for 2 means; allowed: one row per mean",
            ),
            (
                format!("{gaussian}covariance = [[1, 0], [0]]"),
                ".covariance.1: found 1 numbers for 2 means; allowed: one number per mean",
            ),
            (
                format!("{gaussian}covariance = [[1, nan], [0, 1]]"),
                ".covariance.0: found NaN; allowed: numbers from -1e12 to 1e12",
            ),
            (
                format!("{gaussian}covariance = [[1, 0.5], [0.4, 1]]"),
                ".covariance: found 0.4 in row 1, column 0 and 0.5 across; allowed: a symmetric matrix",
            ),
            (
                format!("{gaussian}covariance = [[1, 2], [2, 1]]"),
                ".covariance: found a matrix whose leading 2 x 2 block is not positive definite; allowed: a positive definite matrix",
            ),
            (
                format!("{gaussian}cholesky = [[1, 0.5], [0, 1]]"),
                ".cholesky.0: found 0.5 in column 1; allowed: a lower triangular matrix: zeros right of the diagonal",
            ),
            (
                format!("{gaussian}cholesky = [[1, 0], [0, -1]]"),
                ".cholesky: found -1; allowed: numbers from 1e-12 to 1e12",
            ),
            (
                format!("{mixture}means = []\nstd = []"),
                ".means: found no numbers; allowed: one row of means per component",
            ),
            (
                format!("{mixture}means = [[]]\nstd = [[1]]"),
                ".means: found no numbers; allowed: one row of means per component",
            ),
            (
                format!("{mixture}means = [[0, 1], [2]]\nstd = [[1]]"),
                ".means.1: found 1 numbers; allowed: 2, as in the first row",
            ),
            (
                format!("{mixture}means = [[inf]]\nstd = [[1]]"),
                ".means.0: found inf; allowed: numbers from -1e12 to 1e12",
            ),
            (
                format!("{mixture}means = [[0], [1]]\nstd = [[1]]\nweights = [1]"),
                ".weights: found 1 weights for 2 components; allowed: one per component, or none",
            ),
            (
                format!("{mixture}means = [[0]]\nstd = [[1]]\nweights = [-1]"),
                ".weights: found -1; allowed: numbers from 1e-30 to 1e30",
            ),
            (
                format!("{mixture}means = [[0], [1], [2]]\nstd = [[1], [2]]"),
                ".std: found 2 rows for 3 components; allowed: one row per component, or one for all",
            ),
            (
                format!("{mixture}means = [[0, 1, 2]]\nstd = [[1, 2]]"),
                ".std.0: found 2 numbers for 3 coordinates; allowed: one per coordinate, or one for all",
            ),
            (
                format!("{mixture}means = [[0], [1]]\nstd = [[1], [-2]]"),
                ".std.1: found -2; allowed: numbers from 1e-12 to 1e12",
            ),
            (
                "kind = \"gmm40\"\ndimension = 0".to_owned(),
                ".dimension: found 0; allowed: an integer from 1 to 100000",
            ),
            (
                "kind = \"funnel\"\ndimension = 1\nstd = 3".to_owned(),
                ".dimension: found 1; allowed: an integer from 2 to 100000",
            ),
            (
                "kind = \"funnel\"\ndimension = 3\nstd = -1".to_owned(),
                ".std: found -1; allowed: numbers from 1e-12 to 1e12",
            ),
            (
                "kind = \"many-well\"\ndimension = 3".to_owned(),
                ".dimension: found 3; allowed: an even number from 2 to 100000",
            ),
            (
                "kind = \"many-well\"\ndimension = 0".to_owned(),
                ".dimension: found 0; allowed: an even number from 2 to 100000",
            ),
            (
                "kind = \"many-well\"\ndimension = 1000000000000".to_owned(),
                ".dimension: found 1000000000000; allowed: an even number from 2 to 100000",
            ),
            (
                "kind = \"toy\"\nname = \"moon\"".to_owned(),
                ".name: found \"moon\"; allowed: eight-gaussians, checkerboard, spirals, moons, rings, pinwheel, swiss-roll; did you mean \"moons\"?",
            ),
        ] {
            let error = energy(&text).check().unwrap_err();
            assert!(error.is_input());
            assert_eq!(error.to_string(), format!("target.energy{message}"), "{text}");
        }
    }
}
