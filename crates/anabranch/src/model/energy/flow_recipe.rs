//! An energy and a flow network that sample and learn from each other, as recipes name them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flow_network::{AcceptanceRule, FlowNetwork, Settings, policy};
use super::recipe::{BaseName, EnergySegmentRecipe};
use crate::array::weights::Weights;
use crate::error::{Result, quoted, within};
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::network::recipe::{perceptron, stack};
use crate::network::taped::TapedNetwork as _;
use crate::network::{Activation, NetworkRecipe};
use crate::objective::energy::EnergyLoss;
use crate::papers;
use crate::policy::Policy as _;
use crate::rng::{Noise, Purpose};
use crate::target::learned::EnergyForm;

/// An energy over categories and a flow network that samples it, trained together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnergyFlowRecipe {
    /// What `log R` is made of.
    pub energy: EnergyForm,
    /// The law that the energy is beside, where it is a network.
    pub base: BaseName,
    /// What the absolute value of each coupling costs, per row, nats: of pairs alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub l1: f32,
    /// The absolute value of a coupling from which on it costs no more, so that strong ones are not made smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_from: Option<f32>,
    /// The flow network: a perceptron.
    pub network: NetworkRecipe,
    /// The share of a step's trajectories that are walked backward from data.
    #[schemars(range(min = 0, max = 0.99))]
    pub back_ratio: f64,
    /// When a negative takes the place of its datum.
    pub acceptance: AcceptanceRule,
    /// Steps over which the number of erased sites grows from 1 to all of them.
    pub warm_up: u64,
    /// The energy's learning rate over the flow network's.
    pub energy_rate: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
fn is_zero(l1: &f32) -> bool {
    *l1 == 0.0
}

impl Default for EnergyFlowRecipe {
    fn default() -> Self {
        Self {
            energy: EnergyForm::Mlp { hidden: vec![256, 256, 256], activation: Activation::Elu },
            base: BaseName::Uniform,
            l1: 0.0,
            free_from: None,
            network: NetworkRecipe::Mlp {
                hidden: vec![256, 256, 256],
                activation: Activation::Silu,
                residual: false,
            },
            back_ratio: 0.5,
            acceptance: AcceptanceRule::Metropolis,
            warm_up: 10_000,
            energy_rate: 1.0,
        }
    }
}

impl EnergyFlowRecipe {
    fn energy(&self) -> EnergySegmentRecipe {
        EnergySegmentRecipe {
            energy: self.energy.clone(),
            base: self.base,
            loss: EnergyLoss::Contrastive,
            l1: self.l1,
            free_from: self.free_from,
            ..EnergySegmentRecipe::default()
        }
    }
}

impl Part for EnergyFlowRecipe {
    fn kind(&self) -> &'static str {
        "energy-flow-network"
    }

    fn check(&self, place: &Place) -> Result<()> {
        self.energy().check(place)?;
        self.network.check(&place.of("network"))?;
        within(&place.of("back_ratio"), self.back_ratio, 0.0, 0.99)?;
        within(&place.of("energy_rate"), self.energy_rate, 1e-6, 1e6)?;
        match &self.network {
            NetworkRecipe::Mlp { .. } => Ok(()),
            other => {
                let problem = place.problem("network.kind", quoted(other.name()));
                Err(problem.allowed("\"mlp\", over indicators of the sites that are set").into())
            }
        }
    }

    fn learns(&self) -> bool {
        true
    }

    fn source(&self) -> Option<&'static str> {
        Some("every site empty")
    }

    fn formula(&self) -> &'static str {
        "log P_B(s_{t-1} | s_t) - log P_F(site, value | s_{t-1}), P_B uniform on the sites that are set"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        let mut all = vec![papers::EB_GFN, papers::BALANCE];
        all.extend(self.energy.papers());
        all
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

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let of_energy = self.energy().size(around);
        let moves = around.dimension as f64 * f64::from(around.levels);
        let NetworkRecipe::Mlp { hidden, residual, .. } = &self.network else { return of_energy };
        let need = stack(moves, hidden, moves, *residual);
        Size {
            weights: of_energy.weights + need.weights,
            row: need.row,
            steps: around.dimension as f64,
            inner: around.dimension,
        }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let energy = self.energy().annealed(around)?;
        let policy = policy(around.dimension, energy.values)?;
        let NetworkRecipe::Mlp { hidden, activation, residual } = &self.network else {
            unreachable!("the recipe was checked");
        };
        let network = perceptron(policy.inputs(), hidden, policy.outputs(), *activation, *residual);
        let initial = network.initial(&Noise::new(around.seed, Purpose::Weights));
        let weights = Weights::new(around.name("policy"), network.layout(), initial);
        let settings = Settings {
            back_ratio: self.back_ratio,
            acceptance: self.acceptance,
            warm_up: self.warm_up,
            energy_rate: self.energy_rate,
        };
        Ok(Box::new(FlowNetwork::new(energy, policy, network, weights, settings)))
    }
}
