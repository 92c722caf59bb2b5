//! Bayesian logistic regression: the posterior of the weights of a linear classifier of two classes.
//!
//! ```text
//! R(w) = prod_j N(w_j; 0, s^2) prod_i sigmoid(t_i w . x_i),     t_i = 1 for the class 1, -1 for the class 0
//! x_i  = (1, columns):   standardised    (column - mean) / std, its own over all rows, a constant one is 0
//!                        scaled          column / std
//! ```
//!
//! The intercept `w_0` has the same prior as the other weights. A flat prior is the constant 1: then Z is finite only if no
//! hyperplane parts the classes, which is not checked. Z is the evidence; it is not known in closed form.
//!
//! | source | weights | rows | columns | prior | log Z |
//! |---|---|---|---|---|---|
//! | `sonar` (Gorman and Sejnowski 1988) | 61 | 208 | standardised | N(0, 1) | -108.386(3) |
//! | `ionosphere` (Sigillito et al. 1989) | 35 | 351 | standardised | N(0, 1) | -111.61(1) |
//! | `german-credit` (Hofmann 1994) | 25 | 1000 | scaled | N(0, 10^2), or flat | -585.10(1), -504.49(1) |
//!
//! The constants are estimates by long annealing. Others take other scales, priors and labels: compare only like with like.

use std::path::Path;

use pulp::{Arch, NullaryFnOnce};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::density::log_normal;
use super::design::{Design, LANES, Lane, block, lane};
use super::entry::{Built, Entry, Result, check_std, problem, shared};
use crate::array::double::{exp, ln_1p};
use crate::data::{Column, Labelled, TWO_CLASSES, embedded_two_classes, read_labelled};
use crate::environment::continuous::Domain;
use crate::error::{Error, Problem, quoted};
use crate::math::{Estimate, Real};
use crate::papers::{GERMAN_CREDIT, IONOSPHERE, SONAR};
use crate::rng::Noise;

/// What columns are divided and shifted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Their mean becomes 0, their standard deviation 1.
    Standardised,
    /// Their standard deviation becomes 1.
    Scaled,
}

/// The posterior of a logistic regression.
#[derive(Debug, Clone)]
pub struct Logistic {
    /// `[rows, weights]`: the inputs of each row, the intercept's first, with the sign of its class.
    inputs: Vec<f64>,
    weights: usize,
    /// The same, for many points at once.
    design: Design,
    /// The prior's standard deviation; none where it is flat.
    prior: Option<f64>,
    reference: Option<Estimate>,
}

impl Logistic {
    /// Of rows of two classes, 0 and 1; with a prior of independent normals of that standard deviation, or a flat one.
    ///
    /// # Errors
    /// If there are not two classes, or no rows.
    pub fn new(data: &Labelled, scaling: Scaling, prior: Option<f64>) -> std::result::Result<Self, Problem> {
        if data.count != 2 {
            let found = format!("{} classes", data.count);
            return Err(Problem::new("label", found).allowed("two: 0 and 1"));
        }
        let (columns, rows) = (data.table.columns, data.table.rows() as f64);
        let values = || data.table.values.chunks_exact(columns.max(1));
        let moments = |column: usize| {
            let of = || values().map(move |row| f64::from(row[column]));
            let mean = of().sum::<f64>() / rows;
            let std = (of().map(|x| (x - mean).powi(2)).sum::<f64>() / rows).sqrt();
            let shift = if scaling == Scaling::Standardised { mean } else { 0.0 };
            (shift, if std > 0.0 { std } else { 1.0 })
        };
        let moments: Vec<(f64, f64)> = (0..columns).map(moments).collect();
        let mut inputs = Vec::with_capacity((columns + 1) * data.classes.len());
        for (row, class) in values().zip(&data.classes) {
            let sign = if *class == 1 { 1.0 } else { -1.0 };
            inputs.push(sign);
            let scaled = row.iter().zip(&moments).map(|(x, (shift, std))| (f64::from(*x) - shift) / std);
            inputs.extend(scaled.map(|x| sign * x));
        }
        let design = Design::new(&inputs, columns + 1);
        Ok(Self { inputs, weights: columns + 1, design, prior, reference: None })
    }

