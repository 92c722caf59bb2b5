//! Rewards as a recipe names them.

mod build;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Beta, Combination, RegressorRecipe};
pub(crate) use build::inside;
pub(super) use build::{formula, known_log_z};

/// A reward of discrete objects in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RewardRecipe {
    /// On a grid: a floor, corners, and modes in them (Bengio et al. 2021).
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
    /// On a grid: a floor, corners, and modes in them, with a floor of 0.001 unless given.
    Easy {
        /// The floor.
        #[serde(default = "thousandth")]
        r0: f64,
        /// How much the corners are above it.
        #[serde(default = "half")]
        r1: f64,
        /// How much the modes are above the corners.
        #[serde(default = "two")]
        r2: f64,
    },
    /// On a grid: a floor, corners, and modes in them, with 0.0001, 1 and 3 unless given.
    Hard {
        /// The floor.
        #[serde(default = "ten_thousandth")]
        r0: f64,
        /// How much the corners are above it.
        #[serde(default = "one")]
        r1: f64,
        /// How much the modes are above the corners.
        #[serde(default = "three")]
        r2: f64,
    },
    /// On a grid: waves under a Gaussian.
    Cosine {
        /// The floor.
        #[serde(default = "tenth")]
        r0: f64,
        /// The height of the waves.
        #[serde(default = "half")]
        r1: f64,
    },
    /// On a grid: nothing but `2^dim - 1` points next to the corners.
    Sparse {
        /// The floor.
        #[serde(default = "sparse_floor")]
        r0: f64,
    },
    /// On a grid: modes in a desert, and a cross between them that leads astray.
    Deceptive {
        /// The desert.
        #[serde(default = "desert")]
        r0: f64,
        /// How much the cross is above it.
        #[serde(default = "tenth")]
        r1: f64,
        /// How much the modes are above it.
        #[serde(default = "two")]
        r2: f64,
    },
    /// Spins that pair: `log R = alpha s^T J s + h^T s`, each pair counted twice. Objects are words of two letters, -1 and 1.
    Ising {
        /// The factor of all pairs.
        #[serde(default = "one")]
        alpha: f64,
        /// A lattice of neighbours with one coupling; or give a `matrix`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lattice: Option<LatticeName>,
        /// The coupling of neighbours on the lattice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        coupling: Option<f64>,
        /// The rows of the symmetric matrix J.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        matrix: Option<Vec<Vec<f64>>>,
        /// The external field h: one number per spin, or one for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        field: Vec<f64>,
    },
    /// Bit sequences near to one of some modes. Objects are words of a fixed length whose letters are words of bits.
    PlantedModes {
        /// How many modes are drawn.
        #[serde(default = "sixty")]
        count: usize,
        /// What they are drawn by.
        #[serde(default)]
        seed: u64,
        /// The modes themselves, in 0 and 1, instead of drawn ones.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        modes: Vec<String>,
        /// `log R = -beta d / n` for d of n bits that differ; 3 unless a `temperature` is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beta: Option<f64>,
        /// `log R = -d / temperature` instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        temperature: Option<f64>,
        /// How many bits of a mode may differ in an object that counts as having found it; a quarter of all unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        near: Option<usize>,
    },
    /// A planted landscape of words, all of one length: what every stretch of neighbouring letters adds to `log R` is drawn once.
    Landscape {
        /// How many letters a stretch has besides its first: the more, the more rugged.
        #[serde(default = "one_neighbour")]
        neighbours: usize,
        /// The factor of `log R`, whose standard deviation over all words is about 1 without.
        #[serde(default = "one")]
        beta: f64,
        /// What it is drawn by.
        #[serde(default)]
        seed: u64,
    },
    /// A product of weights: of the items in a set or multiset, or of the bits that are 1.
    Items {
        /// The weights, one per item.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weights: Vec<f64>,
        /// Their logarithms instead.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log_weights: Vec<f64>,
    },
    /// Several energies, each a sum over items, weighed by the condition.
    AdditiveEnergies {
        /// One row of numbers per energy, one number per item.
        energies: Vec<Vec<f64>>,
        /// The inverse temperature.
        #[serde(default = "one")]
        beta: f64,
    },
    /// What a file says: `R = max(scale v / max v, least)` with `v = max(y, floor)^exponent`.
    Table {
        /// A CSV file with the header `object,reward` or `object,log_reward`, plain or gzipped.
        file: String,
        /// Smaller values are taken for this one, first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        floor: Option<f64>,
        /// The power that values are raised to.
        #[serde(default = "one")]
        exponent: f64,
        /// What the largest reward becomes; without it, the file's scale is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale: Option<f64>,
        /// Smaller rewards are raised to this one, last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        least: Option<f64>,
    },
    /// A formula over the cells `x0`, `x1`, ... of an object.
    Expression {
        /// The formula of `log R`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_reward: Option<String>,
        /// The formula of `R` instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reward: Option<String>,
    },
    /// Another program, which answers lines of JSON.
    Process(ProcessRecipe),
    /// What a classifier says of words, which is trained on labelled ones: `R = max(probability, least)^beta`.
    Classifier {
        /// A CSV file with the header `object,label`, plain or gzipped, labels being 0 and 1; 4620 peptides with and without
        /// antimicrobial activity unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// The width of its hidden layer.
        #[serde(default = "sixty_four")]
        width: usize,
        /// The power of the probability.
        #[serde(default = "one")]
        beta: f64,
        /// Smaller probabilities are raised to this one.
        #[serde(default = "millionth")]
        least: f64,
        /// What it is trained by.
        #[serde(default)]
        seed: u64,
    },
    /// What an ensemble of networks predicts, fitted to a table of scores.
    Regressor(RegressorRecipe),
    /// Several rewards, weighed by the condition.
    Preference {
        /// The rewards.
        rewards: Vec<RewardRecipe>,
        /// How they are put together.
        #[serde(default)]
        combination: Combination,
        /// The inverse temperature, or "condition" for the condition's last number.
        #[serde(default)]
        beta: BetaRecipe,
    },
    /// A reward raised to a power.
    Tempered {
        /// The reward.
        reward: Box<RewardRecipe>,
        /// The power, or "condition" for the condition's number.
        #[serde(default = "by_condition")]
        beta: BetaRecipe,
    },
    /// A random reward: with some probability a multiple of another.
    Gamble {
        /// The other.
        reward: Box<RewardRecipe>,
        /// The probability, as a formula of the object.
        probability: String,
        /// What the reward is then multiplied by.
        factor: f64,
    },
    /// `-r log r` of a reward `r = R / scale` below 1: what a second flow is trained on that tells the entropy.
    Entropic {
        /// The reward.
        reward: Box<RewardRecipe>,
        /// What it is divided by, more than its largest value.
        #[serde(default = "one")]
        scale: f64,
    },
}

