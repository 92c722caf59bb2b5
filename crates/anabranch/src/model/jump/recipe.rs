//! A jump process as recipes name it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::denoiser::{Classifier, NetworkDenoiser};
use super::{Clock, Jump, Loss};
use crate::error::{Problem, Result, within};
use crate::kernel::jump::{Answer, Process, Rates, Scheme};
use crate::model::Segment;
use crate::model::jump::sampling::Sampling;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::network::recipe::{Asked, Need};
use crate::network::taped::Shape;
use crate::network::{Activation, HollowNetwork, HollowTransformer, NetworkRecipe};
use crate::papers::{D3PM, DISCRETE_FLOW, HOLLOW, MASKED_DIFFUSION, SCORE_ENTROPY, TAU_LEAPING};

/// A jump process on categories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JumpRecipe {
    /// Where coordinates jump.
    pub rates: RatesName,
    /// Of Gaussian rates: the standard deviation of a jump, in values.
    #[schemars(range(min = 0.1, max = 1e3))]
    pub width: f64,
    /// What is left of the data at each time.
    pub clock: ClockName,
    /// Steps of the chain.
    #[schemars(range(min = 2, max = 100_000))]
    pub levels: usize,
    /// What the network's logits are of.
    pub predict: PredictName,
    /// How the generating steps are made.
    pub scheme: SchemeName,
    /// What is learned from; bounds are always those of the chain.
    pub loss: LossName,
    /// The share of `-log p(x_0 | x_t)` that is added to the bound as loss (D3PM's lambda).
    #[schemars(range(min = 0.0, max = 1e3))]
    pub auxiliary: f32,
    /// The network: a perceptron or deep sets over indicators of all values, or a transformer with a token for each coordinate.
    pub network: NetworkRecipe,
    /// Whether what is answered for a coordinate does not depend on its own state: of perceptrons and of transformers.
    pub hollow: bool,
    /// Width of the time embedding, even and at least 6: of fewer waves the slowest turns more than once, and early times pass for late
    /// ones. Under a mask also 0, for a network that is not told the time.
    #[schemars(range(min = 0, max = 4096))]
    pub embedding: usize,
}

/// Where coordinates jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RatesName {
    /// To all values alike.
    Uniform,
    /// To a mask.
    Absorbing,
    /// To the neighbours of an ordinal.
    BirthDeath,
    /// To the values of an ordinal, the near ones more often.
    Gaussian,
}

/// What is left of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClockName {
    /// `alpha = 1 - t`.
    Linear,
    /// `alpha = 1 - cos(pi (1 - t) / 2)`.
    Cosine,
}

/// What logits are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PredictName {
    /// The data's value given the noisy state.
    Signal,
    /// The data's value given the noisy state of all other coordinates.
    Conditional,
    /// The noisy value given that of all other coordinates; of a network that is not hollow, ratios of their chances.
    Marginal,
}

/// How steps are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchemeName {
    /// The posterior under the prediction: D3PM's and SDDM's analytic step.
    Ancestral,
    /// Chances linear in the step.
    Euler,
    /// Poisson numbers of jumps; more than one are rejected.
    TauLeaping,
}

/// What is learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// The chain's bound.
    Bound,
    /// The bound in continuous time.
    ScoreEntropy,
    /// `-log p(x_0 | x_t)` at a time drawn alike from [0, 1]: discrete flow matching.
    CrossEntropy,
    /// Categorical ratio matching.
    RatioMatching,
    /// The same by maximum likelihood of whether a coordinate has each of its values.
    Likelihood,
}

impl Default for JumpRecipe {
    fn default() -> Self {
        Self {
            rates: RatesName::Absorbing,
            width: 1.0,
            clock: ClockName::Linear,
            levels: 100,
            predict: PredictName::Signal,
            scheme: SchemeName::Ancestral,
            loss: LossName::Bound,
            auxiliary: 0.0,
            network: NetworkRecipe::Mlp {
                hidden: vec![256, 256, 256],
                activation: Activation::Silu,
                residual: false,
            },
            hollow: false,
            embedding: 32,
        }
    }
}