    /// The prior's `1 / s^2`.
    fn precision(&self) -> f64 {
        self.prior.map_or(0.0, |std| std.powi(-2))
    }
}

/// Of margins `m`: turns each into `sigmoid(-m)` and answers `-sum softplus(-m)` over rows, or into `sigmoid(m) sigmoid(-m)`.
struct Links<'a> {
    margins: &'a mut [Lane],
    curvature: bool,
}

impl NullaryFnOnce for Links<'_> {
    type Output = Lane;

    #[inline(always)]
    fn call(self) -> Lane {
        let mut sums = [0.0; LANES];
        for margins in self.margins {
            for (margin, sum) in margins.iter_mut().zip(&mut sums) {
                let small = exp(-margin.abs());
                let rest = (1.0 + small).recip();
                *sum += margin.min(0.0) - ln_1p(small);
                let above = if *margin < 0.0 { 1.0 } else { small };
                *margin = if self.curvature { small * rest * rest } else { above * rest };
            }
        }
        sums
    }
}

impl Density for Logistic {
    fn dimension(&self) -> usize {
        self.weights
    }

    fn at<T: Real>(&self, point: &[T], mut score: Option<&mut [T]>) -> T {
        let mut value = T::from(0.0);
        if let Some(std) = self.prior {
            value = point.iter().map(|w| log_normal(*w, std)).sum();
        }
        if let Some(score) = &mut score {
            let precision = self.precision();
            score.iter_mut().zip(point).for_each(|(to, w)| *to = *w * -precision);
        }
        for input in self.inputs.chunks_exact(self.weights) {
            let margin: T = point.iter().zip(input).map(|(w, x)| *w * *x).sum();
            value -= (-margin).softplus();
            if let Some(score) = &mut score {
                let slope = (-margin).sigmoid();
                score.iter_mut().zip(input).for_each(|(to, x)| *to += slope * *x);
            }
        }
        value
    }

    fn at_rows(&self, points: &[f32], out: &mut [f64], mut scores: Option<&mut [f64]>) {
        let d = self.weights;
        let mut weights = vec![[0.0; LANES]; d];
        let mut margins = vec![[0.0; LANES]; self.design.rows()];
        let blocks = points.chunks(LANES * d).zip(out.chunks_mut(LANES));
        for (index, (points, out)) in blocks.enumerate() {
            block(points, d, &mut weights);
            self.design.margins(&weights, &mut margins);
            let likelihood = Arch::new().dispatch(Links { margins: &mut margins, curvature: false });
            for (row, (point, out)) in points.chunks_exact(d).zip(out).enumerate() {
                let prior = |std: f64| point.iter().map(|w| log_normal(f64::from(*w), std)).sum();
                *out = likelihood[row] + self.prior.map_or(0.0, prior);
            }
            if let Some(scores) = &mut scores {
                self.design.pull(&margins, &mut weights);
                let scores = scores[index * LANES * d..].chunks_exact_mut(d);
                for (row, (point, score)) in points.chunks_exact(d).zip(scores).enumerate() {
                    let of_prior = point.iter().map(|w| -self.precision() * f64::from(*w));
                    let both = of_prior.zip(lane(&weights, row)).map(|(prior, pull)| prior + pull);
                    score.iter_mut().zip(both).for_each(|(to, value)| *to = value);
                }
            }
        }
    }

    fn hessian_times(&self, points: &[f32], directions: &[f64], out: &mut [f64]) {
        let d = self.weights;
        let mut weights = vec![[0.0; LANES]; d];
        let [mut margins, mut along] = [0; 2].map(|_| vec![[0.0; LANES]; self.design.rows()]);
        let blocks = points.chunks(LANES * d).zip(directions.chunks(LANES * d));
        for ((points, directions), out) in blocks.zip(out.chunks_mut(LANES * d)) {
            block(points, d, &mut weights);
            self.design.margins(&weights, &mut margins);
            Arch::new().dispatch(Links { margins: &mut margins, curvature: true });
            block(directions, d, &mut weights);
            self.design.margins(&weights, &mut along);
            for (margins, along) in margins.iter_mut().zip(&along) {
                margins.iter_mut().zip(along).for_each(|(slope, along)| *slope *= along);
            }
            self.design.pull(&margins, &mut weights);
            let rows = directions.chunks_exact(d).zip(out.chunks_exact_mut(d));
            for (row, (direction, out)) in rows.enumerate() {
                let both = direction.iter().zip(lane(&weights, row));
                let both = both.map(|(v, pull)| -self.precision() * v - pull);
                out.iter_mut().zip(both).for_each(|(to, value)| *to = value);
            }
        }
    }

