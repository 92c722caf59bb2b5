//! From a flow `q` towards the density whose samples teach it most (Midgley et al. 2023).
//!
//! ```text
//! log g_b(x) = (1 - b a) log q(x) + b a log R(x)                 g_0 = q,  g_1 = R^a q^(1 - a)
//! ```
//!
//! With `a = 2`, `g_1 = R^2 / q` is where importance weights of the flow vary most: it has mass where R has and the flow has not.

use super::flowing::{Flowing, column};
use crate::array::weights::{matrix, to_vec};
use crate::chain::{Chain, Given, LogWeight, State, Transition};
use crate::error::{Failure, Problem};
use crate::kernel::mcmc::{Hamiltonian, LogDensity, Metropolis, Stride};
use crate::target::Target;

/// One of the densities on the way.
pub struct Bootstrap<'a> {
    /// The flow.
    pub flow: &'a Flowing,
    /// The energy.
    pub target: &'a dyn Target,
    /// The order `a` of the divergence.
    pub alpha: f64,
    /// The place `b`, from 0 to 1.
    pub place: f64,
}

impl LogDensity for Bootstrap<'_> {
    fn evaluate(
        &self,
        points: &[f32],
        given: &Given,
        out: &mut [f64],
        scores: Option<&mut [f64]>,
    ) -> Result<(), Failure> {
        let share = self.place * self.alpha;
        let mut log_q = vec![0.0; out.len()];
        match scores {
            None => {
                self.target.log_rewards(points, &given.each(out.len()), out)?;
                self.flow.log_density(points, &mut log_q, None)?;
            }
            Some(scores) => {
                self.target.log_rewards_with_scores(points, &given.each(out.len()), out, scores)?;
                let mut of_flow = vec![0.0; scores.len()];
                self.flow.log_density(points, &mut log_q, Some(&mut of_flow))?;
                let both = scores.iter_mut().zip(of_flow);
                both.for_each(|(score, of_flow)| *score = share * *score + (1.0 - share) * of_flow);
            }
        }
        for (out, log_q) in out.iter_mut().zip(log_q) {
            // Where the flow's density is no number nobody goes.
            *out = match log_q.is_finite() {
                true => share * *out + (1.0 - share) * log_q,
                false => f64::NEG_INFINITY,
            };
        }
        Ok(())
    }

    fn log_density(&self, x: &State, given: &Given) -> Result<LogWeight, Failure> {
        let mut out = vec![0.0; x.dims()[0]];
        self.evaluate(&to_vec(x.clone()), given, &mut out, None)?;
        Ok(column(out, x))
    }

    fn with_score(&self, x: &State, given: &Given) -> Result<(LogWeight, State), Failure> {
        if x.is_tracked() {
            let found = "a density between a flow and a target, whose score has no derivative";
            return Err(Problem::new("the target", found)
                .allowed("it where nothing is differentiated")
                .into());
        }
        let [rows, columns] = x.dims();
        let (mut out, mut scores) = (vec![0.0; rows], vec![0.0; rows * columns]);
        self.evaluate(&to_vec(x.clone()), given, &mut out, Some(&mut scores))?;
        let scores = scores.into_iter().map(|score| score as f32).collect();
        Ok((column(out, x), matrix(scores, columns, &x.device())))
    }
}

/// The chain from a flow to `g_1`: Hamiltonian Monte Carlo of so many moves at each of evenly spaced places, with a step size for each.
pub fn bootstrap_chain<'a>(
    flow: &'a Flowing,
    target: &'a dyn Target,
    alpha: f64,
    [moves, leapfrogs]: [usize; 2],
    steps: &[f32],
) -> Chain<'a> {
    let scale = vec![1.0; flow.dimension()];
    let kernel = |(index, step): (usize, &f32)| {
        let place = (index + 1) as f64 / steps.len() as f64;
        Box::new(Metropolis {
            density: Bootstrap { flow, target, alpha, place },
            proposal: Box::new(Hamiltonian { leapfrogs, kept: 0.0 }),
            jitter: 0.0,
            stride: Stride::new(*step, scale.clone()),
            moves,
        }) as Box<dyn Transition>
    };
    Chain { source: Box::new(flow), transitions: steps.iter().enumerate().map(kernel).collect() }
}
