//! Energies that learn as chains: annealed importance sampling from a base to the energy itself, both ways.
//!
//! ```text
//! x_0 ~ q,    x_k by a kernel that leaves gamma_k invariant,    gamma_k on the way from q to R at place k / K
//! log w = log R(x_K) - log q(x_0) + sum_k [log gamma_k(x_{k-1}) - log gamma_k(x_k)]
//! E_forward[log w] <= log Z <= E_backward[log w],     backward from exact draws of R / Z
//! log p(x) of the energy   log R(x) - log Z
//! log p(x) of the chain    >= E_backward from x [log R(x) - log w]       reverse annealing (Burda, Grosse and Salakhutdinov 2015)
//! ```
//!
//! The last line bounds the likelihood of the annealed sampler, whose law the energy's own is in the limit of many steps: run from data it
//! errs on the side of too little likelihood, forward paths on the side of too much, so that both together are a bracket. Both signs of
//! the ratio follow from the engine: an energy is a segment whose kernels know their density alone.

pub mod flow_network;
pub mod flow_recipe;
pub mod recipe;

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::Segment;
use crate::array::weights::{Weights, matrix};
use crate::chain::{Given, LogWeight, Score, Source, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::discrete_mcmc::{CategoricalKernel, CategoricalMoves, bytes};
use crate::objective::energy::EnergyLoss;
use crate::rng::Noise;
use crate::target::learned::{Energy, EnergyForm, Family, Independent};

/// An energy with the annealing that leads to it.
#[derive(Debug, Clone)]
pub struct Annealed {
    /// What `log R` is made of.
    pub form: EnergyForm,
    /// How many values a site has.
    pub values: usize,
    /// Its weights.
    pub weights: Weights,
    /// The logarithms of the base's masses, `[sites, values]`, which no gradient moves.
    pub base: Weights,
    /// Steps from the base to it.
    pub levels: usize,
    /// The kernel of each step, and of training.
    pub kernel: CategoricalKernel,
    /// How often it moves at each step, and in training.
    pub moves: usize,
    /// How it is trained.
    pub loss: EnergyLoss,
    /// What the absolute value of each coupling costs, per row, nats.
    pub l1: f32,
    /// The absolute value from which on it costs no more; infinite for none.
    pub free_from: f32,
    /// Forward paths of an evaluation of `log Z`, and as many backward ones.
    pub paths: usize,
}

impl Annealed {
    /// Energies of its form over its base.
    pub fn family(&self) -> Arc<dyn Family> {
        self.form.family(Independent::of_log_masses(&self.base.values(), self.values))
    }

    /// The energy at its weights.
    pub fn energy(&self) -> Box<dyn Energy> {
        self.family().with(&self.weights.values())
    }

    /// Adds the slopes of what couplings cost to `gradient`, and answers the cost, nats: `l1 (|K| - K^2 / 2 c)` up to `c = free_from`,
    /// and no more beyond (the minimax concave penalty of Zhang 2010), which is `l1 |K|` where `c` is infinite.
    pub fn add_l1(&self, weights: &[f32], gradient: &mut [f32]) -> f64 {
        if self.l1 == 0.0 {
            return 0.0;
        }
        let couplings = self.weights.slots()[0].range.clone();
        let mut cost = 0.0;
        for (slope, k) in gradient[couplings.clone()].iter_mut().zip(&weights[couplings]) {
            let share = (k.abs() / self.free_from).min(1.0);
            *slope += if *k == 0.0 { 0.0 } else { self.l1 * (1.0 - share) * k.signum() };
            let until = k.abs().min(self.free_from);
            cost += f64::from(self.l1 * until * (1.0 - 0.5 * share));
        }
        cost
    }

    fn sites(&self) -> usize {
        self.base.len() / self.values
    }
}

impl Segment for Annealed {
    fn kind(&self) -> &'static str {
        "energy"
    }

    fn inner_dimension(&self) -> usize {
        self.sites()
    }

    fn outer_dimension(&self) -> usize {
        self.sites()
    }

    fn steps(&self) -> usize {
        self.levels
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let (family, weights) = (self.family(), Arc::<[f32]>::from(self.weights.values()));
        let step = |level: usize| {
            let place = level as f64 / self.levels as f64;
            let (family, weights) = (family.clone(), weights.clone());
            Box::new(AnnealingStep { annealed: self, family, weights, place }) as Box<dyn Transition>
        };
        (1..=self.levels).map(step).collect()
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(BaseSource(Independent::of_log_masses(&self.base.values(), self.values))))
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![&self.weights, &self.base]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![&mut self.weights, &mut self.base]
    }

    fn ladder(&self) -> Vec<f64> {
        (0..=self.levels).map(|level| level as f64 / self.levels as f64).collect()
    }

    fn as_energy(&self) -> Option<&Annealed> {
        Some(self)
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

/// A step of annealing, whose energy is made when it is asked: there may be many, of many weights each.
struct AnnealingStep<'a> {
    annealed: &'a Annealed,
    family: Arc<dyn Family>,
    weights: Arc<[f32]>,
    place: f64,
}

impl AnnealingStep<'_> {
    fn moves(&self) -> CategoricalMoves<Box<dyn Energy>> {
        let density = self.family.with(&self.family.on_the_way(&self.weights, self.place));
        CategoricalMoves { density, kernel: self.annealed.kernel, moves: self.annealed.moves }
    }
}

impl Transition for AnnealingStep<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.moves().forward(from, given, noise)
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.moves().backward(from, given, noise)
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        self.moves().score(before, after, given)
    }

    fn level(&self, state: &State, given: &Given) -> Result<Option<LogWeight>, Failure> {
        self.moves().level(state, given)
    }

    fn leaves_invariant(&self) -> bool {
        true
    }
}

/// The law at place 0.
#[derive(Debug)]
struct BaseSource(Independent);

impl Source for BaseSource {
    fn sample(&self, rows: usize, _: &Given, noise: &Noise) -> Result<State, Failure> {
        let base = &self.0;
        let drawn = base.draw(rows, noise).into_iter().map(f32::from).collect();
        Ok(matrix(drawn, base.sites(), &Device::flex()))
    }

    fn log_density(&self, state: &State, _: &Given) -> Result<LogWeight, Failure> {
        let mut out = vec![0.0; state.dims()[0]];
        self.0.log_density(&bytes(state), &mut out);
        let rows = out.len();
        Ok(Tensor::from_data(TensorData::new(out, [rows]), (&state.device(), DType::F64)))
    }
}