    fn log_z_tempered(&self, _: f64) -> Option<f64> {
        None
    }

    fn reference_log_z(&self) -> Option<Estimate> {
        self.reference
    }

    fn draw(&self, _: usize, _: &Noise) -> Option<Vec<f32>> {
        None
    }
}

/// A logistic regression in a recipe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogisticRecipe {
    /// The name of data that come along: sonar, ionosphere or german-credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A file of numbers, one of whose columns holds the classes 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The column of the classes in the file: its index from 0, or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Column>,
    /// What columns are divided and shifted by; standardised where nothing is said, scaled for german-credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// The standard deviation of the prior of every weight; 1 where nothing is said, 10 for german-credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_std: Option<f64>,
    /// Whether the prior is the constant 1 instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flat: bool,
}

impl LogisticRecipe {
    fn is_german(&self) -> bool {
        self.source.as_deref() == Some("german-credit")
    }

    fn scaling(&self) -> Scaling {
        self.scaling.unwrap_or(if self.is_german() { Scaling::Scaled } else { Scaling::Standardised })
    }

    fn prior(&self) -> Option<f64> {
        let usual = if self.is_german() { 10.0 } else { 1.0 };
        (!self.flat).then(|| self.prior_std.unwrap_or(usual))
    }

    /// What others found, where this is their target.
    fn reference(&self) -> Option<Estimate> {
        let (value, error) = match (self.source.as_deref()?, self.scaling(), self.prior()) {
            ("sonar", Scaling::Standardised, Some(1.0)) => (-108.386, 0.003),
            ("ionosphere", Scaling::Standardised, Some(1.0)) => (-111.61, 0.01),
            ("german-credit", Scaling::Scaled, Some(10.0)) => (-585.097, 0.01),
            ("german-credit", Scaling::Scaled, None) => (-504.485, 0.01),
            _ => return None,
        };
        Some(Estimate { value, error })
    }

    fn data(&self) -> Result<Labelled> {
        let data = match (&self.source, &self.file, &self.label) {
            (Some(source), None, None) => embedded_two_classes(source),
            (None, Some(file), Some(label)) => {
                read_labelled(Path::new(file), label, &[], &[]).and_then(|data| data.of_all_classes(file))
            }
            _ => {
                let found = "not one of source, and file with label";
                let allowed = format!("source = one of {}, or file with label", TWO_CLASSES.join(", "));
                return Err(Problem::new("", found).allowed(allowed));
            }
        };
        data.map_err(|error| match error {
            Error::Input(problem) if ["source", "label"].contains(&problem.place()) => *problem,
            error => Problem::new("file", error.to_string()),
        })
    }
}

impl Entry for LogisticRecipe {
    fn formula(&self) -> String {
        let data = self.source.as_deref().or(self.file.as_deref()).unwrap_or_default();
        let prior = self.prior().map_or("1".to_owned(), |std| format!("N(w; 0, {std}^2 I)"));
        format!("logistic regression: {prior} prod_i sigmoid(t_i w . x_i), {data}")
    }

