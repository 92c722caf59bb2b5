//! A mixture of Gaussians as guide: a kernel that forgets where it comes from.
//!
//! ```text
//! forward    x ~ q(x) = sum_k pi_k N(x; m_k, diag s_k^2)      whatever z is
//! backward   z ~ N(0, I)                                       whatever x is
//! log P_B - log P_F = log N(z; 0, I) - log q(x)
//! ```
//!
//! Behind the source N(0, I) the source's density cancels against the backward kernel's, and the path's number is `log R(x) - log q(x)`
//! with the exact density of the mixture: which component a point was drawn from plays no part in any weight.
//!
//! A draw is `x = m_k + s_k eps` with k drawn. Gradients through the states are those of places and widths at the drawn k, and
//! unbiased for both; the shares pi have none, since k does not move with them. Where the shares are learned an objective at given
//! states is needed, whose gradient is that of `log q(x)`.
//!
//! Morningstar et al., "Automatic differentiation variational inference with mixtures" (2021).

use burn::tensor::{Tensor, activation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PerCoordinate;
use super::gaussian::{check_start, start_paper, ways};
use crate::array::weights::{Weights, layout, matrix, sum_rows, to_vec};
use crate::chain::{Given, LogWeight, State, Transition};
use crate::error::{Failure, Result, within};
use crate::kernel::law::{Gaussian, HALF_LOG_TAU, Law, LogStd};
use crate::kernel::pair::{Conditional, Pair};
use crate::math::{log_mean_exp_rows, log_sum_exp};
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::model::start::{Pulled, Start};
use crate::papers::MIXTURES;
use crate::rng::{Noise, Purpose};

/// A mixture of Gaussians with independent coordinates, as guide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixtureRecipe {
    /// How many components.
    #[schemars(range(min = 1, max = 100_000))]
    pub components: usize,
    /// Whether their shares are learned.
    pub shares: Shares,
    /// Round where the components begin.
    pub mean: PerCoordinate,
    /// How wide each begins.
    pub std: PerCoordinate,
    /// The standard deviation of the places where they begin.
    #[schemars(range(min = 0.0, max = 1e30))]
    pub spread: f32,
    /// Whether they begin there, or each at the end of a way of its own from there to the target.
    pub start: Start,
}

/// The shares of a mixture's components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shares {
    /// All alike.
    Equal,
    /// Learned.
    Learned,
}

impl Default for MixtureRecipe {
    fn default() -> Self {
        Self {
            components: 8,
            shares: Shares::Equal,
            mean: PerCoordinate::All(0.0),
            std: PerCoordinate::All(1.0),
            spread: 1.0,
            start: Start::Given,
        }
    }
}

/// `q(x) = sum_k pi_k N(x; m_k, diag s_k^2)`, of rows.
struct MixtureLaw {
    rows: usize,
    /// `[1, components]`.
    log_shares: Tensor<2>,
    /// `[components, dimension]`.
    means: Tensor<2>,
    /// `[components, dimension]`.
    log_stds: Tensor<2>,
}

impl Law for MixtureLaw {
    fn sample(&self, noise: &Noise) -> State {
        let [components, columns] = self.means.dims();
        let device = self.means.device();
        let shares: Vec<f64> =
            to_vec(self.log_shares.clone().detach()).into_iter().map(|log| f64::from(log).exp()).collect();
        let mut chosen = vec![0.0; self.rows * components];
        let uniform = noise.purpose(Purpose::Choice).uniform(self.rows, 1);
        for (row, u) in chosen.chunks_exact_mut(components).zip(uniform) {
            let mut left = f64::from(u) * shares.iter().sum::<f64>();
            let found = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            row[found.unwrap_or(components - 1)] = 1.0;
        }
        let chosen = matrix(chosen, components, &device);
        let eps = matrix(noise.normal(self.rows, columns), columns, &device);
        chosen.clone().matmul(self.means.clone()) + chosen.matmul(self.log_stds.clone().exp()) * eps
    }

    fn log_density(&self, value: &State) -> LogWeight {
        let [components, columns] = self.means.dims();
        let of_all = |values: Tensor<2>| values.reshape([1, components, columns]);
        let residual = (value.clone().unsqueeze_dim::<3>(1) - of_all(self.means.clone()))
            * of_all((-self.log_stds.clone()).exp());
        let squares: Tensor<2> = residual.square().sum_dim(2).squeeze_dim(2);
        let log_det = sum_rows(self.log_stds.clone()).unsqueeze_dim::<2>(0);
        let terms = squares * -0.5 - log_det + self.log_shares.clone();
        let constant = (components as f32).ln() - HALF_LOG_TAU * columns as f32;
        log_mean_exp_rows(terms) + constant
    }
}

/// The forward kernel.
#[derive(Debug, Clone)]
struct Components {
    count: usize,
    weights: Weights,
}

impl Conditional for &Components {
    fn law(&self, state: &State, _: &Given) -> Box<dyn Law + '_> {
        let learned = self.weights.slots().iter().any(|slot| slot.name == "shares");
        let logits = match learned {
            true => self.weights.matrix("shares"),
            false => Tensor::zeros([1, self.count], &self.weights.device()),
        };
        Box::new(MixtureLaw {
            rows: state.dims()[0],
            log_shares: activation::log_softmax(logits, 1),
            means: self.weights.matrix("means"),
            log_stds: self.weights.matrix("log_stds"),
        })
    }
}

