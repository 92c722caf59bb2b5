//! Rewards that are products over parts: each item, bit or element brings its own factor.
//!
//! ```text
//! items       log R(x)     = sum_i n_i(x) log w_i              n_i  how many of item i the object has
//! additive    log R(x | c) = -beta sum_k c_k sum_i a_ki n_i(x)      energies a_k, preferences c_k
//! ```
//!
//! the second being the first with `log w_i = -beta sum_k c_k a_ki`. The sum over all objects is
//!
//! ```text
//! sets of any size, bits    prod_i (1 + w_i)
//! sets of m items           e_m(w), the elementary symmetric polynomial
//! multisets of m elements   h_m(w), the complete homogeneous symmetric polynomial
//! ```
//!
//! and over a range of sizes the sum of these (Macdonald 1995, chapter I.2). On the way to an object, what is there counts.

use super::{Failure, Shape, Target, fill_rows, within};
use crate::environment::Cell;
use crate::error::Problem;
use crate::math::log_sum_exp;

/// How the objects have items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counting {
    /// Bit i is item i: cells 1 and 2 are the bits 0 and 1, cell 0 is none yet.
    Bits,
    /// A cell per item, 0 or 1; sets of these sizes are objects.
    Sets(std::ops::RangeInclusive<usize>),
    /// A cell per kind, a count; multisets of these totals are objects.
    Multisets(std::ops::RangeInclusive<usize>),
}

/// The most factors that a sum over sizes is made of.
const MOST_FACTORS: usize = 1 << 27;

impl Counting {
    /// That of objects of this shape, where they have items.
    pub fn of(shape: &Shape) -> Option<Self> {
        match shape {
            Shape::Sets { sizes, .. } => Some(Self::Sets(sizes.clone())),
            Shape::Multisets { totals, .. } => Some(Self::Multisets(totals.clone())),
            _ => shape.slots(2).map(|_| Self::Bits),
        }
    }

    fn value(&self, cells: &[Cell], log_weights: impl Iterator<Item = f64>) -> f64 {
        let less = Cell::from(*self == Self::Bits);
        cells
            .iter()
            .zip(log_weights)
            .map(|(cell, weight)| f64::from(cell.saturating_sub(less)) * weight)
            .sum()
    }

    /// The logarithm of the sum over all objects.
    fn log_sum(&self, log_weights: &[f64]) -> Option<f64> {
        let independent = || log_weights.iter().map(|w| w.max(0.0) + (-w.abs()).exp().ln_1p()).sum();
        let sizes = match self {
            Self::Bits => return Some(independent()),
            Self::Sets(sizes) if *sizes == (0..=log_weights.len()) => return Some(independent()),
            Self::Sets(sizes) | Self::Multisets(sizes) => sizes.clone(),
        };
        let most = *sizes.end();
        if log_weights.len().saturating_mul(most + 1) > MOST_FACTORS {
            return None;
        }
        // By size, over the items so far.
        let mut sums = vec![f64::NEG_INFINITY; most + 1];
        sums[0] = 0.0;
        for weight in log_weights {
            let add = |size: usize, sums: &mut [f64]| {
                sums[size] = log_sum_exp(&[sums[size], sums[size - 1] + weight]);
            };
            match self {
                // Downward, so that the item is taken once; upward, so that it may be taken again.
                Self::Sets(_) => (1..=most).rev().for_each(|size| add(size, &mut sums)),
                _ => (1..=most).for_each(|size| add(size, &mut sums)),
            }
        }
        Some(log_sum_exp(&sums[sizes]))
    }
}

/// The strongest log-weight and energy.
const STRONGEST: f64 = 1e6;

/// A factor per item.
#[derive(Debug, Clone, PartialEq)]
pub struct Items {
    log_weights: Vec<f64>,
    counting: Counting,
}

impl Items {
    /// Items with these `log w_i`.
    ///
    /// # Errors
    /// If one is no number or beyond 1e6.
    pub fn new(log_weights: Vec<f64>, counting: Counting) -> Result<Self, Problem> {
        log_weights.iter().try_for_each(|weight| within("log_weights", *weight, -STRONGEST, STRONGEST))?;
        Ok(Self { log_weights, counting })
    }
}

