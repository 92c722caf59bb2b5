//! A reward from a table of scores: an ensemble of networks predicts the score of every object, and how sure it is.
//!
//! ```text
//! y ~ N(m(x), s(x)^2 + noise^2)                         of one measurement
//! R(x) = r(x)^exponent,     r = exp(a(x)), or a(x) itself where a is the expected improvement, at least `least`
//!
//! a(x)    the acquisition, of scores less their mean over their standard deviation; turned over where small scores are good
//! ```
//!
//! Objects that are measured several times count with their mean; their spread is the noise. A fifth of the objects is held out from an
//! ensemble that says how good the fit is ([`HeldOutFit`]); the one that predicts is fitted to all of them. All is a function of the seed.

mod acquisition;
mod ensemble;
mod inputs;
mod recipe;
mod scores;

pub use acquisition::Acquisition;
pub use recipe::{Direction, RegressorRecipe};
pub use scores::{Missing, ScoreTable};

use super::{Failure, Space, Target, within};
use crate::environment::Cell;
use crate::error::Problem;
use crate::math::correlation::spearman;
use crate::rng::{Noise, Purpose};
use ensemble::{Ensemble, Example};
use inputs::Inputs;

/// The fewest different objects that a regressor is fitted to.
const FEWEST: usize = 10;

/// How a regressor is fitted and read.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressorSettings {
    /// What is made of predictions.
    pub acquisition: Acquisition,
    /// Whether large or small scores are good.
    pub direction: Direction,
    /// The power that `r` is raised to.
    pub exponent: f64,
    /// Smaller expected improvements, in standard deviations of the scores, are raised to this one.
    pub least: f64,
    /// How many networks there are.
    pub members: usize,
    /// The widths of the hidden layers of each.
    pub hidden: Vec<usize>,
    /// Of the held-out rows, the bootstraps and the first weights.
    pub seed: u64,
}

impl RegressorSettings {
    fn check(&self) -> Result<(), Problem> {
        self.acquisition.check()?;
        within("exponent", self.exponent, 1e-6, 1e6)?;
        within("least", self.least, 1e-300, 1.0)?;
        within("members", self.members as f64, 2.0, 100.0)?;
        within("hidden", self.hidden.len() as f64, 1.0, 8.0)?;
        self.hidden.iter().try_for_each(|width| within("hidden", *width as f64, 1.0, 4096.0))
    }
}

/// How well an ensemble that did not see them predicts held-out scores.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOutFit {
    /// How many there are.
    pub rows: usize,
    /// The share of their variance that predictions explain.
    pub r2: f64,
    /// The root of the mean squared error, in units of the scores.
    pub rmse: f64,
    /// The correlation of ranks, where predictions differ.
    pub spearman: Option<f64>,
    /// The share within one predicted standard deviation, noise included: 0.683 where it is right.
    pub within_sd: f64,
    /// Mean over them of `-log N(y; m, s^2 + noise^2)`, in units of the scores. Nats.
    pub nll: f64,
}

/// What is predicted of an object, in units of the scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of what is not known; that of noise is not part of it.
    pub sd: f64,
    /// The acquisition: higher is better, whatever the direction.
    pub acquisition: f64,
}

/// A reward by an ensemble of regressors.
#[derive(Debug)]
pub struct Regressor {
    ensemble: Ensemble,
    table: ScoreTable,
    scaling: Scaling,
    /// The best standardised score.
    best: f64,
    settings: RegressorSettings,
    fit: HeldOutFit,
}

/// Scores to mean 0 and standard deviation 1, large ones being good.
#[derive(Debug, Clone, Copy)]
struct Scaling {
    mean: f64,
    /// Negative where small scores are good.
    sd: f64,
}

impl Scaling {
    fn of(scores: &[f64], direction: Direction) -> Self {
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let sd = (scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / n).sqrt();
        Self { mean, sd: if direction == Direction::Minimise { -sd } else { sd } }
    }

    fn standard(self, score: f64) -> f64 {
        (score - self.mean) / self.sd
    }
}

