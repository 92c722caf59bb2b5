//! From a recipe to a target over points: every value is checked, and the key of a wrong one is named.

use std::sync::Arc;

use super::PointTargetRecipe;
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::target::continuous::{
    BoxBand, Branin, DiagonalGaussian, FullGaussian, Funnel, Hartmann6, ManyWell, Mixture, Toy, toy,
};
use crate::target::recipe::{formula, inside, known_log_z};
use crate::target::{Preference, Target, Tempered};

type Result<T> = std::result::Result<T, Problem>;

/// The largest dimension of an energy.
const LARGEST: usize = 100_000;

/// A problem with the key `key` of the target.
fn problem<T>(key: &str, found: impl Into<String>, allowed: &str) -> Result<T> {
    Err(Problem::new(key, found).allowed(allowed))
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

fn gaussian(recipe: &PointTargetRecipe) -> Result<Arc<dyn Target>> {
    let PointTargetRecipe::Gaussian { mean, std, covariance, cholesky, log_z } = recipe else {
        unreachable!("a Gaussian")
    };
    if mean.is_empty() {
        return problem("mean", "an empty list", "at least one number");
    }
    check_finite("mean", mean.iter().map(|m| f64::from(*m)))?;
    check_finite("log_z", [f64::from(*log_z)])?;
    Ok(match (std, covariance, cholesky) {
        (Some(std), None, None) => Arc::new(diagonal_gaussian(mean, std, *log_z)?),
        (None, Some(rows), None) => Arc::new(gaussian_by_covariance(mean, rows, *log_z)?),
        (None, None, Some(rows)) => Arc::new(gaussian_by_cholesky(mean, rows, *log_z)?),
        _ => {
            let given = [std.is_some(), covariance.is_some(), cholesky.is_some()];
            let count = given.iter().filter(|given| **given).count();
            let found = format!("{count} of std, covariance and cholesky");
            return Err(Problem::new("", found).allowed("exactly one of them"));
        }
    })
}

fn shared<T: Target + 'static>(target: Result<T>) -> Result<Arc<dyn Target>> {
    target.map(|target| Arc::new(target) as Arc<dyn Target>)
}

impl PointTargetRecipe {
    /// How many coordinates its points have, where it says so.
    pub fn dimension(&self) -> Option<usize> {
        match self {
            Self::Original { .. } => None,
            Self::Gaussian { mean, .. } => Some(mean.len()),
            Self::Mixture { components, .. } if !components.is_empty() => Some(components[0].len()),
            Self::Mixture { means, .. } => Some(means.first().map_or(0, Vec::len)),
            Self::Gmm9 {} | Self::Gmm25 {} | Self::Toy { .. } | Self::Branin { .. } => Some(2),
            Self::Gmm40 { dimension } | Self::Funnel { dimension, .. } | Self::ManyWell { dimension } => {
                Some(*dimension)
            }
            Self::Hartmann6 { .. } => Some(6),
            Self::Expression { dimension, .. } => *dimension,
            Self::Process(process) => process.dimension,
            Self::Classifier(classifier) => classifier.dimension(),
            Self::Tempered { reward, .. } => reward.dimension(),
            Self::Preference { rewards, .. } => rewards.iter().find_map(Self::dimension),
        }
    }

    /// Refuses what is wrong whatever the points are. A classifier is trained when the target is [built](Self::energy), and not
    /// here.
    ///
    /// # Errors
    /// As [`PointTargetRecipe::energy`].
    pub fn check(&self, place: &str) -> Result<()> {
        match self {
            Self::Classifier(classifier) => classifier.check(),
            Self::Tempered { reward, .. } if reward.is_trained() => {
                reward.check(place).map_err(|problem| inside("reward", problem))
            }
            Self::Preference { rewards, .. } if rewards.iter().any(Self::is_trained) => {
                rewards.iter().enumerate().try_for_each(|(k, reward)| {
                    reward.check(place).map_err(|problem| inside(&format!("rewards.{k}"), problem))
                })
            }
            other => other.energy(place).map(|_| ()),
        }
    }

    /// Refuses what is made of a classifier whose data cannot be read.
    fn readable(&self) -> Result<()> {
        match self {
            Self::Classifier(classifier) => classifier.data().map(|_| ()),
            Self::Tempered { reward, .. } => reward.readable().map_err(|problem| inside("reward", problem)),
            Self::Preference { rewards, .. } => rewards.iter().enumerate().try_for_each(|(k, reward)| {
                reward.readable().map_err(|problem| inside(&format!("rewards.{k}"), problem))
            }),
            _ => Ok(()),
        }
    }

    /// Whether it is a classifier, or made of one.
    fn is_trained(&self) -> bool {
        match self {
            Self::Classifier(_) => true,
            Self::Tempered { reward, .. } => reward.is_trained(),
            Self::Preference { rewards, .. } => rewards.iter().any(Self::is_trained),
            _ => false,
        }
    }

    /// The target over real vectors, and their dimension.
    ///
    /// # Errors
    /// As [`PointTargetRecipe::build`]; if the recipe does not say the dimension.
    pub fn energy(&self, place: &str) -> Result<(Arc<dyn Target>, usize)> {
        if let Self::Classifier(classifier) = self {
            let trained = classifier.build()?;
            let dimension = trained.dimension();
            return Ok((Arc::new(trained), dimension));
        }
        self.readable()?;
        let dimension = match self {
            // Refused below, as a reward of other spaces.
            Self::Original { .. } => 1,
            _ => self.dimension().ok_or_else(|| {
                Problem::new("dimension", "none").allowed("how many coordinates x0, x1, ... a point has")
            })?,
        };
        if matches!(self, Self::Expression { .. } | Self::Process(_)) {
            check_dimension(dimension, 1)?;
        }
        // A dimension that is too large is refused where its kind is known.
        let domains = vec![Domain::Line; dimension.min(LARGEST + 1)];
        Ok((self.build(&domains, place)?, dimension))
    }