/// The most values of rates without a closed form, and of any.
const MOST_ORDINALS: u32 = 64;
const MOST_VALUES: u32 = 256;

impl JumpRecipe {
    fn process(&self, values: usize) -> Process {
        let rates = match self.rates {
            RatesName::Uniform => Rates::Uniform,
            RatesName::Absorbing => Rates::Absorbing,
            RatesName::BirthDeath => Rates::BirthDeath,
            RatesName::Gaussian => Rates::Gaussian(self.width),
        };
        Process::new(rates, values)
    }

    fn states(&self, values: u32) -> usize {
        values as usize + usize::from(self.rates == RatesName::Absorbing)
    }

    /// Checks what does not go together.
    fn check_together(&self, place: &Place) -> Result<()> {
        let refused = |key: &str, found: &str, allowed: &str| -> Result<()> {
            Err(place.problem(key, found).allowed(allowed.to_owned()).into())
        };
        let marginal = self.predict == PredictName::Marginal;
        if marginal && self.rates == RatesName::Absorbing {
            let allowed = "\"signal\", from which they follow in closed form; or other rates";
            return refused("predict", "\"marginal\" of masks", allowed);
        }
        if marginal && self.scheme == SchemeName::Ancestral {
            let found = "\"ancestral\" by marginals, which do not tell the data's value";
            return refused("scheme", found, "\"euler\" or \"tau-leaping\"; or another `predict`");
        }
        if self.auxiliary > 0.0 && (marginal || self.loss != LossName::Bound) {
            let allowed = "0; or loss = \"bound\" with a `predict` of the data's value";
            return refused("auxiliary", "a share of log p(x_0 | x_t), which is not there", allowed);
        }
        if self.loss == LossName::CrossEntropy && marginal {
            let found = "\"cross-entropy\" of the data's value by marginals, which do not tell it";
            return refused("loss", found, "another loss; or another `predict`");
        }
        let matches = match self.loss {
            LossName::RatioMatching => Some("\"ratio-matching\" with a network that sees what it is to tell"),
            LossName::Likelihood => Some("\"likelihood\" with a network that sees what it is to tell"),
            LossName::Bound | LossName::ScoreEntropy | LossName::CrossEntropy => None,
        };
        if let (Some(found), false) = (matches, self.hollow) {
            return refused(
                "loss",
                found,
                "it with `hollow = true`; or \"bound\", \"score-entropy\" or \"cross-entropy\"",
            );
        }
        if !self.hollow {
            return Ok(());
        }
        if self.predict == PredictName::Signal && self.rates != RatesName::Absorbing {
            let found = "\"signal\", which depends on the coordinate's own state, of a hollow network";
            return refused("predict", found, "\"conditional\" or \"marginal\"");
        }
        match &self.network {
            NetworkRecipe::Mlp { residual: false, .. } => Ok(()),
            NetworkRecipe::Transformer { patch: None, positions: None, .. } => Ok(()),
            other => {
                let found = format!("it of {}", other.describe());
                let allowed =
                    "it of a plain perceptron, or of a transformer without patch and positions; or false";
                refused("hollow", &found, allowed)
            }
        }
    }
}

/// The network over tokens of coordinates: a patch of so many coordinates is one of so many indicators.
pub(in crate::model) fn tokens(network: &NetworkRecipe, states: usize) -> NetworkRecipe {
    let mut network = network.clone();
    if let NetworkRecipe::Transformer { patch, .. } | NetworkRecipe::DeepSets { patch, .. } = &mut network {
        *patch = Some(patch.unwrap_or(1).saturating_mul(states));
    }
    network
}