/// The backward kernel: the source's law again.
struct Source;

impl Conditional for Source {
    fn law(&self, state: &State, _: &Given) -> Box<dyn Law + '_> {
        let mean = Tensor::zeros(state.dims(), &state.device());
        Box::new(Gaussian { mean, log_std: LogStd::Shared(0.0) })
    }
}

/// A mixture of Gaussians, drawn whatever comes before.
#[derive(Debug, Clone)]
pub struct Mixture {
    dimension: usize,
    components: Components,
    /// Where components begin their ways, and how wide.
    begin: [Vec<f32>; 2],
    start: Start,
}

impl Mixture {
    /// The mixture of a recipe, where it begins.
    ///
    /// # Errors
    /// If `mean` or `std` do not fit.
    pub fn new(recipe: &MixtureRecipe, around: &Surroundings<'_>) -> Result<Self> {
        let (d, count) = (around.dimension, recipe.components);
        let (mean, std) = (recipe.mean.over(around, "mean")?, recipe.std.over(around, "std")?);
        let mut parts = vec![("means", vec![count, d]), ("log_stds", vec![count, d])];
        if recipe.shares == Shares::Learned {
            parts.push(("shares", vec![count]));
        }
        let away = Noise::new(around.seed, Purpose::Weights).step(around.stream(0)).normal(count, d);
        let means = away.iter().enumerate().map(|(at, z)| mean[at % d] + recipe.spread * z);
        let log_stds = (0..count * d).map(|at| std[at % d].ln());
        let shares = (0..if recipe.shares == Shares::Learned { count } else { 0 }).map(|_| 0.0);
        let values = means.chain(log_stds).chain(shares).collect();
        let weights = Weights::new(around.name("components"), layout(parts), values);
        let begin = [mean, vec![recipe.spread; d]];
        Ok(Self { dimension: d, components: Components { count, weights }, begin, start: recipe.start })
    }
}

impl Segment for Mixture {
    fn kind(&self) -> &'static str {
        "mixture"
    }

    fn inner_dimension(&self) -> usize {
        self.dimension
    }

    fn outer_dimension(&self) -> usize {
        self.dimension
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        vec![Box::new(Pair { forward: &self.components, backward: Source })]
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![&self.components.weights]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![&mut self.components.weights]
    }

    fn starts(&self) -> bool {
        self.start != Start::Given
    }

    /// Every component at the normal of a way of its own; learned shares in proportion to what each says of Z.
    fn start(&mut self, density: &Pulled<'_>, noise: &Noise) -> Result<(), Failure> {
        let (d, count) = (self.dimension, self.components.count);
        let [mean, spread] = &self.begin;
        let found = ways(density, [mean, spread], count as u32, noise)?;
        let mut values = self.components.weights.values();
        let (means, rest) = values.split_at_mut(count * d);
        let (log_stds, shares) = rest.split_at_mut(count * d);
        for (k, (normal, _)) in found.iter().enumerate() {
            let row = k * d..(k + 1) * d;
            means[row.clone()].iter_mut().zip(&normal.mean).for_each(|(to, m)| *to = *m as f32);
            let stds = normal.conditional_stds();
            log_stds[row].iter_mut().zip(stds).for_each(|(to, s)| *to = s.ln() as f32);
        }
        let total = log_sum_exp(&found.iter().map(|(_, elbo)| *elbo).collect::<Vec<_>>());
        // A share that is next to nothing would hardly learn any more.
        let logit = |elbo: f64| (elbo - total).max(-10.0) as f32;
        shares.iter_mut().zip(&found).for_each(|(to, (_, elbo))| *to = logit(*elbo));
        self.components.weights.set(values);
        Ok(())
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

impl Part for MixtureRecipe {
    fn kind(&self) -> &'static str {
        "mixture"
    }

    fn check(&self, place: &Place) -> Result<()> {
        within(&place.of("components"), self.components as f64, 1.0, 1e5)?;
        self.mean.check(place, "mean", -1e30, 1e30)?;
        self.std.check(place, "std", 1e-30, 1e30)?;
        within(&place.of("spread"), f64::from(self.spread), 0.0, 1e30)?;
        if self.start == Start::Laplace {
            let problem =
                place.problem("start", "\"laplace\" of a mixture, whose components would all be one");
            return Err(problem.allowed("\"pathfinder\" or \"given\"").into());
        }
        match place.before.last() {
            Some(kind) => {
                let problem = place
                    .problem("kind", format!("\"mixture\" behind \"{kind}\", of which it keeps nothing"));
                Err(problem.allowed("it as the first segment, next to the source").into())
            }
            None => Ok(()),
        }
    }

    fn formula(&self) -> &'static str {
        "log N(z; 0, I) - log sum_k pi_k N(x; m_k, diag s_k^2)"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        [MIXTURES].into_iter().chain(start_paper(self.start)).collect()
    }

    fn learns(&self) -> bool {
        true
    }

    fn learns_choices(&self) -> bool {
        self.shares == Shares::Learned
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let all = (self.components * around.dimension) as f64;
        Size { weights: 2.0 * all, row: 3.0 * all, steps: 1.0, inner: around.dimension }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        check_start(self.start, false, around)?;
        Ok(Box::new(Mixture::new(self, around)?))
    }
}
