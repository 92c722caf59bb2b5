//! A normalizing flow as recipes name it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Flow;
use crate::array::shape::Transform;
use crate::error::{Problem, Result, within};
use crate::kernel::bijection::{
    ActNorm, Autoregressive, Bijection, Coupling, Direction, LuLinear, Permutation, Split, Standardise,
};
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::network::recipe::{Asked, Need};
use crate::network::{Activation, MaskedNetwork, NetworkRecipe};
use crate::papers::{IAF, INDM, MAF, NSF, REALNVP};

/// A flow segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowRecipe {
    /// How many layers.
    #[schemars(range(min = 1, max = 1000))]
    pub layers: usize,
    /// How a layer couples coordinates.
    pub coupling: CouplingKind,
    /// The element-wise map.
    pub transformer: TransformerName,
    /// Bins of a spline.
    #[schemars(range(min = 2, max = 32))]
    pub bins: usize,
    /// A spline is the identity outside `+-bound`.
    #[schemars(range(min = 1e-2, max = 1e6))]
    pub bound: f32,
    /// Widths of the conditioner's hidden layers.
    #[schemars(length(min = 1, max = 100), inner(range(min = 1, max = 65_536)))]
    pub hidden: Vec<usize>,
    /// Residual blocks in the conditioner of a coupling; all widths must then agree.
    pub residual: bool,
    /// Whether a coupling sends its passing coordinates through a map of their own, which depends on nothing.
    pub pass_spline: bool,
    /// The conditioner's activation.
    pub activation: Activation,
    /// The conditioner's network, in place of `hidden`, `activation` and `residual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// What mixes coordinates between layers.
    pub mixing: Mixing,
    /// Activation normalisation after each layer, started from data.
    pub actnorm: bool,
    /// A fixed factor of the states on the target's side, where those are wide.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub scale: f32,
}

/// How a flow's layers couple coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CouplingKind {
    /// One half steers the other.
    Coupling,
    /// Masked autoregressive: fast likelihood.
    Autoregressive,
    /// Inverse autoregressive: fast sampling.
    InverseAutoregressive,
}

/// A flow's element-wise map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransformerName {
    /// `y = e^s x + b`.
    Affine,
    /// The monotone rational-quadratic spline.
    Spline,
}

/// What mixes coordinates between a flow's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mixing {
    /// A learned LU-factored matrix.
    Lu,
    /// A fixed random permutation.
    Permutation,
    /// A reversal.
    Reversal,
    /// Nothing; couplings alternate their halves in any case.
    None,
}

impl Default for FlowRecipe {
    fn default() -> Self {
        Self {
            layers: 5,
            coupling: CouplingKind::Coupling,
            transformer: TransformerName::Spline,
            bins: 8,
            bound: 5.0,
            hidden: vec![128, 128],
            residual: false,
            pass_spline: false,
            activation: Activation::Silu,
            network: None,
            mixing: Mixing::Lu,
            actnorm: false,
            scale: 1.0,
        }
    }
}

impl FlowRecipe {
    /// The stack that the older keys tell of.
    fn stack(&self) -> NetworkRecipe {
        let Self { hidden, activation, residual, .. } = self.clone();
        NetworkRecipe::Mlp { hidden, activation, residual }
    }

    /// The conditioner of a layer.
    fn conditioner(&self) -> NetworkRecipe {
        self.network.clone().unwrap_or_else(|| self.stack())
    }

    fn transform(&self) -> Transform {
        match self.transformer {
            TransformerName::Affine => Transform::Affine { cap: 3.0 },
            TransformerName::Spline => Transform::Spline { bins: self.bins, bound: self.bound },
        }
    }

    /// The direction in which an autoregressive map is fast.
    fn direction(&self) -> Option<Direction> {
        match self.coupling {
            CouplingKind::Coupling => None,
            CouplingKind::Autoregressive => Some(Direction::Maf),
            CouplingKind::InverseAutoregressive => Some(Direction::Iaf),
        }
    }

    fn coupling(&self, layer: usize, around: &Surroundings<'_>) -> Result<Coupling> {
        let (d, transform) = (around.dimension, self.transform());
        let split = if layer.is_multiple_of(2) { Split::Even } else { Split::Odd };
        let (pass, change) = split.counts(d);
        let asked = Asked {
            input: pass,
            context: around.condition,
            output: change,
            each: transform.raw_len(),
            own: false,
            planar: false,
        };
        let name = format!("{layer}.conditioner");
        let network = around.network(&name, layer, &self.conditioner(), asked, true)?;
        let coupling = Coupling::new(d, split, transform, network);
        Ok(match self.pass_spline {
            true => coupling.with_pass_transform(around.name(&format!("{layer}.pass"))),
            false => coupling,
        })
    }

