//! Annealed importance sampling as recipes name it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Annealing, Base, Flowing, KernelRecipe, Ladder, PathKind, Strides, WarmUp};
use crate::error::{Failure, Result, positive, within};
use crate::model::Segment;
use crate::model::exact::is_exact;
use crate::model::part::{Asks, Part, Place, Size, Surroundings};
use crate::papers::{AIS, OPTIMAL_LADDER, STOCHASTIC_FLOWS};
use crate::target::Target;

/// Markov kernels that leave the densities of a path invariant, from a Gaussian base to the energy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnnealingRecipe {
    /// Densities on the way, the last of which is the target.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
    /// Which densities they are.
    pub path: PathKind,
    /// Where they lie.
    pub ladder: LadderName,
    /// The part of the path from the base (0) to the target (1) that is walked, where several segments share one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stretch: Option<[f64; 2]>,
    /// The kernel that leaves each of them invariant.
    pub kernel: KernelRecipe,
    /// The mass matrix of `hmc`, whose inverse is the variance of the particles, or their covariance, at warm-up.
    #[serde(skip_serializing_if = "MassName::is_diagonal")]
    pub mass: MassName,
    /// How often it moves at each of them.
    #[schemars(range(min = 1, max = 10_000))]
    pub moves: usize,
    /// The step size; unless given it is tuned to the best acceptance at warm-up, for each density, with a scale for each coordinate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1e-9, max = 1e6))]
    pub step: Option<f32>,
    /// Rounds of moves at each density, by which step sizes are tuned.
    #[schemars(range(min = 0, max = 60))]
    pub warm_up: usize,
    /// The base.
    pub base: BaseRecipe,
    /// Whether the path begins at it, or at the run before it.
    #[serde(skip_serializing_if = "BeginName::is_base")]
    pub begin: BeginName,
}

/// What a path of densities begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BeginName {
    /// The base.
    #[default]
    Base,
    /// The density of a finished run, which stands before it.
    Run,
}

impl BeginName {
    #[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
    fn is_base(&self) -> bool {
        *self == Self::Base
    }
}

/// Where the densities of a path lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LadderName {
    /// Evenly.
    Even,
    /// So that each adds as much to the spread of the weights, found at warm-up.
    #[default]
    Adaptive,
    /// Where gradients of the objective put them.
    Learned,
}

/// The shape of a mass matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MassName {
    /// A mass for each coordinate.
    #[default]
    Diagonal,
    /// One for each pair of them.
    Dense,
}

impl MassName {
    #[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
    fn is_diagonal(&self) -> bool {
        *self == Self::Diagonal
    }
}

/// The Gaussian that a path begins at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BaseRecipe {
    /// The mean of every coordinate.
    #[schemars(range(min = -1e12, max = 1e12))]
    pub mean: f32,
    /// The standard deviation of every coordinate.
    #[schemars(range(min = 1e-12, max = 1e12))]
    pub std: f32,
    /// Whether gradients of the objective move both.
    pub learned: bool,
}

impl Default for BaseRecipe {
    fn default() -> Self {
        Self { mean: 0.0, std: 1.0, learned: false }
    }
}

impl BaseRecipe {
    /// Checks its values.
    ///
    /// # Errors
    /// The first out of range.
    pub(super) fn check(&self, place: &Place) -> Result<()> {
        within(&place.of("base.mean"), f64::from(self.mean), -1e12, 1e12)?;
        within(&place.of("base.std"), f64::from(self.std), 1e-12, 1e12)
    }

    /// The base over the coordinates of a segment.
    pub(super) fn build(&self, around: &Surroundings<'_>) -> Base {
        Base::new(around.name("base"), around.dimension, self.mean, self.std, self.learned)
    }
}

impl Default for AnnealingRecipe {
    fn default() -> Self {
        Self {
            steps: 64,
            path: PathKind::Geometric,
            ladder: LadderName::Adaptive,
            stretch: None,
            kernel: KernelRecipe::default(),
            mass: MassName::Diagonal,
            moves: 1,
            step: None,
            warm_up: 20,
            base: BaseRecipe::default(),
            begin: BeginName::Base,
        }
    }
}

impl AnnealingRecipe {
    /// Refuses a path from a run that does not stand before it, or through which something learns.
    fn check_begin(&self, place: &Place) -> Result<()> {
        if self.begin == BeginName::Base {
            return Ok(());
        }
        let refused = |found: &str, allowed: &str| {
            Err(place.problem("begin", format!("\"run\" {found}")).allowed(allowed).into())
        };
        if place.before != ["run"] {
            return refused(
                "of a segment that no run stands before",
                "it behind a segment of kind \"run\" alone; or \"base\"",
            );
        }
        if self.learns() || place.learned_after {
            return refused(
                "where gradients pass, which go through no density of a run",
                "it where nothing learns; or \"base\"",
            );
        }
        Ok(())
    }

    /// The density of the run before it, where the path begins there.
    fn flow(&self, around: &Surroundings<'_>) -> Result<Option<Arc<Flowing>>> {
        let model = match (self.begin, around.run) {
            (BeginName::Run, Some(model)) => model,
            _ => return Ok(None),
        };
        if is_exact(model).map_err(Failure::into_error)? {
            return Ok(Some(Arc::new(Flowing::new(model))));
        }
        let problem = around.place.problem("begin", "\"run\" of a run whose density is only bounded");
        Err(problem
            .allowed("it of one of bijections, such as a \"flow\" or a \"gaussian\", or of a \"mixture\"; or \"base\": its draws are weighed by their paths")
            .into())
    }

