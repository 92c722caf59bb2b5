//! Langevin dynamics and their reversals as recipes name them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Langevin, Reversal};
use crate::error::{Result, within};
use crate::model::Segment;
use crate::model::annealed::annealing_path::AnnealingPath;
use crate::model::annealed::recipe::{BaseRecipe, LadderName};
use crate::model::annealed::{Decay, Drift, Friction, Ladder, PathKind, StepSizes, Underdamped};
use crate::model::part::{Asks, Part, Place, Size, Surroundings};
use crate::network::recipe::{Asked, Need};
use crate::network::{Activation, NetworkRecipe};
use crate::papers::{
    CONTROLLED_MCD, DIFFERENTIABLE_AIS, LANGEVIN_VI, MONTE_CARLO_DIFFUSION, STOCHASTIC_FLOWS,
    UNCORRECTED_HMC, UNDERDAMPED_BRIDGES,
};

/// Langevin dynamics along a path of densities to an energy, and the chain that runs against them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LangevinRecipe {
    /// Steps, and densities on the way, the last of which is the target.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
    /// Which densities they are.
    pub path: PathKind,
    /// Where they lie: "even" or "learned".
    pub ladder: LadderName,
    /// How far a step goes.
    pub step: StepRecipe,
    /// What runs against the dynamics.
    pub reversal: ReversalName,
    /// Dynamics with a momentum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<MomentumRecipe>,
    /// The base.
    pub base: BaseRecipe,
    /// Widths of the hidden layers of the reversal's drift.
    pub hidden: Vec<usize>,
    /// Its activation.
    pub activation: Activation,
    /// The drift's network, in place of `hidden` and `activation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// Width of the embedding of the place on the path (even).
    #[schemars(range(min = 2, max = 4096))]
    pub embedding: usize,
}

/// The step sizes of dynamics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepRecipe {
    /// The first.
    #[schemars(range(min = 1e-9, max = 1e6))]
    pub size: f32,
    /// How the others follow.
    pub decay: Decay,
    /// Whether gradients of the objective move them, each of its own.
    pub learned: bool,
}

impl Default for StepRecipe {
    fn default() -> Self {
        Self { size: 0.05, decay: Decay::Constant, learned: false }
    }
}

/// The momentum of dynamics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MomentumRecipe {
    /// A step of size `h` keeps `exp(-friction h)` of it.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub friction: f32,
    /// Whether gradients of the objective move the friction.
    pub learned: bool,
}

impl Default for MomentumRecipe {
    fn default() -> Self {
        Self { friction: 2.0, learned: false }
    }
}

/// What runs against dynamics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReversalName {
    /// The dynamics themselves.
    None,
    /// The dynamics and a learned drift.
    #[default]
    Learned,
    /// The dynamics and a learned drift, by which the forward chain is driven, too; of a momentum, a drift for each chain.
    Controlled,
}

impl Default for LangevinRecipe {
    fn default() -> Self {
        Self {
            steps: 64,
            path: PathKind::Geometric,
            ladder: LadderName::Even,
            step: StepRecipe::default(),
            reversal: ReversalName::Learned,
            momentum: None,
            base: BaseRecipe::default(),
            hidden: vec![64, 64],
            activation: Activation::Silu,
            network: None,
            embedding: 32,
        }
    }
}

impl LangevinRecipe {
    fn stack(&self) -> NetworkRecipe {
        NetworkRecipe::Mlp { hidden: self.hidden.clone(), activation: self.activation, residual: false }
    }

    fn named(&self) -> NetworkRecipe {
        self.network.clone().unwrap_or_else(|| self.stack())
    }

    /// Whether something learns that is no network.
    fn learns_path(&self) -> bool {
        self.step.learned || self.base.learned || self.ladder == LadderName::Learned
    }

    fn asked(&self, around: &Surroundings<'_>) -> Asked {
        let halves = if self.momentum.is_some() { 2 } else { 1 };
        let drifts = if self.reversal == ReversalName::Controlled { halves } else { 1 };
        Asked {
            input: halves * around.dimension,
            context: self.embedding + around.condition,
            output: drifts * around.dimension,
            each: 1,
            own: halves == 1,
            planar: false,
        }
    }
}

/// Checks the width of an embedding.
pub(in crate::model::annealed) fn check_embedding(place: &Place, width: usize) -> Result<()> {
    within(&place.of("embedding"), width as f64, 2.0, 4096.0)?;
    if width % 2 == 1 {
        return Err(place.problem("embedding", width.to_string()).allowed("an even width").into());
    }
    Ok(())
}

