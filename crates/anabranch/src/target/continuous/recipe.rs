//! Rewards of points as a recipe names them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BoxBand, Branin, Hartmann6, Mixture};
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::target::{Expression, Target};

/// A reward of points in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PointRewardRecipe {
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
    /// A mixture of products: of Beta laws on the box, normal ones on the line, von Mises ones on the torus.
    Mixture {
        /// The weight of each component; their sum is Z.
        weights: Vec<f64>,
        /// The two parameters of each coordinate of each component: `[a, b]`, `[mean, std]` or `[mean, concentration]`.
        components: Vec<Vec<[f64; 2]>>,
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
    /// A formula over the coordinates `x0`, `x1`, ...
    Expression {
        /// The formula of `log R`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_reward: Option<String>,
        /// The formula of `R` instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reward: Option<String>,
    },
}

impl Default for PointRewardRecipe {
    fn default() -> Self {
        Self::Original { r0: tenth(), r1: half(), r2: two() }
    }
}

fn tenth() -> f64 {
    0.1
}

fn half() -> f64 {
    0.5
}

fn one() -> f64 {
    1.0
}

fn two() -> f64 {
    2.0
}

type Built = Result<Arc<dyn Target>, Problem>;

fn shared<R: Target + 'static>(reward: Result<R, Problem>) -> Built {
    reward.map(|reward| Arc::new(reward) as Arc<dyn Target>)
}

impl PointRewardRecipe {
    /// The reward of points whose coordinates have these domains.
    ///
    /// # Errors
    /// If a value is not allowed, or the reward is not one of such points; the key is named.
    pub fn build(&self, domains: &[Domain]) -> Built {
        let boxed = |dim: Option<usize>| {
            let fits = domains.iter().all(|domain| *domain == Domain::Unit)
                && dim.is_none_or(|dim| domains.len() == dim);
            let wanted = dim.map_or("a box".to_owned(), |dim| format!("a box of {dim} coordinates"));
            if fits {
                return Ok(domains.len());
            }
            Err(Problem::new("kind", format!("this reward for {} other coordinates", domains.len()))
                .allowed(format!("{wanted}, or another reward")))
        };
        match self {
            Self::Original { r0, r1, r2 } => {
                boxed(None).and_then(|dim| shared(BoxBand::new(dim, [*r0, *r1, *r2])))
            }
            Self::Mixture { weights, components } => shared(Mixture::over(domains, weights, components)),
            Self::Branin { beta, fidelity } => {
                boxed(Some(2)).and_then(|_| shared(Branin::new(*beta, *fidelity)))
            }
            Self::Hartmann6 { beta, fidelity } => {
                boxed(Some(6)).and_then(|_| shared(Hartmann6::new(*beta, *fidelity)))
            }
            Self::Expression { log_reward, reward } => {
                let formula = match (log_reward, reward) {
                    (Some(text), None) => Expression::log_reward("log_reward", text, domains.len()),
                    (None, Some(text)) => Expression::reward("reward", text, domains.len()),
                    (given, _) => {
                        let found = if given.is_some() { "both" } else { "none" };
                        Err(Problem::new("log_reward or reward", found).allowed("exactly one of them"))
                    }
                };
                shared(formula)
            }
        }
    }

    /// Its name and formula in one line.
    pub fn formula(&self) -> String {
        match self {
            Self::Original { r0, r1, r2 } => {
                format!("box band: {r0} + {r1} prod_d [outer] + {r2} prod_d [band]")
            }
            Self::Mixture { weights, .. } => format!("mixture: {} products of laws", weights.len()),
            Self::Branin { beta, .. } => format!("Branin: exp(-{beta} f(x))"),
            Self::Hartmann6 { beta, .. } => format!("Hartmann-6: exp(-{beta} f(x))"),
            Self::Expression { log_reward: Some(formula), .. } => format!("expression: log R = {formula}"),
            Self::Expression { reward, .. } => format!("expression: R = {}", reward.as_deref().unwrap_or("")),
        }
    }
}