    /// Refuses what draws of conditional laws cannot be part of.
    fn check_gibbs(&self, place: &Place) -> Result<()> {
        let refused = |found: &str, allowed: &str| {
            let found = format!("\"gibbs\" {found}");
            Err(place.problem("kernel", found).allowed(allowed).into())
        };
        if self.path == PathKind::Linear {
            return refused(
                "along a linear path, whose conditional laws are mixtures",
                "path = \"geometric\"",
            );
        }
        if self.learns() || place.index > 0 || place.learned_after {
            let found = "where gradients pass, which go through no draw of a conditional law";
            return refused(found, "it next to the source, where nothing learns; or another kernel");
        }
        Ok(())
    }

    /// The segment towards an energy, from the base.
    pub(super) fn annealing(&self, around: &Surroundings<'_>, target: Arc<dyn Target>) -> Annealing {
        let tuned = self.step.is_none();
        let ladder = self.ladder == LadderName::Adaptive;
        let step = self.step.unwrap_or(0.1);
        let strides = if self.mass == MassName::Dense { Strides::dense } else { Strides::new };
        Annealing {
            target,
            base: self.base.build(around),
            flow: None,
            draws_base: around.place.index == 0,
            stretch: self.stretch.unwrap_or([0.0, 1.0]),
            path: self.path,
            ladder: Ladder::new(around.name("ladder"), self.steps, self.ladder == LadderName::Learned),
            kernel: self.kernel,
            moves: self.moves,
            strides: strides(around.name("strides"), self.steps, around.dimension, step),
            warm_up: (tuned || ladder).then_some(WarmUp { rounds: self.warm_up, ladder, strides: tuned }),
        }
    }
}

impl Part for AnnealingRecipe {
    fn kind(&self) -> &'static str {
        "annealing"
    }

    fn check(&self, place: &Place) -> Result<()> {
        positive(&place.of("steps"), self.steps as u64)?;
        within(&place.of("steps"), self.steps as f64, 1.0, 1e5)?;
        within(&place.of("moves"), self.moves as f64, 1.0, 1e4)?;
        within(&place.of("warm_up"), self.warm_up as f64, 0.0, 60.0)?;
        if let Some([from, to]) = self.stretch
            && !(0.0 <= from && from < to && to <= 1.0)
        {
            let problem = place.problem("stretch", format!("from {from} to {to}"));
            return Err(problem.allowed("two places from 0 to 1, the first below the second").into());
        }
        if let Some(step) = self.step {
            within(&place.of("step"), f64::from(step), 1e-9, 1e6)?;
        }
        within(&place.of("kernel.jitter"), f64::from(self.kernel.jitter()), 0.0, 0.999)?;
        if let KernelRecipe::Hmc { leapfrogs, keep, .. } = self.kernel {
            within(&place.of("kernel.leapfrogs"), leapfrogs as f64, 1.0, 1e4)?;
            within(&place.of("kernel.keep"), f64::from(keep), 0.0, 0.999)?;
            if keep > 0.0 && self.moves == 1 {
                let problem =
                    place.problem("kernel.keep", "a momentum that is kept for a next move, of one move");
                return Err(problem.allowed("it with moves = 2 or more").into());
            }
        }
        if self.mass == MassName::Dense
            && (self.step.is_some() || !matches!(self.kernel, KernelRecipe::Hmc { .. }))
        {
            let problem = place.problem("mass", "a dense mass matrix, which the warm-up of \"hmc\" finds");
            return Err(problem
                .allowed("it with kernel = { kind = \"hmc\" } and no step; or \"diagonal\"")
                .into());
        }
        if let KernelRecipe::Gibbs {} = self.kernel {
            self.check_gibbs(place)?;
        }
        self.check_begin(place)?;
        self.base.check(place)
    }

    fn formula(&self) -> &'static str {
        "log gamma_k(x_{k-1}) - log gamma_k(x_k), of kernels that leave gamma_k invariant"
    }

    fn papers(&self, place: &Place) -> Vec<&'static str> {
        let ladder = if self.ladder == LadderName::Adaptive { vec![OPTIMAL_LADDER] } else { vec![] };
        [
            vec![AIS],
            if place.index > 0 { vec![STOCHASTIC_FLOWS] } else { vec![] },
            ladder,
            self.kernel.papers(),
        ]
        .concat()
    }

    fn learns(&self) -> bool {
        self.base.learned || self.ladder == LadderName::Learned
    }

    fn asks(&self) -> Asks {
        if self.kernel.uses_scores() { Asks::Curvature } else { Asks::Values }
    }

    fn knows_levels(&self) -> bool {
        true
    }

    fn persists(&self) -> bool {
        true
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let d = around.dimension as f64;
        let factor = if self.mass == MassName::Dense { d * d } else { 0.0 };
        let weights = 2.0 * d + self.steps as f64 * (2.0 + 2.0 * d + factor);
        Size {
            weights,
            row: 4.0 * d * self.moves as f64,
            steps: 1.0 + self.steps as f64,
            inner: around.dimension,
        }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let target = around.asked(self)?;
        if self.kernel == (KernelRecipe::Gibbs {}) && target.conditional_blocks().is_empty() {
            let problem =
                around.place.problem("kernel", "\"gibbs\" of a target whose conditional laws are not known");
            return Err(problem
                .allowed("it of a Gaussian, funnel, banana, many-well, Brownian motion or eight schools; or another kernel")
                .into());
        }
        let flow = self.flow(around)?;
        Ok(Box::new(Annealing { flow, ..self.annealing(around, target) }))
    }
}
