//! The law that a path of densities begins at: a Gaussian with independent coordinates.
//!
//! ```text
//! x_0 = m + s z,  z ~ N(0, I)       log q(x) = sum_i [-(x_i - m_i)^2 / (2 s_i^2) - log s_i - log(2 pi) / 2]
//! ```

use burn::tensor::Tensor;
use pulp::NullaryFnOnce;

use crate::array::weights::{Weights, layout, sum_rows, to_vec};
use crate::chain::{Given, LogWeight, State, double};
use crate::kernel::bijection::Bijection;

/// A Gaussian base with its mean and scale, learned or not.
#[derive(Debug, Clone)]
pub struct Base {
    weights: Weights,
    learned: bool,
}

impl Base {
    /// `N(mean, std^2 I)` in `dimension` dimensions, to begin with where it is learned.
    pub fn new(name: impl Into<String>, dimension: usize, mean: f32, std: f32, learned: bool) -> Self {
        let slots = layout([("mean", vec![dimension]), ("log_std", vec![dimension])]);
        let values = [vec![mean; dimension], vec![std.ln(); dimension]].concat();
        Self { weights: Weights::new(name, slots, values), learned }
    }

    /// How many coordinates there are.
    pub fn dimension(&self) -> usize {
        self.weights.len() / 2
    }

    /// Mean and log-standard-deviation, `[1, dimension]` each.
    pub(super) fn parts(&self) -> [Tensor<2>; 2] {
        ["mean", "log_std"].map(|name| match self.weights.matrix(name) {
            part if self.learned => part,
            part => part.detach(),
        })
    }

    /// Whether gradients reach it.
    pub(super) fn is_tracked(&self) -> bool {
        self.learned && self.weights.is_tracked()
    }

    /// It as plain numbers, to be asked about many points.
    pub(super) fn numbers(&self) -> Numbers {
        let values = to_vec(self.weights.tensor());
        let (mean, log_std) = values.split_at(self.dimension());
        let constant = log_std.iter().map(|l| f64::from(*l)).sum::<f64>();
        let constant = constant + 0.5 * mean.len() as f64 * std::f64::consts::TAU.ln();
        let precision = log_std.iter().map(|l| (-2.0 * f64::from(*l)).exp()).collect();
        Numbers { mean: mean.iter().map(|m| f64::from(*m)).collect(), precision, constant }
    }

    /// `log q`, `[batch]`, nats, f64, and the score, `[batch, dimension]`, as operations of burn.
    pub fn with_score(&self, x: &State) -> (LogWeight, State) {
        let [mean, log_std] = self.parts();
        let centred = (x.clone() - mean) * (-log_std.clone()).exp();
        let score = -centred.clone() * (-log_std.clone()).exp();
        let constant = 0.5 * self.dimension() as f64 * std::f64::consts::TAU.ln();
        let log_density = double(sum_rows(centred.square() * -0.5)) - double(sum_rows(log_std));
        (log_density - constant, score)
    }
}

/// A base as plain numbers.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    mean: Vec<f64>,
    precision: Vec<f64>,
    constant: f64,
}

/// Coordinates that are taken at a time.
const LANES: usize = 8;

impl Numbers {
    /// Tells `log q` of each row, nats.
    pub(super) fn log_densities(&self, points: &[f32], tell: impl FnMut(usize, f64)) {
        pulp::Arch::new().dispatch(Rows { base: self, points, scores: None, shares: [1.0, 0.0], tell });
    }

    /// [`Numbers::log_densities`], with [`Numbers::mix`] of the rows' scores.
    pub(super) fn mix_rows(
        &self,
        points: &[f32],
        scores: &mut [f64],
        shares: [f64; 2],
        tell: impl FnMut(usize, f64),
    ) {
        pulp::Arch::new().dispatch(Rows { base: self, points, scores: Some(scores), shares, tell });
    }

    /// `log q(x)`, nats.
    pub(super) fn log_density(&self, x: &[f32]) -> f64 {
        self.mix(x, &mut vec![0.0; x.len()], [1.0, 0.0])
    }

    /// Replaces `out`, the Hessian of a target times `directions`, by that of a product: `a H_q v + b H v`.
    pub(super) fn mix_curvature(&self, directions: &[f64], out: &mut [f64], [of_base, of_target]: [f64; 2]) {
        let precisions = self.precision.iter().cycle();
        for ((out, along), precision) in out.iter_mut().zip(directions).zip(precisions) {
            *out = of_target * *out - of_base * precision * along;
        }
    }

    /// `log q(x)`, nats; replaces each score `s` by `a q' + b s` with the score `q'` of the base and the shares `[a, b]`.
    #[inline(always)]
    pub(super) fn mix(&self, x: &[f32], scores: &mut [f64], [of_base, of_target]: [f64; 2]) -> f64 {
        let mut sums = [0.0; LANES];
        let term = |sum: &mut f64, x: f32, mean: f64, precision: f64, score: &mut f64| {
            let centred = mean - f64::from(x);
            let own = centred * precision;
            *sum += centred * own;
            *score = of_base * own + of_target * *score;
        };
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (means, mean_rest) = self.mean.as_chunks::<LANES>();
        let (precisions, precision_rest) = self.precision.as_chunks::<LANES>();
        let (all, rest) = scores.as_chunks_mut::<LANES>();
        for (((x, mean), precision), scores) in xs.iter().zip(means).zip(precisions).zip(all) {
            for lane in 0..LANES {
                term(&mut sums[lane], x[lane], mean[lane], precision[lane], &mut scores[lane]);
            }
        }
        for (((x, mean), precision), score) in x_rest.iter().zip(mean_rest).zip(precision_rest).zip(rest) {
            term(&mut sums[0], *x, *mean, *precision, score);
        }
        -0.5 * sums.iter().sum::<f64>() - self.constant
    }
}

/// Rows that are taken with the instructions of the machine at hand.
struct Rows<'a, F> {
    base: &'a Numbers,
    points: &'a [f32],
    scores: Option<&'a mut [f64]>,
    shares: [f64; 2],
    tell: F,
}

impl<F: FnMut(usize, f64)> NullaryFnOnce for Rows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { base, points, scores, shares, mut tell } = self;
        let rows = points.chunks_exact(base.mean.len()).enumerate();
        match scores {
            Some(scores) => {
                for ((row, x), scores) in rows.zip(scores.chunks_exact_mut(base.mean.len())) {
                    tell(row, base.mix(x, scores, shares));
                }
            }
            None => {
                let mut unused = vec![0.0; base.mean.len()];
                rows.for_each(|(row, x)| tell(row, base.mix(x, &mut unused, shares)));
            }
        }
    }
}

impl Bijection for Base {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        let [mean, log_std] = self.parts();
        let log_det = sum_rows(log_std.clone()).expand([z.dims()[0]]);
        (z * log_std.exp() + mean, log_det)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        let [mean, log_std] = self.parts();
        let log_det = sum_rows(-log_std.clone()).expand([x.dims()[0]]);
        ((x - mean) * (-log_std).exp(), log_det)
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![&self.weights]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![&mut self.weights]
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
