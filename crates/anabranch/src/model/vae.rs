//! Variational autoencoders, flat and hierarchical: learned Gaussian kernels both ways.
//!
//! ```text
//! forward   z_L -> z_{L-1} -> ... -> z_1 -> x      p(z_{l-1} | z_l) = N(decoder),  p(x | z_1) = observation
//! backward  z_L <- z_{L-1} <- ... <- z_1 <- x      q(z_l | z_{l-1}) = N(encoder)
//! ```
//!
//! A condition is read by every encoder and decoder, as their networks' context.
//!
//! `L = 1` is the ordinary VAE (Kingma and Welling 2014); the bottom-up encoder of `L > 1` is that of deep latent
//! Gaussian models (Rezende et al. 2014) and the importance-weighted autoencoder (Burda et al. 2016).

mod annealed;
pub mod recipe;

pub use annealed::Refinement;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use annealed::RefinedPair;

use super::Segment;
use crate::array::described::Described;
use crate::array::weights::Weights;
use crate::chain::{Given, State, Transition};
use crate::kernel::law::{Bernoulli, DiscretisedLogistic, Gaussian, Law, LogStd, level_centres};
use crate::kernel::pair::{Conditional, Pair};
use crate::network::Network;

/// The law of the data given `z_1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservationModel {
    /// Binary data.
    Bernoulli,
    /// Integer data with this many levels, by a discretised logistic with learned scale.
    DiscretisedLogistic(u32),
    /// Continuous data, by a Gaussian with learned scale.
    Gaussian,
}

impl ObservationModel {
    /// How many numbers the decoder gives per coordinate.
    pub fn outputs(self) -> usize {
        match self {
            Self::Bernoulli => 1,
            Self::DiscretisedLogistic(_) | Self::Gaussian => 2,
        }
    }

    /// Data on the scale that networks like.
    fn scaled(self, x: &State) -> State {
        match self {
            Self::Bernoulli => x.clone() * 2.0 - 1.0,
            Self::DiscretisedLogistic(levels) => level_centres(x, levels),
            Self::Gaussian => x.clone(),
        }
    }
}

/// The bound of log-standard-deviations.
const LOG_STD: f32 = 6.0;

/// The bound of the logistic's log-scale around its offset: from a hundredth of a cell to far beyond the data's range.
const LOG_SCALE: f32 = 4.0;

/// That offset.
const SHIFT: f32 = -3.0;

/// A log-scale kept within `+-bound` of its offset by a smooth squashing.
fn bounded(raw: Tensor<2>, bound: f32) -> Tensor<2> {
    (raw * bound.recip()).tanh() * bound
}

/// Splits a network's output into its two halves.
fn halves(output: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let [rows, columns] = output.dims();
    (output.clone().slice([0..rows, 0..columns / 2]), output.slice([0..rows, columns / 2..columns]))
}

/// A Gaussian whose mean and log-standard-deviation a network gives.
#[derive(Debug, Clone)]
pub struct NetworkGaussian {
    network: Network,
    scale: Option<ObservationModel>,
}

impl NetworkGaussian {
    /// A network with twice as many outputs as the state has coordinates.
    pub fn new(network: Network) -> Self {
        Self { network, scale: None }
    }
}

impl Conditional for &NetworkGaussian {
    fn law(&self, state: &State, given: &Given) -> Box<dyn Law + '_> {
        let input = self.scale.map_or_else(|| state.clone(), |model| model.scaled(state));
        let (mean, raw) =
            halves(self.network.apply(input, given.read(self.network.context(), &state.device())));
        Box::new(Gaussian { mean, log_std: LogStd::Each(bounded(raw, LOG_STD)) })
    }
}

/// The data given `z_1`, as a network tells.
#[derive(Debug, Clone)]
pub struct Decoder {
    network: Network,
    model: ObservationModel,
}

impl Decoder {
    /// The law that an output of the network stands for.
    fn of_output(&self, output: State) -> Box<dyn Law> {
        match self.model {
            ObservationModel::Bernoulli => Box::new(Bernoulli { logits: output }),
            ObservationModel::DiscretisedLogistic(levels) => {
                let (mean, raw) = halves(output);
                let log_scale = bounded(raw, LOG_SCALE) + SHIFT;
                Box::new(DiscretisedLogistic { mean, log_scale, levels })
            }
            ObservationModel::Gaussian => {
                let (mean, raw) = halves(output);
                Box::new(Gaussian { mean, log_std: LogStd::Each(bounded(raw, LOG_STD)) })
            }
        }
    }
}

impl Conditional for &Decoder {
    fn law(&self, state: &State, given: &Given) -> Box<dyn Law + '_> {
        self.of_output(self.network.apply(state.clone(), given.read(self.network.context(), &state.device())))
    }
}

