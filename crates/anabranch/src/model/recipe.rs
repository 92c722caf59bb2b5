//! The families of segments that a recipe can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::annealed::AnnealedFlowRecipe;
use super::annealed::controlled::recipe::ControlledRecipe;
use super::annealed::langevin::recipe::LangevinRecipe;
use super::annealed::recipe::AnnealingRecipe;
use super::autoregressive::recipe::AutoregressiveRecipe;
use super::diffusion::recipe::DiffusionRecipe;
use super::energy::flow_recipe::EnergyFlowRecipe;
use super::energy::recipe::EnergySegmentRecipe;
use super::flow::fixed::{DequantiseRecipe, LogitRecipe, StandardiseRecipe, WhitenRecipe};
use super::flow::probit::ProbitRecipe;
use super::flow::recipe::FlowRecipe;
use super::guide::constrain::ConstrainRecipe;
use super::guide::gaussian::GaussianRecipe;
use super::guide::mixture::MixtureRecipe;
use super::jump::recipe::JumpRecipe;
use super::part::{Part, Place};
use super::trained::recipe::RunRecipe;
use super::vae::recipe::VaeRecipe;

macro_rules! families {
    ($($(#[$about:meta])* $name:ident($recipe:ty),)+) => {
        /// One stretch of the chain.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
        pub enum SegmentRecipe {
            $($(#[$about])* $name($recipe),)+
        }

        impl SegmentRecipe {
            /// The family.
            pub fn part(&self) -> &dyn Part {
                match self {
                    $(Self::$name(part) => part,)+
                }
            }

            /// Every family, with its keys as they are where nobody sets them.
            pub fn families() -> Vec<Self> {
                vec![$(Self::$name(<$recipe>::default()),)+]
            }
        }
    };
}

families! {
    /// Gaussian kernels against fixed noise.
    Diffusion(DiffusionRecipe),
    /// Jumps between categories against a fixed jump process.
    Jump(JumpRecipe),
    /// Categories one after the other, each given those before.
    Autoregressive(AutoregressiveRecipe),
    /// An energy over categories that learns, with the annealing that leads to it.
    Energy(EnergySegmentRecipe),
    /// Such an energy and a flow network that samples it, trained together.
    EnergyFlowNetwork(EnergyFlowRecipe),
    /// What a finished run has learned, before the segments behind it.
    Run(RunRecipe),
    /// Learned bijections.
    Flow(FlowRecipe),
    /// Learned Gaussian kernels both ways.
    Vae(VaeRecipe),
    /// Markov kernels along a path of densities to an energy: annealed importance sampling.
    Annealing(AnnealingRecipe),
    /// Langevin dynamics along a path of densities to an energy, against a reversal that may be learned.
    Langevin(LangevinRecipe),
    /// A simple process with a learned control to an energy.
    Controlled(ControlledRecipe),
    /// A Gaussian guide: mean field, full rank or low rank.
    Gaussian(GaussianRecipe),
    /// A mixture of Gaussians, as guide.
    Mixture(MixtureRecipe),
    /// From the line onto what coordinates are allowed to be.
    Constrain(ConstrainRecipe),
    /// A flow in front of every Markov kernel of such a path.
    AnnealedFlow(AnnealedFlowRecipe),
    /// Integers as rounded continuous states; the last segment before data with levels.
    Dequantise(DequantiseRecipe),
    /// Columns of few values as cells of latent real ones; the last segment before a table of mixed columns.
    Probit(ProbitRecipe),
    /// Undoes the standardisation fitted to the training split.
    Standardise(StandardiseRecipe),
    /// Undoes scales and correlations fitted to the training split: the data's own Gaussian becomes the standard one.
    Whiten(WhitenRecipe),
    /// The sigmoid from the line onto the data's levels, slightly widened.
    Logit(LogitRecipe),
}

impl SegmentRecipe {
    /// The parts of a model from the source to the target, each with where it stands.
    pub fn parts(model: &[Self]) -> impl DoubleEndedIterator<Item = (&dyn Part, Place)> {
        model.iter().enumerate().map(|(index, segment)| {
            let kinds = |segments: &[Self]| segments.iter().map(|other| other.part().kind()).collect();
            let after = &model[index + 1..];
            let place = Place {
                index,
                before: kinds(&model[..index]),
                after: kinds(after),
                learned_after: after.iter().any(|other| other.part().learns()),
            };
            (segment.part(), place)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_bears_its_name_in_recipes() {
        for family in SegmentRecipe::families() {
            let kind = family.part().kind();
            assert_eq!(toml::from_str(&format!("kind = \"{kind}\"")), Ok(family));
        }
    }
}