impl Part for JumpRecipe {
    fn kind(&self) -> &'static str {
        "jump"
    }

    fn check(&self, place: &Place) -> Result<()> {
        self.network.check(&place.of("network"))?;
        within(&place.of("levels"), self.levels as f64, 2.0, 1e5)?;
        let untold = self.rates == RatesName::Absorbing && self.embedding == 0;
        if !untold && !(6..=4096).contains(&self.embedding) {
            let allowed = "from 6 to 4096, as fewer do not tell early times from late ones; 0 under a mask";
            let problem = place.problem("embedding", self.embedding.to_string());
            return Err(problem.allowed(allowed).into());
        }
        within(&place.of("auxiliary"), f64::from(self.auxiliary), 0.0, 1e3)?;
        within(&place.of("width"), self.width, 0.1, 1e3)?;
        if self.embedding % 2 == 1 {
            let problem = place.problem("embedding", self.embedding.to_string());
            return Err(problem.allowed("an even width").into());
        }
        if place.index > 0 || !place.is_last() {
            return Err(place
                .problem("kind", "\"jump\" beside other segments")
                .allowed("it alone: its states are categories from the source to the data")
                .into());
        }
        self.check_together(place)
    }

    fn source(&self) -> Option<&'static str> {
        Some(match self.rates {
            RatesName::Absorbing => "every coordinate masked",
            _ => "uniform on all values",
        })
    }

    fn formula(&self) -> &'static str {
        "log q(x_t | x_s) - log p(x_s | x_t), two products over coordinates a step"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        let mut papers = match self.rates {
            RatesName::Absorbing => vec![D3PM, MASKED_DIFFUSION],
            _ => vec![D3PM],
        };
        papers.extend(matches!(self.scheme, SchemeName::TauLeaping).then_some(TAU_LEAPING));
        papers.extend(match self.loss {
            LossName::Bound => None,
            LossName::ScoreEntropy => Some(SCORE_ENTROPY),
            LossName::CrossEntropy => Some(DISCRETE_FLOW),
            LossName::RatioMatching | LossName::Likelihood => Some(HOLLOW),
        });
        papers
    }

    fn network(&self) -> Option<NetworkRecipe> {
        Some(self.network.clone())
    }

    fn learns_choices(&self) -> bool {
        true
    }

    fn takes_integers(&self) -> bool {
        true
    }

    fn reads_prefix(&self) -> bool {
        true
    }

    fn check_sampling(&self, sampling: &Sampling) -> Result<()> {
        let masks = self.rates == RatesName::Absorbing;
        if let (Some(_), false) = (sampling.order, masks) {
            let allowed = "none; or rates = \"absorbing\", whose masks are taken away in an order";
            return Sampling::refused("order", "one of a process without a mask", allowed);
        }
        if sampling.order.is_some() && sampling.corrector > 0 {
            let found = format!("{} beside an order, in which no law at a time is kept", sampling.corrector);
            return Sampling::refused("corrector", &found, "0; or no order");
        }
        if self.predict == PredictName::Marginal && sampling.corrector > 0 && !self.hollow {
            let found = format!("{} by ratios", sampling.corrector);
            let allowed =
                "0; or `hollow = true`, or a `predict` of the data's value, by which conditionals are known";
            return Sampling::refused("corrector", &found, allowed);
        }
        if sampling.eta.is_some() {
            let found = "one of a chain that is not followed by the rates of a mixture";
            if !matches!(self.rates, RatesName::Uniform | RatesName::Absorbing)
                || self.predict == PredictName::Marginal
            {
                let allowed = "none; or uniform or absorbing rates and a `predict` of the data's value";
                return Sampling::refused("eta", found, allowed);
            }
            if sampling.order.is_some() || sampling.corrector > 0 {
                return Sampling::refused("eta", "it beside an order or a corrector", "one of them");
            }
        }
        if let (None, Some(1)) = (sampling.order, sampling.steps) {
            return Sampling::refused("steps", "1 of a jump process", "2 or more; or 1 with an order");
        }
        Ok(())
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let states = self.states(around.levels) as f64;
        let d = (around.prefix + around.dimension) as f64;
        let context = (self.embedding + around.condition - around.prefix) as f64;
        let [weights, row] = match &self.network {
            NetworkRecipe::Mlp { hidden, .. } if self.hollow => {
                HollowNetwork::need([d, states, context], hidden)
            }
            NetworkRecipe::Transformer { width, .. } if self.hollow => {
                // Two streams of tokens, and what they meet in.
                let width = *width as f64;
                let one = self.network.need([d, context, d, width], true);
                let readout = 2.0 * width * (2.0 * width + states);
                [2.0 * (one.weights + states * width) + readout, 2.0 * one.row + d * (4.0 * width + states)]
            }
            _ => {
                let sizes = [d * states, context, d * states, 1.0];
                let Need { weights, row } = tokens(&self.network, states as usize).need(sizes, true);
                [weights, row]
            }
        };
        Size { weights, row, steps: self.levels as f64, inner: around.dimension }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let Some(values) = around.integers() else {
            return Err(around
                .place
                .problem("kind", "\"jump\" next to continuous states")
                .allowed("it next to integer data (target.levels)")
                .into());
        };
        let closed = matches!(self.rates, RatesName::Uniform | RatesName::Absorbing);
        let most = if closed { MOST_VALUES } else { MOST_ORDINALS };
        if values > most {
            return Err(Problem::new("target.levels", format!("{values} with a jump process"))
                .allowed(format!("at most {most} with such rates"))
                .into());
        }
        let process = self.process(values as usize);
        let columns = around.prefix + around.dimension;
        let (states, context) = (process.states(), self.embedding + around.condition - around.prefix);
        let network = match &self.network {
            NetworkRecipe::Mlp { hidden, activation, .. } if self.hollow => {
                let (name, stream) = (around.name("denoiser"), around.stream(0));
                let sizes = [columns, states, context];
                let network = HollowNetwork::new(&name, sizes, hidden, *activation, around.seed, stream);
                Classifier::Hollow(network)
            }
            NetworkRecipe::Transformer { layers, heads, width, inner, activation, .. } if self.hollow => {
                let (layers, heads, width, activation) = (*layers, *heads, *width, *activation);
                let shape = Shape { layers, heads, width, inner: inner.unwrap_or(4 * width), activation };
                let (name, stream) = (around.name("denoiser"), around.stream(0));
                let sizes = [columns, states, context];
                let network = HollowTransformer::new(&name, sizes, shape, around.seed, stream);
                Classifier::HollowTransformer(network)
            }
            _ => {
                let all = columns * states;
                let asked = Asked { input: all, context, output: all, each: 1, own: true, planar: false };
                Classifier::Open(around.network(
                    "denoiser",
                    0,
                    &tokens(&self.network, states),
                    asked,
                    true,
                )?)
            }
        };
        Ok(Box::new(Jump {
            denoiser: NetworkDenoiser { network, states, embedding: self.embedding }.behind(around.prefix),
            process: Arc::new(process),
            answer: match self.predict {
                PredictName::Signal => Answer::Signal,
                PredictName::Conditional => Answer::Conditional,
                PredictName::Marginal => Answer::Marginal,
            },
            scheme: match self.scheme {
                SchemeName::Ancestral => Scheme::Ancestral,
                SchemeName::Euler => Scheme::Euler,
                SchemeName::TauLeaping => Scheme::TauLeaping,
            },
            clock: match self.clock {
                ClockName::Linear => Clock::Linear,
                ClockName::Cosine => Clock::Cosine,
            },
            levels: self.levels,
            loss: match self.loss {
                LossName::Bound => Loss::Bound(self.auxiliary),
                LossName::ScoreEntropy => Loss::ScoreEntropy,
                LossName::CrossEntropy => Loss::CrossEntropy,
                LossName::RatioMatching => Loss::RatioMatching,
                LossName::Likelihood => Loss::Likelihood,
            },
            corrector: 0,
        }))
    }
}
