//! Spins of a periodic lattice with one coupling, drawn exactly where it is narrow, by long Gibbs sampling elsewhere.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::categories::labels;
use super::{ListedLaw, Rows};
use crate::data::Dataset;
use crate::error::{Problem, Result, within};
use crate::estimate::convergence::convergence;
use crate::kernel::discrete_mcmc::LatticeGibbs;
use crate::math::Estimate;
use crate::papers;
use crate::rng::{Noise, Purpose};
use crate::target::learned::{EnergyForm, ExactLaw, Family, Independent};

/// Spins of a torus, `log R(s) = s^T J s + h sum_i s_i` with `J` the coupling times the adjacency matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatticeRecipe {
    /// Height and width.
    pub sides: [usize; 2],
    /// `J` of neighbours; each pair counts twice.
    pub coupling: f64,
    /// The field `h` of every spin.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub field: f64,
    /// How many samples to learn from; a tenth of it more for validation, a fifth for testing.
    #[serde(default = "rows")]
    pub rows: usize,
    /// Sweeps before the first sample of a chain and between two, where the lattice is too wide to be sampled exactly.
    #[serde(default = "sweeps")]
    #[schemars(range(min = 1))]
    pub sweeps: u32,
}

fn rows() -> usize {
    2000
}

fn sweeps() -> u32 {
    100
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
fn is_zero(field: &f64) -> bool {
    *field == 0.0
}

/// The widest lattice whose rows are listed.
const WIDEST: usize = 10;

/// Chains that sample a wider one, and the largest R-hat of its energy and its magnetisation.
const CHAINS: usize = 16;
const LARGEST_R_HAT: f64 = 1.05;

impl LatticeRecipe {
    fn sites(&self) -> usize {
        self.sides[0] * self.sides[1]
    }

    fn family(&self) -> Arc<dyn Family> {
        EnergyForm::Ising { torus: Some(self.sides) }.family(Independent::uniform(self.sites(), 2))
    }

    /// Couplings of pairs, which count each once, then fields.
    fn weights(&self) -> Vec<f32> {
        let couplings = std::iter::repeat_n(2.0 * self.coupling as f32, 2 * self.sites());
        couplings.chain(std::iter::repeat_n(self.field as f32, self.sites())).collect()
    }

    fn exact(&self) -> Option<Box<dyn ExactLaw>> {
        (self.sides[1] <= WIDEST).then(|| self.family().with(&self.weights()).exact())?
    }

    /// `log p` of states `[rows, sites]`, where it is known.
    fn log_masses(&self, rows: &[f32]) -> Option<Vec<f64>> {
        let log_z = self.exact()?.log_z();
        let states: Vec<u8> = rows.iter().map(|value| *value as u8).collect();
        let mut log_r = vec![0.0; states.len() / self.sites()];
        self.family().with(&self.weights()).log_density(&states, &mut log_r);
        Some(log_r.into_iter().map(|log_r| log_r - log_z).collect())
    }

    /// States by Gibbs sampling, one of every chain after the other.
    fn sampled(&self, count: usize, noise: &Noise) -> Result<Vec<u8>> {
        let (sites, draws) = (self.sites(), count.div_ceil(CHAINS).max(4));
        let gibbs = LatticeGibbs::new(self.sides, 2.0 * self.coupling, self.field);
        let mut chains = Independent::uniform(sites, 2).draw(CHAINS, &noise.purpose(Purpose::Source));
        let energy = self.family().with(&self.weights());
        let mut all = Vec::with_capacity(draws * CHAINS * sites);
        let mut tracks = [vec![0.0; CHAINS * draws], vec![0.0; CHAINS * draws]];
        let mut log_r = vec![0.0; CHAINS];
        for draw in 0..draws {
            gibbs.sweeps(&mut chains, draw as u32 * self.sweeps, self.sweeps, noise);
            energy.log_density(&chains, &mut log_r);
            for (chain, state) in chains.chunks_exact(sites).enumerate() {
                tracks[0][chain * draws + draw] = log_r[chain];
                tracks[1][chain * draws + draw] = state.iter().map(|x| f64::from(*x)).sum();
            }
            all.extend_from_slice(&chains);
        }
        let worst = tracks.iter().filter_map(|track| convergence(track, CHAINS)).map(|found| found.r_hat);
        let worst = worst.fold(1.0, f64::max);
        if worst > LARGEST_R_HAT {
            let found = format!(
                "{} between samples, of which the R-hat over {CHAINS} chains is {worst:.3}",
                self.sweeps
            );
            return Err(Problem::new("target.sweeps", found)
                .allowed(format!("so many that it is below {LARGEST_R_HAT}; or a width of at most {WIDEST}, which is sampled exactly"))
                .into());
        }
        all.truncate(count * sites);
        Ok(all)
    }
}

impl Rows for LatticeRecipe {
    fn check(&self) -> Result<()> {
        for (index, side) in self.sides.iter().enumerate() {
            within(&format!("target.sides.{index}"), *side as f64, 3.0, 300.0)?;
        }
        within("target.coupling", self.coupling, -10.0, 10.0)?;
        within("target.field", self.field, -10.0, 10.0)?;
        within("target.rows", self.rows as f64, 10.0, 1e6)?;
        within("target.sweeps", f64::from(self.sweeps), 1.0, 1e6)
    }

    fn load(&self, seed: u64) -> Result<Dataset> {
        let (validation, test) = (self.rows.div_ceil(10), self.rows.div_ceil(5));
        let (count, noise) = (self.rows + validation + test, Noise::new(seed, Purpose::Target));
        let drawn = match self.exact() {
            Some(exact) => exact.draw(count, &noise),
            None => self.sampled(count, &noise)?,
        };
        let all: Vec<f32> = drawn.into_iter().map(f32::from).collect();
        let (train, rest) = all.split_at(self.rows * self.sites());
        let (validation, test) = rest.split_at(validation * self.sites());
        Ok(Dataset::new(labels(self.sites()), [train, validation, test].map(<[f32]>::to_vec)))
    }

    fn describe(&self) -> String {
        let ([height, width], how) = match self.sides[1] <= WIDEST {
            true => (self.sides, "exact samples".to_owned()),
            false => (self.sides, format!("samples by Gibbs of an R-hat below {LARGEST_R_HAT}")),
        };
        format!(
            "{how} of spins on a torus of {height} x {width}, J = {} of neighbours, h = {}",
            self.coupling, self.field
        )
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![papers::EB_GFN]
    }

    fn levels(&self) -> u32 {
        2
    }

    fn image(&self) -> Option<[usize; 2]> {
        Some(self.sides)
    }

    fn exact_nll(&self, rows: &[f32], _: &[f32]) -> Option<Estimate> {
        let nlls: Vec<f64> = self.log_masses(rows)?.into_iter().map(|log_p| -log_p).collect();
        Some(Estimate::mean(&nlls))
    }

    fn law(&self) -> Option<ListedLaw> {
        let states = ListedLaw::states(&vec![2; self.sites()])?;
        let log_q = self.log_masses(&states)?;
        Some(ListedLaw { states, log_q })
    }

    fn fresh(&self, rows: usize, seed: u64) -> Option<Vec<f32>> {
        let drawn = self.exact()?.draw(rows, &Noise::new(seed, Purpose::Target));
        Some(drawn.into_iter().map(f32::from).collect())
    }

    fn couplings(&self) -> Option<Vec<f64>> {
        self.family().couplings(&self.weights())
    }
}