impl Default for RewardRecipe {
    fn default() -> Self {
        Self::Original { r0: tenth(), r1: half(), r2: two() }
    }
}

/// `beta` of planted modes where nothing is given.
const DEFAULT_BETA: f64 = 3.0;

/// A program in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessRecipe {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Seconds that a batch may take.
    #[serde(default = "minute")]
    #[schemars(range(min = 1e-3, max = 1e6))]
    pub timeout: f64,
    /// How often, in all, the program is started again.
    #[serde(default = "ten")]
    pub restarts: usize,
    /// The log-reward of an object that the program answers `null` for; without it, its batch is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<f64>,
    /// How many numbers a condition has.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65_535))]
    pub conditions: usize,
    /// Whether the program answers about states on the way to an object, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Over points: whether the program answers gradients where it is asked for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gradients: bool,
    /// Over points: how many coordinates there are, where the space does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<usize>,
    /// The logarithm of Z, where you know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_z: Option<f64>,
}

/// A lattice of spins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LatticeName {
    /// Two neighbours each.
    Ring,
    /// A square with four neighbours each.
    Torus,
}

/// An inverse temperature in a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "another type, expected a number or \"condition\"")]
pub enum BetaRecipe {
    /// This one.
    Fixed(f64),
    /// Part of the condition.
    Condition(ByCondition),
}

/// The word for what is part of the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ByCondition {
    /// Part of the condition.
    Condition,
}

impl Default for BetaRecipe {
    fn default() -> Self {
        Self::Fixed(1.0)
    }
}

impl From<BetaRecipe> for Beta {
    fn from(recipe: BetaRecipe) -> Self {
        match recipe {
            BetaRecipe::Fixed(beta) => Self::Fixed(beta),
            BetaRecipe::Condition(_) => Self::Condition,
        }
    }
}

pub(super) fn by_condition() -> BetaRecipe {
    BetaRecipe::Condition(ByCondition::Condition)
}

pub(super) fn one() -> f64 {
    1.0
}

pub(super) fn two() -> f64 {
    2.0
}

fn three() -> f64 {
    3.0
}

fn thousandth() -> f64 {
    1e-3
}

fn ten_thousandth() -> f64 {
    1e-4
}

pub(super) fn half() -> f64 {
    0.5
}