impl Part for LangevinRecipe {
    fn kind(&self) -> &'static str {
        "langevin"
    }

    fn check(&self, place: &Place) -> Result<()> {
        within(&place.of("steps"), self.steps as f64, 1.0, 1e5)?;
        within(&place.of("step.size"), f64::from(self.step.size), 1e-9, 1e6)?;
        if let Some(momentum) = &self.momentum {
            within(&place.of("momentum.friction"), f64::from(momentum.friction), 1e-6, 1e6)?;
        }
        if self.ladder == LadderName::Adaptive {
            return Err(place
                .problem(
                    "ladder",
                    "\"adaptive\", which is found by kernels that leave their densities invariant",
                )
                .allowed("\"even\" or \"learned\"")
                .into());
        }
        self.base.check(place)?;
        check_embedding(place, self.embedding)?;
        let unset = Self::default().stack();
        if self.reversal == ReversalName::None && (self.network.is_some() || self.stack() != unset) {
            return Err(place
                .problem("reversal", "\"none\" beside the network of a drift")
                .allowed("\"learned\" or \"controlled\"; or no network")
                .into());
        }
        NetworkRecipe::check_named(&place.key(), self.network.as_ref(), &self.stack(), &unset)
    }

    fn formula(&self) -> &'static str {
        match (&self.momentum, self.reversal) {
            (None, ReversalName::None) => {
                "log N(z; z' + eps g(z'), 2 eps) - log N(z'; z + eps g(z), 2 eps), g = grad log gamma_k"
            }
            (None, ReversalName::Learned) => {
                "log N(z; z' + eps (g(z') + s(z', k)), 2 eps) - log N(z'; z + eps g(z), 2 eps), g = grad log gamma_k"
            }
            (None, ReversalName::Controlled) => {
                "log N(z; z' + eps (g - u)(z'), 2 eps) - log N(z'; z + eps (g + u)(z), 2 eps), g = grad log gamma_k"
            }
            (Some(_), ReversalName::None) => {
                "log N(rho; eta rho~, 1 - eta^2) - log N(rho~; eta rho, 1 - eta^2), and leapfrog steps between"
            }
            (Some(_), ReversalName::Learned) => {
                "log N(rho; eta rho~ + (1 - eta^2) s(z, rho~, k), 1 - eta^2) - log N(rho~; eta rho, 1 - eta^2), and leapfrog steps"
            }
            (Some(_), ReversalName::Controlled) => {
                "log N(rho; eta rho~ + (1 - eta^2) s~, 1 - eta^2) - log N(rho~; eta rho + (1 - eta^2) u, 1 - eta^2), and leapfrog steps"
            }
        }
    }

    fn papers(&self, place: &Place) -> Vec<&'static str> {
        let flows = if place.index > 0 { vec![STOCHASTIC_FLOWS] } else { Vec::new() };
        let own = match (&self.momentum, self.reversal) {
            (None, ReversalName::None) => vec![STOCHASTIC_FLOWS, DIFFERENTIABLE_AIS],
            (None, ReversalName::Learned) => vec![MONTE_CARLO_DIFFUSION],
            (None, ReversalName::Controlled) => vec![CONTROLLED_MCD],
            (Some(_), ReversalName::Controlled) => vec![CONTROLLED_MCD, UNDERDAMPED_BRIDGES],
            (Some(_), ReversalName::None) => vec![UNCORRECTED_HMC, DIFFERENTIABLE_AIS],
            (Some(_), ReversalName::Learned) => vec![LANGEVIN_VI, MONTE_CARLO_DIFFUSION],
        };
        let mut all = [own, flows].concat();
        all.dedup();
        all
    }

    fn learns(&self) -> bool {
        let friction = self.momentum.as_ref().is_some_and(|momentum| momentum.learned);
        self.reversal != ReversalName::None || self.learns_path() || friction
    }

    fn learns_backward(&self) -> bool {
        self.learns()
    }

    fn learns_through_states(&self) -> Option<&'static str> {
        (self.momentum.is_some() && self.learns_path())
            .then_some("step sizes, ladder or base that learn, of dynamics with a momentum")
    }

    fn asks(&self) -> Asks {
        Asks::Curvature
    }

    fn knows_levels(&self) -> bool {
        true
    }

    fn network(&self) -> Option<NetworkRecipe> {
        (self.reversal != ReversalName::None).then(|| self.named())
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let d = around.dimension as f64;
        let asked = self.asked(around);
        let Need { weights, row } = match self.network() {
            Some(network) => {
                network.need([asked.input as f64, asked.context as f64, asked.output as f64, 1.0], asked.own)
            }
            None => Need { weights: 0.0, row: 0.0 },
        };
        let times = if self.reversal == ReversalName::Controlled { 2.0 } else { 1.0 };
        Size {
            weights: weights + 2.0 * d + 2.0 * self.steps as f64 + 1.0,
            row: 10.0 * d + times * row,
            steps: 1.0 + self.steps as f64,
            inner: around.dimension,
        }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let target = around.asked(self)?;
        let StepRecipe { size, decay, learned } = self.step;
        let path = AnnealingPath {
            target,
            base: self.base.build(around),
            draws_base: around.place.index == 0,
            kind: self.path,
            ladder: Ladder::new(around.name("ladder"), self.steps, self.ladder == LadderName::Learned),
            sizes: StepSizes::new(around.name("steps"), self.steps, size, decay, learned),
        };
        let drift = |network: NetworkRecipe| -> Result<Drift> {
            let network = around.network("drift", 0, &network, self.asked(around), true)?;
            Ok(Drift::new(network, around.condition, self.base.mean, self.base.std))
        };
        let reversal = match self.reversal {
            ReversalName::None => Reversal::Same,
            ReversalName::Learned => Reversal::Learned(drift(self.named())?),
            ReversalName::Controlled => Reversal::Controlled(drift(self.named())?),
        };
        Ok(match &self.momentum {
            None => Box::new(Langevin { path, reversal }),
            Some(MomentumRecipe { friction, learned }) => {
                let friction = Friction::new(around.name("friction"), *friction, *learned);
                Box::new(Underdamped { path, reversal, friction })
            }
        })
    }
}
