//! Laws of conditions: preferences, temperatures, contexts.
//!
//! ```text
//! dirichlet     g_k / sum_j g_j,  g_k ~ Gamma(alpha_k)         preferences that sum to 1
//! uniform       low + (high - low) u
//! log-uniform   low (high / low)^u                             temperatures
//! fixed         these numbers
//! ```
//!
//! Gamma variates are exact, by rejection (Marsaglia and Tsang 2000), a variate with `alpha < 1` being one with `alpha + 1`
//! times `u^(1/alpha)`; their logarithms are what is kept, so that none is too small. Each row of a draw is a function of its
//! address alone.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Target, within};
use crate::data;
use crate::error::{Problem, Result, quoted};
use crate::rng::{Noise, Purpose};

/// The law of some numbers of a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ConditionLaw {
    /// Weights that sum to 1.
    Dirichlet {
        /// The concentrations: all 1 is uniform over the weights.
        alpha: Vec<f64>,
    },
    /// A number from a range, all equally likely.
    Uniform {
        /// The lower end.
        #[schemars(range(min = -1e6, max = 1e6))]
        low: f64,
        /// The upper end.
        #[schemars(range(min = -1e6, max = 1e6))]
        high: f64,
    },
    /// A positive number from a range, whose logarithms are equally likely.
    LogUniform {
        /// The lower end.
        #[schemars(range(min = 1e-6, max = 1e6))]
        low: f64,
        /// The upper end.
        #[schemars(range(min = 1e-6, max = 1e6))]
        high: f64,
    },
    /// The same numbers each time.
    Fixed {
        /// The numbers.
        values: Vec<f32>,
    },
}

/// The law of whole conditions: independent parts, one behind the other.
#[derive(Debug, Clone)]
pub struct Conditions {
    laws: Vec<ConditionLaw>,
    /// The target whose own law they are of, where it has one and no other is named.
    own: Option<Arc<dyn Target>>,
}

/// The largest number of a condition, concentration and number of concentrations.
const LARGEST: f64 = 1e6;

impl ConditionLaw {
    fn width(&self) -> usize {
        match self {
            Self::Dirichlet { alpha } => alpha.len(),
            Self::Uniform { .. } | Self::LogUniform { .. } => 1,
            Self::Fixed { values } => values.len(),
        }
    }

    fn check(&self) -> std::result::Result<(), Problem> {
        let ordered = |low: f64, high: f64| match low <= high {
            true => Ok(()),
            false => Err(Problem::new("low", low.to_string()).allowed(format!("at most high, {high}"))),
        };
        match self {
            Self::Dirichlet { alpha } => {
                within("alpha", alpha.len() as f64, 1.0, 1000.0)?;
                alpha.iter().try_for_each(|alpha| within("alpha", *alpha, 1e-3, LARGEST))
            }
            Self::Uniform { low, high } => {
                within("low", *low, -LARGEST, LARGEST)?;
                within("high", *high, -LARGEST, LARGEST)?;
                ordered(*low, *high)
            }
            Self::LogUniform { low, high } => {
                within("low", *low, 1e-6, LARGEST)?;
                within("high", *high, 1e-6, LARGEST)?;
                ordered(*low, *high)
            }
            Self::Fixed { values } => {
                values.iter().try_for_each(|value| within("values", f64::from(*value), -LARGEST, LARGEST))
            }
        }
    }

    /// Appends the numbers of a row; `first` is the number of the first of them within the condition.
    fn draw(&self, numbers: &Row, first: usize, out: &mut Vec<f32>) {
        match self {
            Self::Dirichlet { alpha } => {
                let logs: Vec<f64> =
                    alpha.iter().enumerate().map(|(k, alpha)| numbers.ln_gamma(first + k, *alpha)).collect();
                let total = crate::math::log_sum_exp(&logs);
                out.extend(logs.iter().map(|log| (log - total).exp() as f32));
            }
            Self::Uniform { low, high } => {
                let value = low + (high - low) * numbers.at(first, 0)[0];
                out.push(value as f32);
            }
            Self::LogUniform { low, high } => {
                let value = low * (high / low).powf(numbers.at(first, 0)[0]);
                out.push(value as f32);
            }
            Self::Fixed { values } => out.extend_from_slice(values),
        }
    }
}

impl Conditions {
    /// These laws, one behind the other, for a reward whose conditions have `width` numbers.
    ///
    /// # Errors
    /// If a number is not allowed, or there are not `width` of them.
    pub fn new(laws: Vec<ConditionLaw>, width: usize) -> std::result::Result<Self, Problem> {
        for (index, law) in laws.iter().enumerate() {
            law.check().map_err(|problem| {
                let place = format!("conditions.{index}.{}", problem.place());
                problem.at(place)
            })?;
        }
        let conditions = Self { laws, own: None };
        within("conditions", width as f64, 0.0, 65535.0)?;
        if conditions.width() != width {
            let found = format!("{} numbers", conditions.width());
            return Err(Problem::new("conditions", found).allowed(format!("{width}, as the reward has")));
        }
        Ok(conditions)
    }

