//! Targets over points as a recipe names them: energies of chains, and rewards of flow networks.

mod build;
mod classifier;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::papers::{self, CLASSIFIER_GUIDANCE, CONTINUOUS, DOUBLE_WELL, FAB, FUNNEL, PIS};
use crate::target::Combination;
use crate::target::recipe::{self, BetaRecipe, ProcessRecipe, by_condition, half, one, tenth, two};
pub use classifier::ClassifierRecipe;

/// A target over points in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PointTargetRecipe {
    /// On the box: a floor, corners, and modes in them (Lahlou et al. 2023).
    Original {
        /// The floor.
        #[serde(default = "tenth")]
        r0: f64,
        /// How much the corners are above it.
        #[serde(default = "half")]
        r1: f64,
        /// How much the modes are above the corners.
        #[serde(default = "two")]
        r2: f64,
    },
    /// On the line: a Gaussian, its spread given in one of three ways.
    Gaussian {
        /// The means.
        mean: Vec<f32>,
        /// The standard deviations of independent coordinates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        std: Option<Vec<f32>>,
        /// The rows of the covariance matrix.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        covariance: Option<Vec<Vec<f64>>>,
        /// The rows of the covariance's lower Cholesky factor, zeros above the diagonal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cholesky: Option<Vec<Vec<f64>>>,
        /// The logarithm of the normalising constant.
        #[serde(default)]
        log_z: f32,
    },
    /// A mixture: of diagonal Gaussians by `means` and `std`, normalised; or by `components` of products of laws, Beta on the
    /// box, normal on the line, von Mises on the torus, with Z the sum of the weights.
    Mixture {
        /// The weights of the components: relative to each other, and equal where none are given, beside means; beside
        /// components, their sum is Z.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weights: Vec<f64>,
        /// One row of means per component.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        means: Vec<Vec<f64>>,
        /// One row of standard deviations per component, or one row for all; a row of one number holds for every
        /// coordinate.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        std: Vec<Vec<f64>>,
        /// The two parameters of each coordinate of each component: `[a, b]`, `[mean, std]` or `[mean, concentration]`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        components: Vec<Vec<[f64; 2]>>,
    },
    /// Nine modes in the plane on the grid {-5, 0, 5}^2, covariance 0.3 I.
    Gmm9 {},
    /// Twenty-five modes in the plane on the grid {-10, -5, 0, 5, 10}^2, covariance 0.3 I.
    Gmm25 {},
    /// Forty modes at random, but fixed, places of [-40, 40]^dimension, standard deviation ln(1 + e).
    Gmm40 {
        /// The dimension.
        #[serde(default = "plane")]
        dimension: usize,
    },
    /// On the line: Neal's funnel.
    Funnel {
        /// The dimension.
        dimension: usize,
        /// The standard deviation of the first coordinate.
        std: f32,
    },
    /// On the line: independent double wells; dimension 2 is the double well.
    ManyWell {
        /// The dimension, twice the number of pairs.
        dimension: usize,
    },
    /// A toy density in the plane.
    Toy {
        /// The density's name.
        name: String,
    },
    /// On the square: Branin's function.
    Branin {
        /// The inverse temperature.
        #[serde(default = "one")]
        beta: f64,
        /// From 0 to 1, which is the function itself.
        #[serde(default = "one")]
        fidelity: f64,
    },
    /// On the box of six coordinates: Hartmann's function.
    Hartmann6 {
        /// The inverse temperature.
        #[serde(default = "one")]
        beta: f64,
        /// From 0 to 1, which is the function itself.
        #[serde(default = "one")]
        fidelity: f64,
    },
    /// A formula over the coordinates `x0`, `x1`, ..., with its exact gradient.
    Expression {
        /// How many coordinates there are, where the space does not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dimension: Option<usize>,
        /// The formula of `log R`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_reward: Option<String>,
        /// The formula of `R` instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reward: Option<String>,
        /// The logarithm of the integral of R, where you know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_z: Option<f64>,
    },
    /// Another program, which answers lines of JSON.
    Process(ProcessRecipe),
    /// The probability of a class, by a classifier of rows of numbers that is trained on labelled ones:
    /// `R = max(p(class | x), least)^beta`, with its exact gradient.
    Classifier(ClassifierRecipe),
    /// A target raised to a power.
    Tempered {
        /// The target.
        reward: Box<Self>,
        /// The power, or "condition" for the condition's number.
        #[serde(default = "by_condition")]
        beta: BetaRecipe,
    },
    /// Several targets, weighed by the condition.
    Preference {
        /// The targets.
        rewards: Vec<Self>,
        /// How they are put together.
        #[serde(default)]
        combination: Combination,
        /// The inverse temperature, or "condition" for the condition's last number.
        #[serde(default)]
        beta: BetaRecipe,
    },
}