pub(super) fn tenth() -> f64 {
    0.1
}

fn desert() -> f64 {
    1e-5
}

fn sparse_floor() -> f64 {
    1e-12
}

fn minute() -> f64 {
    60.0
}

pub(super) fn millionth() -> f64 {
    1e-6
}

pub(super) fn sixty_four() -> usize {
    64
}

fn one_neighbour() -> usize {
    1
}

fn sixty() -> usize {
    60
}

fn ten() -> usize {
    10
}

impl ProcessRecipe {
    /// Its name and the program in one line.
    pub fn formula(&self) -> String {
        format!("process: {}", self.command.join(" "))
    }
}

pub(super) fn expression(log_reward: Option<&str>, reward: Option<&str>) -> String {
    match log_reward {
        Some(formula) => format!("expression: log R = {formula}"),
        None => format!("expression: R = {}", reward.unwrap_or_default()),
    }
}

pub(super) fn tempered(reward: &str) -> String {
    format!("tempered: r^beta, r = [{reward}]")
}

pub(super) fn preference(combination: Combination, rewards: impl Iterator<Item = String>) -> String {
    let sum = match combination {
        Combination::LogLinear => "prod_k r_k^(beta c_k)",
        Combination::Linear => "(sum_k c_k r_k)^beta",
    };
    format!("preference: {sum} of [{}]", rewards.collect::<Vec<_>>().join("; "))
}

impl RewardRecipe {
    /// Its name and formula in one line.
    pub fn formula(&self) -> String {
        match self {
            Self::Original { r0, r1, r2 } | Self::Easy { r0, r1, r2 } | Self::Hard { r0, r1, r2 } => {
                format!("hypergrid: {r0} + {r1} prod_d [outer] + {r2} prod_d [band]")
            }
            Self::Cosine { r0, r1 } => {
                format!("hypergrid, cosine: {r0} + {r1} prod_d (cos 50 a_d + 1) N(5 a_d; 0, 1)")
            }
            Self::Sparse { r0 } => {
                format!("hypergrid, sparse: {r0} + [every x_d in {{1, H - 2}}, not all 1]")
            }
            Self::Deceptive { r0, r1, r2 } => {
                format!("hypergrid, deceptive: {r0} + {r1} (1 - prod_d [far]) + {r2} prod_d [band]")
            }
            Self::Ising { lattice: Some(LatticeName::Ring), .. } => {
                "Ising, ring: exp(alpha s^T J s + h^T s), J = coupling A".to_owned()
            }
            Self::Ising { lattice: Some(LatticeName::Torus), .. } => {
                "Ising, torus: exp(alpha s^T J s + h^T s), J = coupling A".to_owned()
            }
            Self::Ising { .. } => "Ising: exp(alpha s^T J s + h^T s)".to_owned(),
            Self::PlantedModes { temperature: Some(temperature), .. } => {
                format!("planted modes: exp(-min_m d(x, m) / {temperature})")
            }
            Self::PlantedModes { beta, .. } => {
                format!("planted modes: exp(-{} min_m d(x, m) / n)", beta.unwrap_or(DEFAULT_BETA))
            }
            Self::Landscape { neighbours, beta, .. } => {
                format!("landscape: exp({beta} y), y of stretches of {} letters", neighbours + 1)
            }
            Self::Items { .. } => "items: prod_i w_i^{n_i(x)}".to_owned(),
            Self::AdditiveEnergies { energies, beta } => {
                format!(
                    "additive energies: exp(-{beta} sum_k c_k sum_i a_ki n_i(x)), {} energies",
                    energies.len()
                )
            }
            Self::Table { file, .. } => format!("table: {file}"),
            Self::Expression { log_reward, reward } => expression(log_reward.as_deref(), reward.as_deref()),
            Self::Process(process) => process.formula(),
            Self::Classifier { file, beta, least, .. } => {
                let data = file.as_deref().unwrap_or("peptides");
                format!("classifier: max(P(label 1), {least})^{beta}, trained on {data}")
            }
            Self::Regressor(regressor) => regressor.formula(),
            Self::Preference { rewards, combination, .. } => {
                preference(*combination, rewards.iter().map(Self::formula))
            }
            Self::Tempered { reward, .. } => tempered(&reward.formula()),
            Self::Gamble { reward, probability, factor } => {
                format!("gamble: r, or {factor} r with probability {probability}, r = [{}]", reward.formula())
            }
            Self::Entropic { reward, scale } => {
                format!("entropic: -r log r, r = [{}] / {scale}", reward.formula())
            }
        }
    }
}
