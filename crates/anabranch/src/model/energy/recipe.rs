//! An energy that learns as recipes name it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Annealed;
use crate::array::weights::{Weights, layout};
use crate::error::{Result, within};
use crate::kernel::discrete_mcmc::CategoricalKernel;
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::objective::energy::EnergyLoss;
use crate::papers;
use crate::rng::{Noise, Purpose};
use crate::target::learned::{EnergyForm, Independent};

/// An energy over categories that learns, with the annealing that leads to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnergySegmentRecipe {
    /// What `log R` is made of.
    pub energy: EnergyForm,
    /// The law that annealing begins at, and that noise is drawn from.
    pub base: BaseName,
    /// How it learns.
    pub loss: EnergyLoss,
    /// The kernel of annealing and, where the loss draws states, of training; block Gibbs where there are hidden units, Gibbs
    /// elsewhere, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<CategoricalKernel>,
    /// How often it moves at a step of annealing, and at a step of training.
    #[schemars(range(min = 1))]
    pub moves: usize,
    /// Steps of annealing.
    #[schemars(range(min = 1))]
    pub levels: usize,
    /// Paths of annealing by which `log Z` is evaluated, from either end.
    #[schemars(range(min = 1))]
    pub paths: usize,
    /// What the absolute value of each coupling costs, per row, nats: of pairs alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub l1: f32,
    /// The absolute value of a coupling from which on it costs no more, so that strong ones are not made smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_from: Option<f32>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
fn is_zero(l1: &f32) -> bool {
    *l1 == 0.0
}

/// Where annealing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BaseName {
    /// At the independent law of the data's marginals.
    Marginals,
    /// At all states alike.
    Uniform,
}

impl Default for EnergySegmentRecipe {
    fn default() -> Self {
        Self {
            energy: EnergyForm::Rbm { hidden: 16 },
            base: BaseName::Marginals,
            loss: EnergyLoss::Persistent,
            kernel: None,
            moves: 1,
            levels: 1000,
            paths: 1000,
            l1: 0.0,
            free_from: None,
        }
    }
}

impl EnergySegmentRecipe {
    fn kernel(&self) -> CategoricalKernel {
        let hidden = matches!(self.energy, EnergyForm::Rbm { .. });
        let unless = if hidden { CategoricalKernel::BlockGibbs } else { CategoricalKernel::Gibbs };
        self.kernel.unwrap_or(unless)
    }
}

impl EnergySegmentRecipe {
    /// The energy with its first weights.
    pub(super) fn annealed(&self, around: &Surroundings<'_>) -> Result<Annealed> {
        let Some(values) = around.integers().filter(|values| *values <= 256) else {
            return Err(around
                .place
                .problem("kind", "\"energy\" next to data that are no categories")
                .allowed("it next to integer data (target.levels) of at most 256 levels")
                .into());
        };
        let (sites, values) = (around.dimension, values as usize);
        self.energy.check_over(&around.place.of("energy"), sites, values)?;
        if around.condition > 0 {
            let problem = around.place.problem("kind", "\"energy\" of data under conditions");
            return Err(problem.allowed("it of data without label or given columns").into());
        }
        let train = around.data.map_or(&[][..], |data| &data.train);
        let base = match self.base {
            BaseName::Marginals => {
                let rows: Vec<u8> = train.iter().map(|value| *value as u8).collect();
                Independent::fitted(&rows, sites, values)
            }
            BaseName::Uniform => Independent::uniform(sites, values),
        };
        let log_masses = base.log_masses().iter().map(|mass| *mass as f32).collect();
        let base_slots = layout([("log_masses", vec![sites * values])]);
        let family = self.energy.family(base);
        let initial = family.initial(&Noise::new(around.seed, Purpose::Weights).step(around.stream(0)));
        Ok(Annealed {
            form: self.energy.clone(),
            values,
            weights: Weights::new(around.name("energy"), family.layout(), initial),
            base: Weights::new(around.name("base"), base_slots, log_masses),
            levels: self.levels,
            kernel: self.kernel(),
            moves: self.moves,
            loss: self.loss,
            l1: self.l1,
            free_from: self.free_from.unwrap_or(f32::INFINITY),
            paths: self.paths,
        })
    }
}

