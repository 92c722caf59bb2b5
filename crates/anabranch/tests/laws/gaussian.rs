//! Gaussian data `N(m, Q diag(std^2) Q^T)`: the exact denoiser, density and flow.
//!
//! Along each axis the flow is `z_0 - alpha_0 m = r (z_N - alpha_N m)` with
//! `r^2 = (alpha_0^2 std^2 + sigma_0^2) / (alpha_N^2 std^2 + sigma_N^2)`.

use super::instances::*;

use anabranch::model::schedule::Level;

/// Every prediction on continuous data.
pub const PARAMETRISATIONS: [Prediction; 4] =
    [Prediction::Noise, Prediction::Signal, Prediction::Velocity, Prediction::Score];

/// The exact denoiser of a Gaussian with any covariance, in every parametrisation.
#[derive(Debug, Clone)]
pub struct GaussianDenoiser {
    /// `m`.
    pub mean: Vec<f64>,
    /// The principal axes, one a column, row-major.
    pub axes: Vec<f64>,
    /// Along the axes.
    pub std: Vec<f64>,
    /// What is answered.
    pub prediction: Prediction,
}

impl GaussianDenoiser {
    /// In three dimensions, skew to all coordinates.
    pub fn skew(prediction: Prediction) -> Self {
        let ((s, c), (t, d)) = (0.5f64.sin_cos(), 1.1f64.sin_cos());
        // A turn about the first axis after one about the third.
        let axes = vec![c, -s, 0.0, d * s, d * c, -t, t * s, t * c, d];
        Self { mean: vec![0.7, -1.5, 0.2], axes, std: vec![0.4, 1.3, 0.8], prediction }
    }

    fn row(&self, values: &[f64], z: &State) -> Tensor<2> {
        matrix(values.iter().map(|v| *v as f32).collect(), self.mean.len(), &z.device())
    }

    /// The output of data with another mean: where that is 0, the map is linear.
    fn linear(&self, z: &State, factors: &Factors, mean: &[f64]) -> State {
        let ones = Tensor::<2>::ones(z.dims(), &z.device());
        let (alpha, sigma) = (factors.alpha.times(ones.clone()), factors.sigma.times(ones));
        let variances: Vec<f64> = self.std.iter().map(|s| s * s).collect();
        let total = alpha.clone().square() * self.row(&variances, z) + sigma.clone().square();
        let axes = self.row(&self.axes, z);
        let centred = z.clone() - alpha.clone() * self.row(mean, z);
        let score = -(centred.matmul(axes.clone()) / total).matmul(axes.transpose());
        let noise = -score.clone() * sigma.clone();
        let signal = (z.clone() + score.clone() * sigma.clone().square()) / alpha.clone();
        match self.prediction {
            Prediction::Noise => noise,
            Prediction::Signal => signal,
            Prediction::Velocity => alpha * noise - sigma * signal,
            Prediction::Score => score,
            Prediction::Levels(_) => unreachable!("Gaussian data have no levels"),
        }
    }

    pub fn law(&self) -> FullGaussian {
        let d = self.mean.len();
        let entry = |i: usize, j: usize| -> f64 {
            (0..d).map(|k| self.axes[i * d + k] * self.std[k].powi(2) * self.axes[j * d + k]).sum()
        };
        let covariance: Vec<f64> = (0..d * d).map(|at| entry(at / d, at % d)).collect();
        FullGaussian::from_cholesky(
            self.mean.clone(),
            anabranch::math::cholesky(&covariance, d).expect("positive definite"),
            0.0,
        )
    }

    /// The image of `from` at level `low` under the exact flow from `high` or to it, and `log |det|`.
    pub fn carried(&self, from: &[f64], low: Level, high: Level, towards_noise: bool) -> (Vec<f64>, f64) {
        let d = self.mean.len();
        let variance =
            |level: Level, k: usize| level.alpha().powi(2) * self.std[k].powi(2) + level.sigma().powi(2);
        let (a, b) = if towards_noise { (low, high) } else { (high, low) };
        let ratios: Vec<f64> = (0..d).map(|k| (variance(b, k) / variance(a, k)).sqrt()).collect();
        let along = |k: usize| -> f64 {
            (0..d).map(|i| self.axes[i * d + k] * (from[i] - a.alpha() * self.mean[i])).sum::<f64>()
                * ratios[k]
        };
        let parts: Vec<f64> = (0..d).map(along).collect();
        let to = (0..d)
            .map(|i| b.alpha() * self.mean[i] + (0..d).map(|k| self.axes[i * d + k] * parts[k]).sum::<f64>());
        (to.collect(), ratios.iter().map(|r| r.ln()).sum())
    }
}

impl Denoiser for GaussianDenoiser {
    fn dimension(&self) -> usize {
        self.mean.len()
    }

    fn output(&self, z: &State, _: Tensor<2>, factors: &Factors, given: &Given) -> State {
        let Some(shift) = given.tensor(&z.device()) else { return self.linear(z, factors, &self.mean) };
        let output = self.linear(&(z.clone() - factors.alpha.times(shift.clone())), factors, &self.mean);
        match self.prediction {
            Prediction::Signal => output + shift,
            Prediction::Velocity => output - factors.sigma.times(shift),
            _ => output,
        }
    }

    fn push_forward(
        &self,
        z: &State,
        time: Tensor<2>,
        factors: &Factors,
        given: &Given,
        tangents: &Tensor<2>,
    ) -> (State, Tensor<2>) {
        let ([rows, d], all) = (z.dims(), tangents.dims()[0]);
        let count = all / rows;
        let stacked = tangents.clone().reshape([rows, count, d]);
        let along = |k: usize| {
            let tangent = stacked.clone().slice([0..rows, k..k + 1, 0..d]).reshape([rows, d]);
            self.linear(&tangent, factors, &vec![0.0; d]).reshape([rows, 1, d])
        };
        let derivatives = Tensor::cat((0..count).map(along).collect(), 1).reshape([all, d]);
        (self.output(z, time, factors, given), derivatives)
    }

    fn boxed(&self) -> Box<dyn Denoiser> {
        Box::new(self.clone())
    }
}