    /// These laws for a target over real vectors; its own law, where it has one and none is named.
    ///
    /// # Errors
    /// As [`Conditions::new`].
    pub fn of(laws: Vec<ConditionLaw>, target: &Arc<dyn Target>) -> std::result::Result<Self, Problem> {
        let own = laws.is_empty() && target.draw_conditions(0, &Noise::new(0, Purpose::Condition)).is_some();
        if own {
            return Ok(Self { laws, own: Some(target.clone()) });
        }
        Self::new(laws, target.condition_width())
    }

    /// How many numbers a condition has.
    pub fn width(&self) -> usize {
        if let Some(target) = &self.own {
            return target.condition_width();
        }
        self.laws.iter().map(ConditionLaw::width).sum()
    }

    /// The condition that a user writes: its numbers with commas between them.
    ///
    /// # Errors
    /// If they are not as many finite numbers as a condition has.
    pub fn parse(&self, place: &str, text: &str) -> Result<Vec<f32>> {
        parse_condition(place, text, self.width())
    }

    /// The conditions that a file lists, `[rows, width]`.
    ///
    /// # Errors
    /// If it cannot be read, or does not have as many columns as a condition has numbers.
    pub fn read(&self, path: &Path) -> Result<Vec<f32>> {
        read_conditions(path, self.width())
    }

    /// One condition per row, `[rows, width]`.
    pub fn draw(&self, rows: usize, noise: &Noise) -> Vec<f32> {
        if let Some(target) = &self.own {
            return target.draw_conditions(rows, noise).expect("it has a law of its own");
        }
        let mut out = Vec::with_capacity(rows * self.width());
        for row in 0..rows {
            let mut first = 0;
            for law in &self.laws {
                law.draw(&Row { noise, row }, first, &mut out);
                first += law.width();
            }
        }
        out
    }
}

/// The `width` numbers of a condition that a user writes with commas between them.
///
/// # Errors
/// If they are not as many finite numbers.
pub fn parse_condition(place: &str, text: &str, width: usize) -> Result<Vec<f32>> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let fits = |numbers: &Vec<f32>| numbers.len() == width && numbers.iter().all(|x| x.is_finite());
    numbers.filter(fits).ok_or_else(|| {
        let allowed = match width {
            1 => "a finite number".to_owned(),
            _ => format!("{width} finite numbers, with commas between them"),
        };
        Problem::new(place, quoted(text)).allowed(allowed).into()
    })
}

/// The conditions of `width` numbers that a file lists, a row for each.
///
/// # Errors
/// If it cannot be read or has another number of columns.
pub fn read_conditions(path: &Path, width: usize) -> Result<Vec<f32>> {
    let table = data::read(path, &[])?;
    if table.columns != width {
        return Err(Problem::new(path.display().to_string(), format!("{} columns", table.columns))
            .allowed(format!("{width}, the numbers of a condition"))
            .into());
    }
    Ok(table.values)
}

/// The uniforms of a row.
struct Row<'a> {
    noise: &'a Noise,
    row: usize,
}