impl Target<Cell> for Items {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        fill_rows(objects, out, |cells| self.counting.value(cells, self.log_weights.iter().copied()));
        Ok(())
    }

    fn partial(&self, states: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.log_rewards(states, conditions, out).map(|()| true)
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        let log_weights: Vec<f64> = self.log_weights.iter().map(|w| beta * w).collect();
        self.counting.log_sum(&log_weights)
    }
}

/// Several additive energies, weighed by the condition.
#[derive(Debug, Clone, PartialEq)]
pub struct AdditiveEnergies {
    /// `-beta a_ki`, an item's energies next to each other: `[items, energies]`.
    log_weights: Vec<f64>,
    energies: usize,
    counting: Counting,
}

impl AdditiveEnergies {
    /// The energies `a_k`, one row per energy and one number per item.
    ///
    /// # Errors
    /// If there is no energy, rows differ in length, or a number is none or too large.
    pub fn new(energies: &[Vec<f64>], beta: f64, counting: Counting) -> Result<Self, Problem> {
        within("beta", beta, -STRONGEST, STRONGEST)?;
        within("energies", energies.len() as f64, 1.0, 65535.0)?;
        let items = energies[0].len();
        for (k, row) in energies.iter().enumerate() {
            let key = format!("energies.{k}");
            if row.len() != items {
                let found = format!("{} numbers", row.len());
                return Err(Problem::new(key, found).allowed(format!("{items}, as in the first row")));
            }
            row.iter().try_for_each(|value| within(&key, *value, -STRONGEST, STRONGEST))?;
        }
        let log_weights = (0..items).flat_map(|i| energies.iter().map(move |row| -beta * row[i])).collect();
        Ok(Self { log_weights, energies: energies.len(), counting })
    }

    /// `log w_i` of each item at a condition.
    fn at<'a>(&'a self, condition: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let weigh = move |item: &[f64]| item.iter().zip(condition).map(|(a, c)| a * f64::from(*c)).sum();
        self.log_weights.chunks_exact(self.energies).map(weigh)
    }
}

impl Target<Cell> for AdditiveEnergies {
    fn log_rewards(&self, objects: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let cells = objects.len() / out.len().max(1);
        let rows = objects.chunks_exact(cells.max(1)).zip(conditions.chunks_exact(self.energies));
        for (out, (object, condition)) in out.iter_mut().zip(rows) {
            *out = self.counting.value(object, self.at(condition));
        }
        Ok(())
    }

    fn condition_width(&self) -> usize {
        self.energies
    }

    fn partial(&self, states: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.log_rewards(states, conditions, out).map(|()| true)
    }