    /// The target over points whose coordinates have these domains; `place` is where the recipe names it.
    ///
    /// # Errors
    /// If a value is not allowed, or the target is not one over such points; the key is named, from within `place`.
    pub fn build(&self, domains: &[Domain], place: &str) -> Result<Arc<dyn Target>> {
        match self {
            Self::Original { r0, r1, r2 } => {
                self.over(domains, Some(Domain::Unit))?;
                shared(BoxBand::new(domains.len(), [*r0, *r1, *r2]))
            }
            Self::Branin { beta, fidelity } => {
                self.over(domains, Some(Domain::Unit))?;
                shared(Branin::new(*beta, *fidelity))
            }
            Self::Hartmann6 { beta, fidelity } => {
                self.over(domains, Some(Domain::Unit))?;
                shared(Hartmann6::new(*beta, *fidelity))
            }
            Self::Gaussian { .. } => {
                let built = gaussian(self)?;
                self.over(domains, Some(Domain::Line)).map(|()| built)
            }
            Self::Mixture { weights, means, std, components } => {
                match (components.is_empty(), means.is_empty() && std.is_empty()) {
                    (false, true) => shared(Mixture::over(domains, weights, components)),
                    (true, _) => {
                        let built = shared(mixture(weights, means, std))?;
                        self.over(domains, Some(Domain::Line)).map(|()| built)
                    }
                    (false, false) => {
                        problem("components", "both them and means or std", "components, or means and std")
                    }
                }
            }
            Self::Gmm9 {} => {
                self.over(domains, Some(Domain::Line))?;
                shared(Ok(Mixture::gmm9()))
            }
            Self::Gmm25 {} => {
                self.over(domains, Some(Domain::Line))?;
                shared(Ok(Mixture::gmm25()))
            }
            Self::Gmm40 { dimension } => {
                check_dimension(*dimension, 1)?;
                self.over(domains, Some(Domain::Line))?;
                shared(Ok(Mixture::gmm40(*dimension)))
            }
            Self::Funnel { dimension, std } => {
                check_dimension(*dimension, 2)?;
                check_std("std", [f64::from(*std)])?;
                self.over(domains, Some(Domain::Line))?;
                shared(Ok(Funnel { dimension: *dimension, std: *std }))
            }
            Self::ManyWell { dimension } => {
                if *dimension == 0 || dimension % 2 == 1 || *dimension > LARGEST {
                    let allowed = format!("an even number from 2 to {LARGEST}");
                    return problem("dimension", dimension.to_string(), &allowed);
                }
                self.over(domains, Some(Domain::Line))?;
                shared(Ok(ManyWell { dimension: *dimension }))
            }
            Self::Toy { name } => {
                let Some(toy) = Toy::named(name) else {
                    return Err(Problem::new("name", format!("\"{name}\"")).choices(&toy::NAMES));
                };
                self.over(domains, Some(Domain::Line))?;
                shared(Ok(toy))
            }
            Self::Expression { log_reward, reward, log_z, .. } => {
                self.over(domains, None)?;
                let formula = formula(log_reward.as_deref(), reward.as_deref(), domains.len())?;
                known_log_z(*log_z, formula.conditions())?;
                shared(Ok(formula.with_log_z(*log_z)))
            }
            Self::Process(process) => {
                self.over(domains, None)?;
                shared(process.build(place, None))
            }
            Self::Classifier(classifier) => {
                let trained = classifier.build()?;
                let dimension = trained.dimension();
                if dimension != domains.len() {
                    let found =
                        format!("a classifier of {dimension} columns for {} coordinates", domains.len());
                    return problem("kind", found, "one of as many columns");
                }
                shared(Ok(trained))
            }
            Self::Tempered { reward, beta } => {
                let part = reward
                    .build(domains, &format!("{place}.reward"))
                    .map_err(|problem| inside("reward", problem))?;
                shared(Tempered::new(part, (*beta).into()))
            }
            Self::Preference { rewards, combination, beta } => {
                let part = |(k, reward): (usize, &Self)| {
                    let key = format!("rewards.{k}");
                    reward.build(domains, &format!("{place}.{key}")).map_err(|problem| inside(&key, problem))
                };
                let parts = rewards.iter().enumerate().map(part).collect::<Result<_>>()?;
                shared(Preference::new(parts, *combination, (*beta).into()))
            }
        }
    }

    /// Refuses points of another number of coordinates, or whose coordinates live elsewhere.
    fn over(&self, domains: &[Domain], wanted: Option<Domain>) -> Result<()> {
        let fits = wanted.is_none_or(|wanted| domains.iter().all(|domain| *domain == wanted));
        let count = self.dimension();
        if fits && count.is_none_or(|count| count == domains.len()) {
            return Ok(());
        }
        let place = match wanted {
            Some(Domain::Unit) => "a box",
            Some(Domain::Line) => "the line",
            Some(Domain::Circle) => "a torus",
            None => "points",
        };
        let of = count.map_or_else(String::new, |count| format!(" of {count} coordinates"));
        let key = if fits && matches!(self, Self::Expression { .. } | Self::Process(_)) {
            "dimension"
        } else {
            "kind"
        };
        Err(Problem::new(key, format!("this reward for {} other coordinates", domains.len()))
            .allowed(format!("{place}{of}, or another reward")))
    }
}

#[cfg(test)]
mod tests;