impl Part for EnergySegmentRecipe {
    fn kind(&self) -> &'static str {
        "energy"
    }

    fn check(&self, place: &Place) -> Result<()> {
        self.energy.check(&place.of("energy"))?;
        within(&place.of("moves"), self.moves as f64, 1.0, 1e5)?;
        within(&place.of("levels"), self.levels as f64, 1.0, 1e6)?;
        within(&place.of("paths"), self.paths as f64, 1.0, 1e6)?;
        within(&place.of("l1"), f64::from(self.l1), 0.0, 1e6)?;
        if place.index > 0 || !place.is_last() {
            return Err(place
                .problem("kind", "\"energy\" beside other segments")
                .allowed("it alone: it is the law of the data themselves")
                .into());
        }
        within(&place.of("free_from"), f64::from(self.free_from.unwrap_or(1.0)), 1e-6, 1e6)?;
        let pairs = matches!(self.energy, EnergyForm::Ising { .. } | EnergyForm::Potts { .. });
        if self.l1 > 0.0 && !pairs {
            let problem = place.problem("l1", "a cost of couplings, of which there are none");
            return Err(problem.allowed("0; or an energy of kind \"ising\" or \"potts\"").into());
        }
        let hidden = matches!(self.energy, EnergyForm::Rbm { .. });
        if self.kernel == Some(CategoricalKernel::BlockGibbs) && !hidden {
            let problem = place.problem("kernel", "\"block-gibbs\" of an energy without hidden units");
            return Err(problem
                .allowed(
                    "\"gibbs\", \"gibbs-with-gradients\" or \"random-flip\"; or an energy of kind \"rbm\"",
                )
                .into());
        }
        Ok(())
    }

    fn learns(&self) -> bool {
        true
    }

    fn source(&self) -> Option<&'static str> {
        Some(match self.base {
            BaseName::Marginals => "the independent law of the data's marginals",
            BaseName::Uniform => "uniform on all states",
        })
    }

    fn formula(&self) -> &'static str {
        match self.energy {
            EnergyForm::Ising { .. } => {
                "log gamma(s_{t-1}) - log gamma(s_t), sum_ij K_ij s_i s_j + sum_i h_i s_i at the end"
            }
            EnergyForm::Potts { .. } => {
                "log gamma(s_{t-1}) - log gamma(s_t), sum_ij K_ij [x_i = x_j] + sum_i h_i(x_i) at the end"
            }
            EnergyForm::Rbm { .. } => {
                "log gamma(s_{t-1}) - log gamma(s_t), a^T x + sum_j softplus(c_j + x^T W_j) at the end"
            }
            EnergyForm::Mlp { .. } | EnergyForm::Convolution { .. } => {
                "log gamma(s_{t-1}) - log gamma(s_t), log q(x) + f(x) at the end"
            }
        }
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        let mut all = self.energy.papers();
        all.push(match self.loss {
            EnergyLoss::Contrastive => papers::CONTRASTIVE_DIVERGENCE,
            EnergyLoss::Persistent => papers::PERSISTENT_CHAINS,
            EnergyLoss::PseudoLikelihood => papers::PSEUDO_LIKELIHOOD,
            EnergyLoss::RatioMatching => papers::RATIO_MATCHING,
            EnergyLoss::NoiseContrastive => papers::NOISE_CONTRASTIVE,
        });
        all.push(match self.kernel() {
            CategoricalKernel::Gibbs | CategoricalKernel::BlockGibbs => papers::GIBBS,
            CategoricalKernel::RandomFlip => papers::HASTINGS,
            CategoricalKernel::GibbsWithGradients => papers::GIBBS_WITH_GRADIENTS,
        });
        all.extend([papers::AIS, papers::REVERSE_ANNEALING]);
        all
    }

    fn takes_integers(&self) -> bool {
        true
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let (sites, values) = (around.dimension as f64, f64::from(around.levels));
        let weights = self.energy.weights(sites, values) + sites * values;
        Size { weights, row: sites * values, steps: 1.0, inner: around.dimension }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        Ok(Box::new(self.annealed(around)?))
    }
}
