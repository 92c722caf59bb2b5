//! A Gaussian guide: mean field, full rank or low rank.
//!
//! ```text
//! diagonal   x = m + D z                                            D = diag(e^a)
//! full       x = m + D (I + N) z                                    N strictly lower triangular
//! low-rank   x = m + D (I + u_1 u_1^T) ... (I + u_r u_r^T) z        covariance: a diagonal and a positive part of rank r
//! log |det|  sum a_i  (+ sum_k log(1 + |u_k|^2))
//! ```
//!
//! Kucukelbir et al., "Automatic differentiation variational inference" (2017); Ong, Nott, Smith (2018), for covariances of low rank.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PerCoordinate;
use crate::array::weights::Weights;
use crate::chain::{Given, State, Transition};
use crate::error::{Failure, Problem, Result, within};
use crate::kernel::bijection::{ActNorm, Bijection, LowRank, UnitLower};
use crate::model::Segment;
use crate::model::flow::Flow;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::model::start::laplace::laplace;
use crate::model::start::pathfinder::pathfinder;
use crate::model::start::{Normal, Pulled, Start};
use crate::papers::{ADVI, LAPLACE, LOW_RANK, PATHFINDER};
use crate::rng::Noise;

/// A Gaussian guide in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianRecipe {
    /// Which covariances there are.
    pub covariance: Covariance,
    /// The directions of a low-rank covariance.
    #[schemars(range(min = 1, max = 1000))]
    pub rank: usize,
    /// Where it begins.
    pub mean: PerCoordinate,
    /// How wide it begins.
    pub std: PerCoordinate,
    /// Whether it begins there, or fitted to the target from there.
    pub start: Start,
}

/// Which covariances a Gaussian guide has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Covariance {
    /// Independent coordinates: mean field.
    Diagonal,
    /// Any: full rank.
    Full,
    /// A diagonal, and a positive part of some rank.
    LowRank,
}

impl Default for GaussianRecipe {
    fn default() -> Self {
        Self {
            covariance: Covariance::Diagonal,
            rank: 4,
            mean: PerCoordinate::All(0.0),
            std: PerCoordinate::All(1.0),
            start: Start::Given,
        }
    }
}

/// Coordinates whose covariance may be written down as a matrix.
const MOST_DENSE: usize = 4096;
/// Ways of Pathfinder, from different points.
const PATHS: u32 = 4;

/// Refuses a fit where it could not be made: `dense` says that it writes a matrix down.
pub(super) fn check_start(start: Start, dense: bool, around: &Surroundings<'_>) -> Result<()> {
    let refused = |found: &str, allowed: &str| -> Result<()> {
        Err(around.place.problem("start", found).allowed(allowed).into())
    };
    let stochastic = around.place.after.iter().find(|kind| !["flow", "constrain"].contains(kind));
    match start {
        Start::Given => Ok(()),
        _ if around.data.is_some() => refused("a fit to an energy, where the target is data", "\"given\""),
        _ if around.condition > 0 => refused("a fit to a target that depends on a condition", "\"given\""),
        _ if let Some(kind) = stochastic => refused(
            &format!("a fit before \"{kind}\""),
            "\"given\", or bijections alone between it and the energy",
        ),
        _ if dense && around.dimension > MOST_DENSE => {
            let found = format!("a covariance of {} coordinates", around.dimension);
            refused(&found, &format!("\"given\", or at most {MOST_DENSE} of them"))
        }
        _ => Ok(()),
    }
}

/// A fit that found no normal.
fn without_normal(place: &str, found: &str) -> Failure {
    Problem::new(format!("{place}.start"), found).allowed("\"given\", or another way to start").into()
}

/// The Pathfinder normals from `count` points around the mean, each with its ELBO; those that there are.
pub(super) fn ways(
    density: &Pulled<'_>,
    [mean, std]: [&[f32]; 2],
    count: u32,
    noise: &Noise,
) -> Result<Vec<(Normal, f64)>, Failure> {
    let mut found = Vec::new();
    for path in 0..count {
        let noise = noise.step(path);
        let away = noise.normal(1, mean.len());
        let start = mean.iter().zip(std).zip(away).map(|((m, s), z)| f64::from(m + 2.0 * s * z)).collect();
        // Draws of normals are further rows.
        found.extend(pathfinder(density, start, &noise.from_trajectory(1 + (u64::from(path) << 16)))?);
    }
    Ok(found)
}

/// A Gaussian that is the image of what comes before it.
pub struct Gaussian {
    flow: Flow,
    recipe: GaussianRecipe,
    /// Its key in the recipe.
    place: String,
}

impl Gaussian {
    /// The guide of a recipe, where it begins.
    ///
    /// # Errors
    /// If `mean` or `std` do not fit.
    pub fn new(recipe: &GaussianRecipe, around: &Surroundings<'_>) -> Result<Self> {
        let d = around.dimension;
        let (mean, std) = (recipe.mean.over(around, "mean")?, recipe.std.over(around, "std")?);
        let mut layers: Vec<Box<dyn Bijection>> = Vec::new();
        match recipe.covariance {
            Covariance::Diagonal => {}
            Covariance::Full => layers.push(Box::new(UnitLower::new(around.name("lower"), d))),
            Covariance::LowRank => {
                let sizes = [recipe.rank, d];
                let map = LowRank::new(around.name("low-rank"), sizes, around.seed, around.stream(0));
                layers.push(Box::new(map));
            }
        }
        layers.push(Box::new(ActNorm::placed(around.name("place"), &mean, &std)));
        Ok(Self { flow: Flow::new(d, layers), recipe: recipe.clone(), place: around.place.key() })
    }

