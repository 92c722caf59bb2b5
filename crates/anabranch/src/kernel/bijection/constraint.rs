//! From the line onto what parameters are allowed to be, each block of coordinates onto its own set.
//!
//! ```text
//! free       x = z                                                    0
//! positive   x = e^z,  or  x = log(1 + e^z)                           z,  or  log sigmoid(z)
//! interval   x = a + (b - a) sigmoid(z)                               log(b - a) + log sigmoid(z) + log sigmoid(-z)
//! ordered    x_1 = z_1,  x_i = x_{i-1} + e^{z_i}                      sum_{i > 1} z_i
//! simplex    v_i = sigmoid(z_i - log(n + 1 - i)),  x_i = v_i r_i      sum_i log r_i + log v_i + log(1 - v_i)
//!            r_1 = 1,  r_{i+1} = r_i (1 - v_i)
//! ```
//!
//! with the log-determinant on the right. A simplex of `n + 1` shares has the first n of them as coordinates, the last being what
//! is left, so that densities are by those n; z = 0 is the point of equal shares (Stan's reference manual, "Constraint transforms").

use burn::tensor::{Tensor, activation};

use super::Bijection;
use crate::array::weights::sum_rows;
use crate::chain::{Given, LogWeight, State};

/// A set of values, and the map onto it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constraint {
    /// Any.
    Free,
    /// Above 0, by `e^z`.
    Exp,
    /// Above 0, by `log(1 + e^z)`.
    Softplus,
    /// Between two numbers.
    Interval {
        /// The lower end.
        low: f32,
        /// The upper end.
        high: f32,
    },
    /// Each above the one before.
    Ordered,
    /// Shares, the first ones of one more that add up to 1.
    Simplex,
}

/// Blocks of neighbouring coordinates, each with its constraint.
#[derive(Debug, Clone)]
pub struct Constrain {
    blocks: Vec<(Constraint, usize)>,
}

/// The smallest positive number that is mapped back: below it logarithms say nothing.
const LEAST: f32 = 1e-30;

/// `log sigmoid(z) + log sigmoid(-z) = log sigmoid'(z)`.
fn log_slope(z: Tensor<2>) -> Tensor<2> {
    activation::log_sigmoid(z.clone()) + activation::log_sigmoid(-z)
}

/// The logit of a share, kept where f32 has one.
fn logit(share: Tensor<2>) -> Tensor<2> {
    let inside = share.clamp(LEAST, 1.0 - f32::EPSILON / 2.0);
    inside.clone().log() - (-inside + 1.0).log()
}

fn column(all: &Tensor<2>, at: usize) -> Tensor<2> {
    let rows = all.dims()[0];
    all.clone().slice([0..rows, at..at + 1])
}

impl Constraint {
    /// A block of `z` with the terms of its log-determinant, `[batch, columns]`.
    fn forward(self, z: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        match self {
            Self::Free => (z.clone(), z.zeros_like()),
            Self::Exp => (z.clone().exp(), z),
            Self::Softplus => (activation::softplus(z.clone(), 1.0), activation::log_sigmoid(z)),
            Self::Interval { low, high } => {
                let width = high - low;
                (activation::sigmoid(z.clone()) * width + low, log_slope(z) + width.ln())
            }
            Self::Ordered => {
                let (mut ends, mut slopes) = (vec![column(&z, 0)], vec![column(&z, 0).zeros_like()]);
                for i in 1..z.dims()[1] {
                    ends.push(ends[i - 1].clone() + column(&z, i).exp());
                    slopes.push(column(&z, i));
                }
                (Tensor::cat(ends, 1), Tensor::cat(slopes, 1))
            }
            Self::Simplex => {
                let count = z.dims()[1];
                let mut log_rest = column(&z, 0).zeros_like();
                let (mut shares, mut slopes) = (Vec::new(), Vec::new());
                for i in 0..count {
                    let z = column(&z, i) - ((count - i) as f32).ln();
                    shares.push((log_rest.clone() + activation::log_sigmoid(z.clone())).exp());
                    slopes.push(log_rest.clone() + log_slope(z.clone()));
                    log_rest = log_rest + activation::log_sigmoid(-z);
                }
                (Tensor::cat(shares, 1), Tensor::cat(slopes, 1))
            }
        }
    }

    /// The block of `z` that is mapped to `x`.
    fn inverse(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Free => x,
            Self::Exp => x.clamp_min(LEAST).log(),
            Self::Softplus => {
                // log(e^x - 1) = x + log(1 - e^{-x}).
                let x = x.clamp_min(LEAST);
                x.clone() + crate::kernel::law::log_one_minus_exp_neg(x)
            }
            Self::Interval { low, high } => logit((x - low) / (high - low)),
            Self::Ordered => {
                let step = |i: usize| (column(&x, i) - column(&x, i - 1)).clamp_min(LEAST).log();
                let columns = x.dims()[1];
                Tensor::cat([column(&x, 0)].into_iter().chain((1..columns).map(step)).collect(), 1)
            }
            Self::Simplex => {
                let count = x.dims()[1];
                let mut rest = column(&x, 0).ones_like();
                let mut logits = Vec::new();
                for i in 0..count {
                    let share = column(&x, i);
                    let left = (rest.clone() - share.clone()).clamp_min(LEAST);
                    let odds = share.clamp_min(LEAST).log() - left.clone().log();
                    logits.push(odds + ((count - i) as f32).ln());
                    rest = left;
                }
                Tensor::cat(logits, 1)
            }
        }
    }
}

impl Constrain {
    /// Blocks of so many coordinates each, from the first coordinate on.
    ///
    /// # Panics
    /// If a block is empty, or an interval is.
    pub fn new(blocks: Vec<(Constraint, usize)>) -> Self {
        for (constraint, count) in &blocks {
            assert!(*count > 0, "a block has coordinates");
            if let Constraint::Interval { low, high } = constraint {
                assert!(low < high, "an interval has an inside");
            }
        }
        Self { blocks }
    }

    /// Maps every block, by the block and its coordinates.
    fn blocks(&self, all: &Tensor<2>) -> impl Iterator<Item = (Constraint, Tensor<2>)> {
        let rows = all.dims()[0];
        self.blocks.iter().scan(0, move |start, (constraint, count)| {
            let columns = *start..*start + count;
            *start = columns.end;
            Some((*constraint, all.clone().slice([0..rows, columns])))
        })
    }
}

impl Bijection for Constrain {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        let mapped = self.blocks(&z).map(|(constraint, z)| constraint.forward(z));
        let (x, slopes): (Vec<_>, Vec<_>) = mapped.unzip();
        (Tensor::cat(x, 1), sum_rows(Tensor::cat(slopes, 1)))
    }

    fn inverse(&self, x: State, given: &Given) -> (State, LogWeight) {
        let z = Tensor::cat(self.blocks(&x).map(|(constraint, x)| constraint.inverse(x)).collect(), 1);
        let log_det = self.forward(z.clone(), given).1;
        (z, -log_det)
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