impl Default for PointTargetRecipe {
    fn default() -> Self {
        Self::Original { r0: tenth(), r1: half(), r2: two() }
    }
}

fn plane() -> usize {
    2
}

impl PointTargetRecipe {
    /// The papers that it comes from, if it has a source.
    pub fn papers(&self) -> Vec<&'static str> {
        match self {
            Self::Gmm9 {} => vec![PIS],
            Self::Gmm25 {} => vec![CONTINUOUS],
            Self::Gmm40 { .. } => vec![FAB],
            Self::Funnel { .. } => vec![FUNNEL],
            Self::ManyWell { dimension: 2 } => vec![DOUBLE_WELL],
            Self::ManyWell { .. } => vec![DOUBLE_WELL, FAB],
            Self::Toy { name } => vec![papers::toy(name)],
            Self::Classifier(_) => vec![CLASSIFIER_GUIDANCE],
            Self::Tempered { reward, .. } => reward.papers(),
            Self::Preference { rewards, .. } => rewards.iter().flat_map(Self::papers).collect(),
            _ => vec![],
        }
    }

    /// Its name and formula in one line.
    pub fn formula(&self) -> String {
        match self {
            Self::Original { r0, r1, r2 } => {
                format!("box band: {r0} + {r1} prod_d [outer] + {r2} prod_d [band]")
            }
            Self::Gaussian { std: Some(_), .. } => "gaussian: e^{log_z} N(mean, diag std^2)".to_owned(),
            Self::Gaussian { .. } => "gaussian: e^{log_z} N(mean, covariance)".to_owned(),
            Self::Mixture { components, .. } if !components.is_empty() => {
                format!("mixture: {} products of laws", components.len())
            }
            Self::Mixture { means, .. } => {
                format!("mixture: sum_k w_k N(m_k, diag s_k^2), {} components", means.len())
            }
            Self::Gmm9 {} => "gmm9: 9 equal N(m, 0.3 I), m in {-5, 0, 5}^2".to_owned(),
            Self::Gmm25 {} => "gmm25: 25 equal N(m, 0.3 I), m in {-10, -5, 0, 5, 10}^2".to_owned(),
            Self::Gmm40 { dimension } => {
                format!("gmm40: 40 equal N(m, ln(1 + e)^2 I), m in [-40, 40]^{dimension}")
            }
            Self::Funnel { std, .. } => {
                format!("funnel: N(x_0; 0, {std}^2) prod_i N(x_i; 0, e^{{x_0}})")
            }
            Self::ManyWell { dimension: 2 } => "double well: -d^4 + 6 d^2 + d / 2 - v^2 / 2".to_owned(),
            Self::ManyWell { dimension } => {
                format!("many-well: {} pairs of -d^4 + 6 d^2 + d / 2 - v^2 / 2", dimension / 2)
            }
            Self::Toy { name } => format!("toy density: {name}"),
            Self::Branin { beta, .. } => format!("Branin: exp(-{beta} f(x))"),
            Self::Hartmann6 { beta, .. } => format!("Hartmann-6: exp(-{beta} f(x))"),
            Self::Expression { log_reward, reward, .. } => {
                recipe::expression(log_reward.as_deref(), reward.as_deref())
            }
            Self::Process(process) => process.formula(),
            Self::Classifier(classifier) => classifier.formula(),
            Self::Tempered { reward, .. } => recipe::tempered(&reward.formula()),
            Self::Preference { rewards, combination, .. } => {
                recipe::preference(*combination, rewards.iter().map(Self::formula))
            }
        }
    }
}