impl Regressor {
    /// Fitted to a table of the objects of a space.
    ///
    /// # Errors
    /// If a number is not allowed (its key is named), or the table, called `place`, has fewer than 10 objects or one score for all.
    pub fn fit(
        place: &str,
        table: ScoreTable,
        settings: &RegressorSettings,
        space: &Space<'_>,
    ) -> Result<Self, Problem> {
        settings.check()?;
        if table.len() < FEWEST {
            let found = match table.len() {
                1 => "one object with a score".to_owned(),
                count => format!("{count} objects with scores"),
            };
            return Err(Problem::new(place, found).allowed(format!("at least {FEWEST} different ones")));
        }
        let scaling = Scaling::of(&table.scores, settings.direction);
        let largest = table.scores.iter().fold(0.0, |most: f64, score| most.max(score.abs()));
        if !scaling.sd.is_finite() {
            return Err(Problem::new(place, format!("scores up to {largest:e}"))
                .allowed("scores whose squares are finite"));
        }
        if scaling.sd.abs() <= 1e-12 * largest {
            let found = format!("the score {} for every object", table.scores[0]);
            return Err(Problem::new(place, found).allowed("scores that differ"));
        }
        let noise = table.noise.unwrap_or(0.0) / scaling.sd.powi(2);
        let examples: Vec<Example> = (0..table.len())
            .map(|place| Example {
                object: table.object(place).into(),
                score: scaling.standard(table.scores[place]),
                count: table.counts[place],
            })
            .collect();
        let inputs = Inputs::new(&table.objects, &space.shape);
        let order = Noise::new(settings.seed, Purpose::Data).permutation(examples.len());
        let shuffled: Vec<&Example> = order.iter().map(|place| &examples[*place]).collect();
        let fitted = |examples: &[&Example]| {
            Ensemble::fit(examples, &inputs, &settings.hidden, settings.members, noise, settings.seed)
        };
        let (held_out, rest) = shuffled.split_at((examples.len() / 5).max(2));
        let fit = held_out_fit(&fitted(rest), held_out, noise, scaling.sd.abs());
        let best = examples.iter().map(|example| example.score).fold(f64::NEG_INFINITY, f64::max);
        let ensemble = fitted(&shuffled);
        Ok(Self { ensemble, table, scaling, best, settings: settings.clone(), fit })
    }

    /// The scores that it was fitted to.
    pub fn table(&self) -> &ScoreTable {
        &self.table
    }

    /// How well it predicts.
    pub fn held_out(&self) -> &HeldOutFit {
        &self.fit
    }

    /// Whether large or small scores are good.
    pub fn direction(&self) -> Direction {
        self.settings.direction
    }

    /// What is predicted of each of `objects`, `[count, cells]`.
    pub fn predict(&self, objects: &[Cell]) -> Vec<Prediction> {
        let Scaling { mean: centre, sd: unit } = self.scaling;
        let value = |mean, sd| self.settings.acquisition.value(mean, sd, self.best);
        // An improvement is a difference of scores; the others are scores themselves.
        let in_units = |a: f64| match self.settings.acquisition {
            Acquisition::ExpectedImprovement {} => a * unit.abs(),
            _ => a * unit.abs() + centre * unit.signum(),
        };
        let predicted = self.ensemble.predict(objects, self.table.cells).into_iter();
        predicted
            .map(|(mean, sd)| Prediction {
                mean: centre + unit * mean,
                sd: unit.abs() * sd,
                acquisition: in_units(value(mean, sd)),
            })
            .collect()
    }
}

/// The fit of an ensemble to examples that it has not seen; `unit` is the standard deviation of the scores.
fn held_out_fit(ensemble: &Ensemble, examples: &[&Example], noise: f64, unit: f64) -> HeldOutFit {
    let objects: Vec<Cell> = examples.iter().flat_map(|example| example.object.iter().copied()).collect();
    let predicted = ensemble.predict(&objects, examples[0].object.len());
    let n = examples.len() as f64;
    let mean = examples.iter().map(|example| example.score).sum::<f64>() / n;
    let (mut squares, mut total, mut within, mut nll) = (0.0, 0.0, 0.0, 0.0);
    for (example, (m, s)) in examples.iter().zip(&predicted) {
        let error = (example.score - m).powi(2);
        // A network that answers alike everywhere is sure of nothing, and not infinitely wrong.
        let variance = (s * s + noise / example.count as f64).max(1e-12);
        squares += error;
        total += (example.score - mean).powi(2);
        within += f64::from(u8::from(error <= variance));
        nll += 0.5 * (error / variance + (std::f64::consts::TAU * variance * unit * unit).ln());
    }
    let scores: Vec<f64> = examples.iter().map(|example| example.score).collect();
    let means: Vec<f64> = predicted.iter().map(|(mean, _)| *mean).collect();
    HeldOutFit {
        rows: examples.len(),
        r2: 1.0 - squares / total.max(f64::MIN_POSITIVE),
        rmse: (squares / n).sqrt() * unit,
        spearman: spearman(&means, &scores),
        within_sd: within / n,
        nll: nll / n,
    }
}

impl Target<Cell> for Regressor {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let RegressorSettings { acquisition, exponent, least, .. } = &self.settings;
        let floor = match acquisition {
            Acquisition::ExpectedImprovement {} => least.ln(),
            _ => f64::NEG_INFINITY,
        };
        let predicted = self.ensemble.predict(objects, self.table.cells);
        for (out, (mean, sd)) in out.iter_mut().zip(predicted) {
            *out = exponent * acquisition.log_value(mean, sd, self.best).max(floor);
        }
        Ok(())
    }

    fn regressor<'a>(&'a self) -> Option<&'a Regressor>
    where
        Cell: 'a,
    {
        Some(self)
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let HeldOutFit { r2, rmse, spearman, within_sd, nll, .. } = self.fit;
        let mut found = vec![
            ("regressor_r2", r2),
            ("regressor_rmse", rmse),
            ("regressor_within_sd", within_sd),
            ("regressor_nll", nll),
            ("scored_objects", self.table.len() as f64),
        ];
        found.extend(spearman.map(|spearman| ("regressor_spearman", spearman)));
        found.extend(self.table.noise.map(|noise| ("score_noise", noise.sqrt())));
        found
    }
}

#[cfg(test)]
mod tests;