impl Row<'_> {
    /// Two uniforms on (0, 1) for attempt `attempt` at number `number`.
    fn at(&self, number: usize, attempt: u32) -> [f64; 2] {
        // Blocks are numbers and attempts together; no number ever needs so many of these.
        let words = self.noise.words(self.row, (number as u32) << 16 | attempt & 0xFFFF);
        [0, 2].map(|at| {
            let bits = u64::from(words[at + 1]) << 32 | u64::from(words[at]);
            ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        })
    }

    /// The logarithm of a gamma variate of shape `alpha` and scale 1.
    fn ln_gamma(&self, number: usize, alpha: f64) -> f64 {
        if alpha < 1.0 {
            let [u, _] = self.at(number, 0xFFFF);
            return self.ln_gamma(number, alpha + 1.0) + u.ln() / alpha;
        }
        let d = alpha - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        let mut attempt = 0;
        loop {
            let ([u, v], [w, _]) = (self.at(number, attempt), self.at(number, attempt + 1));
            attempt += 2;
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let cube = (1.0 + c * normal).powi(3);
            if cube > 0.0 && w.ln() < 0.5 * normal * normal + d - d * cube + d * cube.ln() {
                return (d * cube).ln();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise() -> Noise {
        Noise::new(11, Purpose::Choice)
    }

    /// Means and covariances of the Dirichlet law, small concentrations included.
    #[test]
    fn dirichlet_moments() {
        for alpha in [vec![1.0, 1.0, 1.0], vec![0.2, 3.0, 0.7], vec![10.0, 1.0, 2.5], vec![0.05, 0.05, 0.4]] {
            let conditions =
                Conditions::new(vec![ConditionLaw::Dirichlet { alpha: alpha.clone() }], 3).unwrap();
            let n = 40_000;
            let draws = conditions.draw(n, &noise());
            let total: f64 = alpha.iter().sum();
            for row in draws.chunks(3) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && row.iter().all(|w| *w >= 0.0));
            }
            for i in 0..3 {
                for j in 0..=i {
                    let products: Vec<f64> =
                        draws.chunks(3).map(|row| f64::from(row[i]) * f64::from(row[j])).collect();
                    let exact = alpha[i] * (alpha[j] + f64::from(u8::from(i == j))) / (total * (total + 1.0));
                    let found = crate::math::Estimate::mean(&products);
                    assert!(
                        (found.value - exact).abs() < 4.5 * found.error,
                        "{alpha:?}, {i}, {j}: {found:?}, {exact}"
                    );
                }
            }
        }
    }

    /// The law itself: the distribution function of Gamma(2) is `1 - (1 + x) e^-x`, that of Gamma(1/2) `erf(sqrt x)`.
    #[test]
    fn gamma_variates_have_their_distribution() {
        let n = 20_000;
        let distance = |alpha: f64, law: &dyn Fn(f64) -> f64| {
            let noise = noise();
            let mut draws: Vec<f64> =
                (0..n).map(|row| law(Row { noise: &noise, row }.ln_gamma(0, alpha).exp())).collect();
            draws.sort_by(f64::total_cmp);
            let gap = |(i, u): (usize, &f64)| {
                (u - i as f64 / n as f64).abs().max((u - (i + 1) as f64 / n as f64).abs())
            };
            draws.iter().enumerate().map(gap).fold(0.0, f64::max)
        };
        // erf by its series, which is enough where it matters.
        let erf = |x: f64| {
            let (mut term, mut sum) = (x, x);
            for k in 1..200 {
                term *= -x * x / f64::from(k);
                sum += term / f64::from(2 * k + 1);
            }
            if x > 5.0 { 1.0 } else { 2.0 / std::f64::consts::PI.sqrt() * sum }
        };
        // Kolmogorov's bound at one in ten thousand.
        let bound = 2.23 / (n as f64).sqrt();
        let two = distance(2.0, &|x| 1.0 - (1.0 + x) * (-x).exp());
        let half = distance(0.5, &|x| erf(x.sqrt()));
        assert!(two < bound && half < bound, "{two}, {half}, {bound}");
    }

    #[test]
    fn parts_stand_one_behind_the_other() {
        let laws = vec![
            ConditionLaw::Dirichlet { alpha: vec![1.0, 2.0] },
            ConditionLaw::Uniform { low: -1.0, high: 3.0 },
            ConditionLaw::LogUniform { low: 0.1, high: 10.0 },
            ConditionLaw::Fixed { values: vec![7.0, 8.0] },
        ];
        let conditions = Conditions::new(laws, 6).unwrap();
        let n = 10_000;
        let draws = conditions.draw(n, &noise());
        let column = |c: usize| draws.iter().skip(c).step_by(6).map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let uniform = |values: Vec<f64>| {
            assert!(values.iter().all(|u| (0.0..=1.0).contains(u)));
            let mean = crate::math::Estimate::mean(&values);
            let square = crate::math::Estimate::mean(&values.iter().map(|u| u * u).collect::<Vec<f64>>());
            (mean.value - 0.5).abs() < 4.0 * mean.error
                && (square.value - 1.0 / 3.0).abs() < 4.0 * square.error
        };
        assert!(uniform(column(0).iter().map(|w| 1.0 - (1.0 - w).powi(2)).collect()), "Beta(1, 2)");
        assert!(uniform(column(2).iter().map(|x| (x + 1.0) / 4.0).collect()));
        assert!(uniform(column(3).iter().map(|x| (x / 0.1).ln() / 100f64.ln()).collect()));
        assert!(column(4).iter().all(|x| *x == 7.0) && column(5).iter().all(|x| *x == 8.0));
        // Rows have addresses.
        assert_eq!(conditions.draw(3, &noise().from_trajectory(100)), draws[600..618]);
        assert_ne!(conditions.draw(3, &noise().step(1)), draws[..18]);
        assert!(conditions.draw(0, &noise()).is_empty());
    }

    #[test]
    fn wrong_parameters_are_named() {
        let message = |law, width| Conditions::new(vec![law], width).unwrap_err().to_string();
        let dirichlet = |alpha: &[f64]| ConditionLaw::Dirichlet { alpha: alpha.to_vec() };
        assert!(message(dirichlet(&[]), 0).starts_with("conditions.0.alpha: found 0"));
        assert!(
            message(dirichlet(&[1.0, 0.0]), 2)
                .starts_with("conditions.0.alpha: found 0; allowed: a number from 0.001")
        );
        assert_eq!(
            message(dirichlet(&[1.0]), 2),
            "conditions: found 1 numbers; allowed: 2, as the reward has"
        );
        let uniform = ConditionLaw::Uniform { low: 2.0, high: 1.0 };
        assert_eq!(message(uniform, 1), "conditions.0.low: found 2; allowed: at most high, 1");
        assert!(
            message(ConditionLaw::LogUniform { low: 0.0, high: 1.0 }, 1)
                .starts_with("conditions.0.low: found 0")
        );
        assert!(
            message(ConditionLaw::Fixed { values: vec![f32::NAN] }, 1)
                .starts_with("conditions.0.values: found NaN")
        );
    }
}
