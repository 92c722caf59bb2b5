//! A flow in front of every Markov kernel of a path: annealed flow transport (Arbel, Matthews, Doucet 2021), a stochastic normalizing
//! flow whose layers alternate (Wu, Köhler, Noé 2020).
//!
//! ```text
//! q = gamma_0 -> [T_1] -> [kernel of gamma_1] -> [T_2] -> [kernel of gamma_2] -> ... -> R
//! log w = sum_k [log gamma_k(T_k x_{k-1}) + log |det DT_k(x_{k-1})| - log gamma_{k-1}(x_{k-1})]
//! ```
//!
//! Maps begin as the identity, with which it is annealed importance sampling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recipe::{AnnealingRecipe, BaseRecipe, BeginName, LadderName, MassName};
use super::{KernelRecipe, PathKind};
use crate::array::weights::Weights;
use crate::chain::{Given, State, Transition};
use crate::error::{Error, Failure, Result, within};
use crate::model::flow::recipe::{FlowRecipe, Mixing, TransformerName};
use crate::model::part::{Asks, Part, Place, Size, Surroundings};
use crate::model::{Segment, Watch};
use crate::network::NetworkRecipe;
use crate::papers::{ANNEALED_FLOWS, STOCHASTIC_FLOWS};
use crate::rng::Noise;

/// A flow in front of every Markov kernel of a path, from a Gaussian base to the energy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnnealedFlowRecipe {
    /// Densities on the way, the last of which is the target: as many flows and kernels.
    #[schemars(range(min = 1, max = 1000))]
    pub steps: usize,
    /// The flow in front of each kernel.
    pub flow: FlowRecipe,
    /// Which densities they are.
    pub path: PathKind,
    /// Where they lie.
    pub ladder: LadderName,
    /// The kernel that leaves each of them invariant.
    pub kernel: KernelRecipe,
    /// How often it moves at each of them.
    #[schemars(range(min = 1))]
    pub moves: usize,
    /// The step size; unless given it is tuned to the best acceptance at warm-up, for each density, with a scale for each coordinate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<f32>,
    /// Rounds of moves at each density, by which step sizes are tuned.
    pub warm_up: usize,
    /// The base.
    pub base: BaseRecipe,
}

impl Default for AnnealedFlowRecipe {
    fn default() -> Self {
        let AnnealingRecipe { path, ladder, stretch: _, kernel, moves, step, warm_up, base, .. } =
            AnnealingRecipe::default();
        let flow = FlowRecipe {
            layers: 2,
            transformer: TransformerName::Affine,
            hidden: vec![32, 32],
            mixing: Mixing::None,
            ..FlowRecipe::default()
        };
        Self { steps: 10, flow, path, ladder, kernel, moves, step, warm_up, base }
    }
}

/// Flows and kernels of a path, one after the other.
pub struct AnnealedFlow {
    /// A map in front of each kernel.
    flows: Vec<Box<dyn Segment>>,
    /// The kernels, behind a draw of the base where the segment stands next to the source.
    kernels: Box<dyn Segment>,
}

impl AnnealedFlow {
    /// Puts maps in front of the kernels of a path.
    ///
    /// # Panics
    /// If they are not as many as the kernels.
    pub fn new(flows: Vec<Box<dyn Segment>>, kernels: super::Annealing) -> Self {
        assert_eq!(flows.len(), kernels.ladder.steps(), "a map for every kernel");
        Self { flows, kernels: Box::new(kernels) }
    }
}