    fn papers(&self) -> Vec<&'static str> {
        match self.source.as_deref() {
            Some("sonar") => vec![SONAR],
            Some("ionosphere") => vec![IONOSPHERE],
            Some("german-credit") => vec![GERMAN_CREDIT],
            _ => vec![],
        }
    }

    fn dimension(&self) -> Option<usize> {
        self.data().ok().map(|data| data.table.columns + 1)
    }

    fn check(&self) -> Result<()> {
        if let (Some(source), None, None) = (&self.source, &self.file, &self.label)
            && !TWO_CLASSES.contains(&source.as_str())
        {
            return Err(Problem::new("source", quoted(source)).choices(&TWO_CLASSES));
        }
        if self.flat && self.prior_std.is_some() {
            return problem("flat", "both it and prior_std", "one of them");
        }
        check_std("prior_std", self.prior_std)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        let built = Logistic::new(&self.data()?, self.scaling(), self.prior())?;
        shared(Logistic { reference: self.reference(), ..built })
    }

    fn readable(&self) -> Result<()> {
        self.data().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Dual;

    /// As numpy computes it, with the columns in f64.
    #[test]
    fn the_posteriors_by_another_program() {
        for (keys, dimension, exact, log_z) in [
            ("source = \"sonar\"", 61, -202.873_581_887_6, Some(-108.386)),
            ("source = \"ionosphere\"", 35, -272.555_439_059_1, Some(-111.61)),
            ("source = \"german-credit\"", 25, -718.026_277_721_7, Some(-585.097)),
            ("source = \"german-credit\"\nflat = true", 25, -637.487_559_523_0, Some(-504.485)),
            ("source = \"sonar\"\nprior_std = 2", 61, f64::NAN, None),
        ] {
            let recipe: LogisticRecipe = toml::from_str(keys).unwrap();
            let built = recipe.build(&[], "").unwrap();
            let point: Vec<f32> = (1..=dimension).map(|i| (0.1 * f64::from(i).sin()) as f32).collect();
            let mut out = [0.0];
            built.log_rewards(&point, &[], &mut out).unwrap();
            assert_eq!(recipe.dimension(), Some(point.len()));
            assert!(exact.is_nan() || (out[0] - exact).abs() < 1e-5, "{keys}: {}, {exact}", out[0]);
            assert_eq!(built.reference_log_z().map(|found| found.value), log_z, "{keys}");
        }
    }

    /// Blocks of points agree with the formula: values, scores, and Hessians times directions by dual numbers.
    #[test]
    fn blocks_agree_with_the_formula() {
        for keys in ["source = \"sonar\"", "source = \"german-credit\"\nflat = true"] {
            let recipe: LogisticRecipe = toml::from_str(keys).unwrap();
            let target = Logistic::new(&recipe.data().unwrap(), recipe.scaling(), recipe.prior()).unwrap();
            let (d, rows) = (target.weights, 21);
            let of = |seed: u32| Noise::new(seed.into(), crate::rng::Purpose::Target).normal(rows, d);
            let points: Vec<f32> = of(1).into_iter().enumerate().map(|(i, x)| x * (i % 40) as f32).collect();
            let directions: Vec<f64> = of(2).into_iter().map(f64::from).collect();
            let (mut values, mut scores) = (vec![0.0; rows], vec![0.0; rows * d]);
            let mut products = scores.clone();
            target.at_rows(&points, &mut values, Some(&mut scores));
            target.hessian_times(&points, &directions, &mut products);
            for row in 0..rows {
                let of_row = row * d..(row + 1) * d;
                let point = points[of_row.clone()].iter().zip(&directions[of_row.clone()]);
                let point: Vec<Dual> =
                    point.map(|(x, v)| Dual { value: f64::from(*x), slopes: [*v] }).collect();
                let mut score = point.clone();
                let value = target.at(&point, Some(&mut score)).value;
                assert!((values[row] - value).abs() < 1e-12 * value.abs(), "{}, {value}", values[row]);
                for (at, exact) in of_row.zip(score) {
                    let close = |found: f64, exact: f64| (found - exact).abs() < 1e-11 * exact.abs().max(1.0);
                    assert!(close(scores[at], exact.value), "{}, {exact:?}", scores[at]);
                    assert!(close(products[at], exact.slopes[0]), "{}, {exact:?}", products[at]);
                }
            }
        }
    }

    #[test]
    fn wrong_keys_are_named() {
        let message = |keys: &str| {
            let recipe: LogisticRecipe = toml::from_str(keys).unwrap();
            recipe.check().and_then(|()| recipe.readable()).unwrap_err().to_string()
        };
        assert!(message("").starts_with(": found not one of source, and file with label"));
        assert!(message("source = \"sonars\"").contains("did you mean \"sonar\"?"));
        assert!(message("source = \"sonar\"\nflat = true\nprior_std = 1").starts_with("flat: found both"));
        assert!(message("source = \"sonar\"\nprior_std = 0").starts_with("prior_std: found 0"));
    }
}