/// A hierarchical variational autoencoder.
#[derive(Debug, Clone)]
pub struct Vae {
    decoder: Decoder,
    decoders: Vec<NetworkGaussian>,
    encoders: Vec<NetworkGaussian>,
    refinement: Option<Refinement>,
}

impl Vae {
    /// `encoders[l]` maps level `l` (0 is the data) to level `l + 1`; `decoders[l]` maps level `l + 1` to level `l`, the
    /// first of them to the data.
    ///
    /// # Panics
    /// If there is no level, or the counts or sizes disagree.
    pub fn new(model: ObservationModel, encoders: Vec<Network>, mut decoders: Vec<Network>) -> Self {
        assert!(
            !encoders.is_empty() && encoders.len() == decoders.len(),
            "one encoder and one decoder per level"
        );
        for (level, (encoder, decoder)) in encoders.iter().zip(&decoders).enumerate() {
            assert_eq!(
                encoder.output(),
                2 * decoder.input(),
                "level {level}: mean and scale per latent coordinate"
            );
            let outputs = if level == 0 { model.outputs() } else { 2 };
            assert_eq!(decoder.output(), outputs * encoder.input(), "level {level}: outputs per coordinate");
        }
        let decoder = Decoder { network: decoders.remove(0), model };
        let mut encoders: Vec<NetworkGaussian> = encoders.into_iter().map(NetworkGaussian::new).collect();
        encoders[0].scale = Some(model);
        let decoders = decoders.into_iter().map(NetworkGaussian::new).collect();
        Self { decoder, decoders, encoders, refinement: None }
    }

    /// With Langevin steps behind the encoder, towards the posterior of the latent code under N(0, I).
    ///
    /// # Panics
    /// If there are several levels, or the decoder is no plain stack.
    pub fn refined(self, refinement: Refinement) -> Self {
        assert!(self.decoders.is_empty() && self.decoder.network.pulls_back(), "one level, by plain stacks");
        Self { refinement: Some(refinement), ..self }
    }

    /// The number of latent levels `L`.
    pub fn levels(&self) -> usize {
        self.encoders.len()
    }
}

impl Segment for Vae {
    fn kind(&self) -> &'static str {
        "vae"
    }

    fn inner_dimension(&self) -> usize {
        self.encoders.last().map_or(0, |encoder| encoder.network.output() / 2)
    }

    fn outer_dimension(&self) -> usize {
        self.encoders[0].network.input()
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let latent = self.decoders.iter().zip(&self.encoders[1..]).rev();
        let mut transitions: Vec<Box<dyn Transition + '_>> = latent
            .map(|(forward, backward)| Box::new(Pair { forward, backward }) as Box<dyn Transition>)
            .collect();
        let (decoder, encoder) = (&self.decoder, &self.encoders[0]);
        transitions.push(match &self.refinement {
            Some(refinement) => Box::new(RefinedPair { decoder, encoder, refinement }),
            None => Box::new(Pair { forward: decoder, backward: encoder }),
        });
        transitions
    }

    fn weights(&self) -> Vec<&Weights> {
        let networks = self.encoders.iter().chain(&self.decoders).map(|gaussian| gaussian.network.weights());
        let refinement = self.refinement.iter().flat_map(Refinement::weights);
        networks.chain([self.decoder.network.weights()]).chain(refinement).collect()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let networks =
            self.encoders.iter_mut().chain(&mut self.decoders).map(|gaussian| gaussian.network.weights_mut());
        let refinement = self.refinement.iter_mut().flat_map(Refinement::weights_mut);
        networks.chain([self.decoder.network.weights_mut()]).chain(refinement).collect()
    }

    fn described(&self) -> Option<Vec<(Described, usize)>> {
        let observation = match self.decoder.model {
            ObservationModel::Bernoulli => json!({ "kind": "bernoulli" }),
            ObservationModel::Gaussian => json!({ "kind": "gaussian", "bound": LOG_STD }),
            ObservationModel::DiscretisedLogistic(levels) => {
                json!({ "kind": "discretised-logistic", "levels": levels, "bound": LOG_SCALE, "shift": SHIFT })
            }
        };
        let networks = |of: &[NetworkGaussian]| -> Option<Vec<Value>> {
            of.iter().map(|gaussian| gaussian.network.described()).collect()
        };
        let decoders = [vec![self.decoder.network.described()?], networks(&self.decoders)?].concat();
        let settings = json!({
            "observation": observation,
            "bound": LOG_STD,
            "encoders": networks(&self.encoders)?,
            "decoders": decoders,
        });
        self.refinement.is_none().then(|| vec![(Described::new("vae", settings), self.levels())])
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}