    fn autoregressive(
        &self,
        direction: Direction,
        layer: usize,
        around: &Surroundings<'_>,
    ) -> Result<Autoregressive> {
        let NetworkRecipe::Mlp { hidden, activation, .. } = self.conditioner() else {
            let found = self.conditioner().name();
            return Err(around.place.problem("network.kind", found).allowed("mlp").into());
        };
        let (transform, stream) = (self.transform(), around.stream(layer));
        let (name, each) = (around.name(&format!("{layer}.conditioner")), transform.raw_len());
        let masked = MaskedNetwork::new(
            name,
            [around.dimension, 1, around.condition],
            &hidden,
            each,
            activation,
            around.seed,
            stream,
        );
        Ok(Autoregressive::new(direction, transform, masked))
    }
}

impl Part for FlowRecipe {
    fn kind(&self) -> &'static str {
        "flow"
    }

    fn check(&self, place: &Place) -> Result<()> {
        within(&place.of("layers"), self.layers as f64, 1.0, 1000.0)?;
        within(&place.of("bins"), self.bins as f64, 2.0, 32.0)?;
        within(&place.of("bound"), f64::from(self.bound), 1e-2, 1e6)?;
        within(&place.of("scale"), f64::from(self.scale), 1e-6, 1e6)?;
        let couples = self.direction().is_none();
        if self.residual && !couples {
            let problem = place.problem("residual", "true");
            return Err(problem.allowed("false where coupling is autoregressive").into());
        }
        if self.pass_spline && (!couples || self.transformer != TransformerName::Spline) {
            let problem = place.problem("pass_spline", "true");
            return Err(problem.allowed("false unless the layers are couplings of splines").into());
        }
        let network = self.network.as_ref();
        NetworkRecipe::check_named(&place.key(), network, &self.stack(), &Self::default().stack())?;
        if !couples && !matches!(self.conditioner(), NetworkRecipe::Mlp { residual: false, .. }) {
            let found = format!("{} in an autoregressive flow", self.conditioner().describe());
            return Err(Problem::new(place.of("network"), found)
                .allowed("a plain mlp, which masks make causal; or coupling = \"coupling\"")
                .into());
        }
        Ok(())
    }

    fn formula(&self) -> &'static str {
        "log |det dg/dz|"
    }

    fn papers(&self, place: &Place) -> Vec<&'static str> {
        let layer = match self.coupling {
            CouplingKind::Coupling => REALNVP,
            CouplingKind::Autoregressive => MAF,
            CouplingKind::InverseAutoregressive => IAF,
        };
        let map = (self.transformer == TransformerName::Spline).then_some(NSF);
        // Together they are an implicit nonlinear diffusion.
        let diffused = place.before.iter().chain(&place.after).any(|kind| *kind == "diffusion");
        [layer].into_iter().chain(map).chain(diffused.then_some(INDM)).collect()
    }

    fn network(&self) -> Option<NetworkRecipe> {
        Some(self.conditioner())
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let (d, condition) = (around.dimension as f64, around.condition as f64);
        let raw = self.transform().raw_len() as f64;
        let half = (d / 2.0).ceil();
        let Need { weights, row } = match self.direction() {
            None => self.conditioner().need([half, condition, half, raw], false),
            Some(direction) => {
                let need = self.conditioner().need([d, condition, d, raw], false);
                let parallel = around.backward == (direction == Direction::Maf);
                // The masks are as large as the weights; the other direction goes coordinate by coordinate.
                Need { weights: 2.0 * need.weights, row: need.row * if parallel { 1.0 } else { d } }
            }
        };
        let mixing = if self.mixing == Mixing::Lu { 2.0 * d * d } else { 0.0 };
        let layers = self.layers as f64;
        let inner = around.dimension;
        Size { weights: layers * (weights + mixing), row: layers * row, steps: 1.0, inner }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let d = around.dimension;
        if d < 2 && self.direction().is_none() {
            let problem = around.place.problem("coupling", "\"coupling\" in one dimension");
            return Err(problem.allowed("\"autoregressive\" or \"inverse-autoregressive\"").into());
        }
        let mut layers: Vec<Box<dyn Bijection>> = Vec::new();
        for layer in 0..self.layers {
            let shuffled = || Permutation::random(d, around.seed, around.stream(2048 + layer));
            match self.mixing {
                Mixing::Lu => {
                    layers.push(Box::new(shuffled()));
                    layers.push(Box::new(LuLinear::new(around.name(&format!("{layer}.lu")), d)));
                }
                Mixing::Permutation => layers.push(Box::new(shuffled())),
                Mixing::Reversal => layers.push(Box::new(Permutation::reversal(d))),
                Mixing::None => {}
            }
            layers.push(match self.direction() {
                None => Box::new(self.coupling(layer, around)?),
                Some(direction) => Box::new(self.autoregressive(direction, layer, around)?),
            });
            if self.actnorm {
                layers.push(Box::new(ActNorm::new(around.name(&format!("{layer}.actnorm")), d)));
            }
        }
        if self.scale != 1.0 {
            layers.push(Box::new(Standardise::new(vec![0.0; d], vec![self.scale; d])));
        }
        Ok(Box::new(Flow::new(d, layers)))
    }
}