    fn log_z_tempered(&self, beta: f64, condition: &[f32]) -> Option<f64> {
        let log_weights: Vec<f64> = self.at(condition).map(|weight| beta * weight).collect();
        self.counting.log_sum(&log_weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(w: &[f64]) -> Vec<f64> {
        w.iter().map(|w| w.ln()).collect()
    }

    #[test]
    fn the_subset_lattice() {
        // Sections 3 and 4 of the foundations: w = (1, 2, 3), Z = 24, e_2 = 11.
        let any = Items::new(weights(&[1.0, 2.0, 3.0]), Counting::Sets(0..=3)).unwrap();
        assert!((any.log_z(&[]).unwrap() - 24f64.ln()).abs() < 1e-14);
        // Z(beta) = prod (1 + w_i^beta).
        let exact = (2.0 * (1.0 + 2f64.powf(0.7)) * (1.0 + 3f64.powf(0.7))).ln();
        assert!((any.log_z_tempered(0.7, &[]).unwrap() - exact).abs() < 1e-14);
        let pairs = Items::new(weights(&[1.0, 2.0, 3.0]), Counting::Sets(2..=2)).unwrap();
        assert!((pairs.log_z(&[]).unwrap() - 11f64.ln()).abs() < 1e-14);
        let mut out = [0.0; 2];
        any.log_rewards(&[0, 1, 1, 0, 0, 0], &[], &mut out).unwrap();
        assert!((out[0] - 6f64.ln()).abs() < 1e-15 && out[1] == 0.0);
    }

    /// All objects with counts up to `most`, of which the sizes decide.
    fn enumerated(reward: &dyn Target<Cell>, n: usize, most: u16, sizes: &[usize], condition: &[f32]) -> f64 {
        let count = usize::from(most + 1).pow(n as u32);
        let object = |at: usize| -> Vec<Cell> {
            (0..n)
                .map(|i| (at / usize::from(most + 1).pow(i as u32) % usize::from(most + 1)) as Cell)
                .collect()
        };
        let total = |x: &[Cell]| x.iter().map(|c| usize::from(*c)).sum::<usize>();
        let values: Vec<f64> = (0..count)
            .map(object)
            .filter(|x| sizes.is_empty() || sizes.contains(&total(x)))
            .map(|x| {
                let mut out = [0.0];
                reward.log_rewards(&x, condition, &mut out).unwrap();
                out[0]
            })
            .collect();
        log_sum_exp(&values)
    }

    #[test]
    fn sums_over_sizes_are_enumerated() {
        let log_weights = weights(&[0.3, 4.0, 1e-3, 2.0, 0.9]);
        for (counting, most, sizes) in [
            (Counting::Sets(0..=5), 1, vec![]),
            (Counting::Sets(0..=3), 1, vec![0, 1, 2, 3]),
            (Counting::Sets(3..=3), 1, vec![3]),
            (Counting::Sets(5..=5), 1, vec![5]),
            (Counting::Multisets(0..=3), 3, vec![0, 1, 2, 3]),
            (Counting::Multisets(2..=3), 3, vec![2, 3]),
            (Counting::Multisets(4..=4), 4, vec![4]),
        ] {
            let reward = Items::new(log_weights.clone(), counting.clone()).unwrap();
            let (found, exact) = (reward.log_z(&[]).unwrap(), enumerated(&reward, 5, most, &sizes, &[]));
            assert!((found - exact).abs() < 1e-12, "{counting:?}: {found}, {exact}");
        }
        // Weights that no floating-point product holds.
        let far = Items::new(vec![-2000.0, 900.0, 1500.0], Counting::Sets(1..=2)).unwrap();
        assert_eq!(far.log_z(&[]), Some(2400.0));
    }

    #[test]
    fn additive_energies_have_a_closed_form_at_every_condition() {
        let energies = [vec![0.5, -1.0, 2.0, 0.1], vec![1.5, 0.3, -0.7, 0.0]];
        let bits = AdditiveEnergies::new(&energies, 1.3, Counting::Bits).unwrap();
        assert_eq!(bits.condition_width(), 2);
        for condition in [[0.25f32, 0.75], [1.0, 0.0], [3.0, 2.0]] {
            let exact: f64 = (0..4)
                .map(|i| {
                    let energy: f64 = (0..2).map(|k| f64::from(condition[k]) * energies[k][i]).sum();
                    (1.0 + (-1.3 * energy).exp()).ln()
                })
                .sum();
            assert!((bits.log_z(&condition).unwrap() - exact).abs() < 1e-13);
            let mut out = [0.0; 2];
            let conditions = [condition, condition].concat();
            bits.log_rewards(&[1, 2, 1, 2, 0, 2, 0, 0], &conditions, &mut out).unwrap();
            let energy = |i: usize| {
                f64::from(condition[0]) * energies[0][i] + f64::from(condition[1]) * energies[1][i]
            };
            assert!((out[0] + 1.3 * (energy(1) + energy(3))).abs() < 1e-14);
            assert!((out[1] + 1.3 * energy(1)).abs() < 1e-14);
            let sets = AdditiveEnergies::new(&energies, 1.3, Counting::Sets(2..=3)).unwrap();
            let exact = enumerated(&sets, 4, 1, &[2, 3], &condition);
            assert!((sets.log_z(&condition).unwrap() - exact).abs() < 1e-13);
        }
    }

    #[test]
    fn wrong_parameters_are_named() {
        let message = Items::new(vec![0.0, f64::NEG_INFINITY], Counting::Bits).unwrap_err().to_string();
        assert!(message.starts_with("log_weights: found -inf"), "{message}");
        let message = |rows: &[Vec<f64>], beta| {
            AdditiveEnergies::new(rows, beta, Counting::Bits).unwrap_err().to_string()
        };
        assert!(message(&[], 1.0).starts_with("energies: found 0"));
        assert!(
            message(&[vec![1.0], vec![]], 1.0).starts_with("energies.1: found 0 numbers; allowed: 1, as in")
        );
        assert!(message(&[vec![f64::NAN]], 1.0).starts_with("energies.0: found NaN"));
        assert!(message(&[vec![1.0]], f64::NAN).starts_with("beta: found NaN"));
    }
}