    /// Moves it to a normal, as near as its covariances come.
    fn place(&mut self, normal: &Normal) {
        let d = normal.mean.len();
        let mut weights = self.flow.weights_mut();
        let std = match self.recipe.covariance {
            Covariance::Diagonal => normal.conditional_stds(),
            Covariance::Full => {
                let covariance = normal.covariance();
                let lower =
                    crate::math::cholesky(&covariance, d).unwrap_or_else(|_| diagonal(&covariance, d));
                let std: Vec<f64> = (0..d).map(|i| lower[i * d + i]).collect();
                // Rows of states are multiplied from the right: the transpose is kept.
                let entry = |at: usize| {
                    let (row, column) = (at % d, at / d);
                    if column < row { (lower[row * d + column] / std[row]) as f32 } else { 0.0 }
                };
                weights[0].set((0..d * d).map(entry).collect());
                std
            }
            Covariance::LowRank => {
                let (std, directions) = normal.low_rank(self.recipe.rank);
                let mut values = weights[0].values();
                let flat = directions.into_iter().flatten();
                values.iter_mut().zip(flat).for_each(|(to, value)| *to = value as f32);
                weights[0].set(values);
                std
            }
        };
        let log_std = std.iter().map(|s| s.ln() as f32);
        let last = weights.pop().expect("every guide has a place");
        last.set(log_std.chain(normal.mean.iter().map(|m| *m as f32)).collect());
    }

    /// Its place and width, `[dimension]` each, f64.
    fn placed(&self) -> (Vec<f64>, Vec<f32>) {
        let weights = self.flow.weights();
        let values = weights.last().expect("every guide has a place").values();
        let (log_std, mean) = values.split_at(values.len() / 2);
        (mean.iter().map(|m| f64::from(*m)).collect(), log_std.iter().map(|s| s.exp()).collect())
    }
}

/// The factor of the diagonal of a matrix that rounding has left indefinite.
fn diagonal(covariance: &[f64], d: usize) -> Vec<f64> {
    let entry = |at: usize| if at / d == at % d { covariance[at].max(f64::MIN_POSITIVE).sqrt() } else { 0.0 };
    (0..d * d).map(entry).collect()
}

impl Segment for Gaussian {
    fn kind(&self) -> &'static str {
        "gaussian"
    }

    fn inner_dimension(&self) -> usize {
        self.flow.inner_dimension()
    }

    fn outer_dimension(&self) -> usize {
        self.flow.outer_dimension()
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        self.flow.transitions()
    }

    fn weights(&self) -> Vec<&Weights> {
        self.flow.weights()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        self.flow.weights_mut()
    }

    fn initialise(&mut self, x: &State, given: &Given) {
        self.flow.initialise(x, given);
    }

    fn starts(&self) -> bool {
        self.recipe.start != Start::Given
    }

    fn start(&mut self, density: &Pulled<'_>, noise: &Noise) -> Result<(), Failure> {
        let (mean, std) = self.placed();
        let found = match self.recipe.start {
            Start::Given => return Ok(()),
            Start::Laplace => laplace(density, mean)?.ok_or_else(|| {
                without_normal(
                    &self.place,
                    "\"laplace\", where the Hessian at the mode is not positive definite",
                )
            })?,
            Start::Pathfinder => {
                let mean: Vec<f32> = mean.iter().map(|m| *m as f32).collect();
                let found = ways(density, [&mean, &std], PATHS, noise)?;
                let best = found.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
                best.map(|(normal, _)| normal).ok_or_else(|| {
                    without_normal(&self.place, "\"pathfinder\", of which no way suggests a normal")
                })?
            }
        };
        self.place(&found);
        Ok(())
    }

    fn boxed(&self) -> Box<dyn Segment> {
        let layers = self.flow.layers().iter().map(|layer| layer.boxed()).collect();
        let flow = Flow::new(self.flow.outer_dimension(), layers);
        Box::new(Self { flow, recipe: self.recipe.clone(), place: self.place.clone() })
    }
}

/// The paper of a start.
pub(super) fn start_paper(start: Start) -> Option<&'static str> {
    match start {
        Start::Given => None,
        Start::Laplace => Some(LAPLACE),
        Start::Pathfinder => Some(PATHFINDER),
    }
}

impl Part for GaussianRecipe {
    fn kind(&self) -> &'static str {
        "gaussian"
    }

    fn check(&self, place: &Place) -> Result<()> {
        within(&place.of("rank"), self.rank as f64, 1.0, 1000.0)?;
        self.mean.check(place, "mean", -1e30, 1e30)?;
        self.std.check(place, "std", 1e-30, 1e30)
    }

    fn formula(&self) -> &'static str {
        match self.covariance {
            Covariance::Diagonal => "sum log D_ii, x = m + D z",
            Covariance::Full => "sum log D_ii, x = m + D (I + N) z",
            Covariance::LowRank => {
                "sum log D_ii + sum_k log(1 + |u_k|^2), x = m + D prod_k (I + u_k u_k^T) z"
            }
        }
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        let low_rank = (self.covariance == Covariance::LowRank).then_some(LOW_RANK);
        [ADVI].into_iter().chain(low_rank).chain(start_paper(self.start)).collect()
    }

    fn learns(&self) -> bool {
        true
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let d = around.dimension as f64;
        let (weights, row) = match self.covariance {
            Covariance::Diagonal => (0.0, 0.0),
            Covariance::Full => (d * d, d),
            Covariance::LowRank => (self.rank as f64 * d, 2.0 * self.rank as f64 * d),
        };
        Size { weights: weights + 2.0 * d, row: row + 2.0 * d, steps: 1.0, inner: around.dimension }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        check_start(
            self.start,
            self.covariance != Covariance::Diagonal || self.start == Start::Laplace,
            around,
        )?;
        Ok(Box::new(Gaussian::new(self, around)?))
    }
}