impl Segment for AnnealedFlow {
    fn kind(&self) -> &'static str {
        "annealed-flow"
    }

    fn inner_dimension(&self) -> usize {
        self.kernels.inner_dimension()
    }

    fn outer_dimension(&self) -> usize {
        self.kernels.outer_dimension()
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let mut kernels = self.kernels.transitions();
        let mut all: Vec<Box<dyn Transition + '_>> =
            kernels.drain(..kernels.len() - self.flows.len()).collect();
        for (flow, kernel) in self.flows.iter().zip(kernels) {
            all.extend(flow.transitions());
            all.push(kernel);
        }
        all
    }

    fn weights(&self) -> Vec<&Weights> {
        self.flows.iter().chain([&self.kernels]).flat_map(|segment| segment.weights()).collect()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        self.flows.iter_mut().chain([&mut self.kernels]).flat_map(|segment| segment.weights_mut()).collect()
    }

    fn tunes(&self) -> bool {
        self.kernels.tunes()
    }

    /// Kernels are tuned along the densities of the path, whatever the maps are.
    fn warm_up(
        &mut self,
        x: State,
        given: &Given,
        noise: &Noise,
        watch: &Watch<'_>,
    ) -> Result<State, Failure> {
        self.kernels.warm_up(x, given, noise, watch)
    }

    fn ladder(&self) -> Vec<f64> {
        let mut places = self.kernels.ladder();
        let mut all: Vec<f64> = places.drain(..places.len() - self.flows.len()).collect();
        for (flow, place) in self.flows.iter().zip(places) {
            all.extend(std::iter::repeat_n(place, flow.steps() + 1));
        }
        all
    }

    fn boxed(&self) -> Box<dyn Segment> {
        let flows = self.flows.iter().map(|flow| flow.boxed()).collect();
        Box::new(Self { flows, kernels: self.kernels.boxed() })
    }
}

impl AnnealedFlowRecipe {
    /// The kernels alone.
    fn kernels(&self) -> AnnealingRecipe {
        AnnealingRecipe {
            steps: self.steps,
            path: self.path,
            ladder: self.ladder,
            stretch: None,
            kernel: self.kernel,
            mass: MassName::Diagonal,
            moves: self.moves,
            step: self.step,
            warm_up: self.warm_up,
            base: self.base.clone(),
            begin: BeginName::Base,
        }
    }
}

/// A problem of the flow with its full key.
fn inside(place: &Place, error: Error) -> Error {
    let Error::Input(problem) = error else { return error };
    let own = format!("{}.", place.key());
    let key = problem.place().strip_prefix(&own).map(|key| format!("{own}flow.{key}"));
    match key {
        Some(key) => problem.at(key).into(),
        None => Error::Input(problem),
    }
}

impl Part for AnnealedFlowRecipe {
    fn kind(&self) -> &'static str {
        "annealed-flow"
    }

    fn check(&self, place: &Place) -> Result<()> {
        within(&place.of("steps"), self.steps as f64, 1.0, 1000.0)?;
        if let KernelRecipe::Gibbs {} = self.kernel {
            let found = "\"gibbs\" where gradients pass, which go through no draw of a conditional law";
            return Err(place.problem("kernel", found).allowed("another kernel").into());
        }
        self.kernels().check(place)?;
        self.flow.check(place).map_err(|error| inside(place, error))
    }

    fn formula(&self) -> &'static str {
        "log |det DT_k| of a map, log gamma_k(x_{k-1}) - log gamma_k(x_k) of the kernel behind it"
    }

    fn papers(&self, place: &Place) -> Vec<&'static str> {
        [vec![STOCHASTIC_FLOWS, ANNEALED_FLOWS], self.kernels().papers(place), self.flow.papers(place)]
            .concat()
    }

    fn learns(&self) -> bool {
        true
    }

    fn asks(&self) -> Asks {
        self.kernels().asks()
    }

    fn knows_levels(&self) -> bool {
        true
    }

    fn network(&self) -> Option<NetworkRecipe> {
        self.flow.network()
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let (kernels, flow) = (self.kernels().size(around), self.flow.size(around));
        Size {
            weights: kernels.weights + self.steps as f64 * flow.weights,
            row: kernels.row.max(flow.row),
            steps: kernels.steps + self.steps as f64,
            inner: around.dimension,
        }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let flow = |step: usize| -> Result<Box<dyn Segment>> {
            // Streams of initial values of their own.
            let seed = around.seed.wrapping_add((step as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let around = Surroundings { seed, ..around.clone() };
            let mut flow = self.flow.build(&around).map_err(|error| inside(&around.place, error))?;
            let own = around.name("");
            for weights in flow.weights_mut() {
                let rest = weights.name().strip_prefix(&own).unwrap_or(weights.name());
                weights.rename(format!("{own}{step}.{rest}"));
            }
            Ok(flow)
        };
        let flows = (0..self.steps).map(flow).collect::<Result<Vec<_>>>()?;
        let kernels = self.kernels().annealing(around, around.asked(self)?);
        Ok(Box::new(AnnealedFlow::new(flows, kernels)))
    }
}
