//! Targets that a trained chain tells: the density of its draws, and what a datum says of its latent code.

use std::fmt::{Debug, Formatter};

use rayon::prelude::*;

use crate::array::weights::{matrix, to_vec, to_vec_f64};
use crate::chain::{Given, Score, Source as _, State, double};
use crate::error::{Failure, Problem, Result};
use crate::model::Model;
use crate::model::annealed::Flowing;
use crate::model::exact::is_exact;
use crate::rng::{Noise, Purpose};
use crate::target::Target;

/// Points that one thread asks about at a time.
const CHUNK: usize = 128;

/// `R(x) = q(x)`, the density of a trained chain's draws: `log Z = 0`.
#[derive(Debug)]
pub struct LearnedDensity {
    flow: Flowing,
}

impl LearnedDensity {
    /// Of a chain whose density is known.
    ///
    /// # Errors
    /// If it is not, or a kernel fails; the problem's place is empty.
    pub fn new(model: &Model) -> Result<Self> {
        if !is_exact(model).map_err(Failure::into_error)? {
            return Err(Problem::new("", "a chain whose density is only bounded")
                .allowed("one of bijections, such as a \"flow\" or a \"gaussian\"; or a \"mixture\"; or, with `row`, a \"vae\"")
                .into());
        }
        Ok(Self { flow: Flowing::new(model) })
    }
}

impl Target for LearnedDensity {
    fn log_rewards(&self, points: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        chunked(points, out, None, |points, out, score| self.flow.log_density(points, out, score))
    }

    fn has_scores(&self) -> bool {
        true
    }

    fn log_rewards_with_scores(
        &self,
        points: &[f32],
        _: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        chunked(points, out, Some(scores), |points, out, score| self.flow.log_density(points, out, score))
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        (beta == 1.0).then_some(0.0)
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        (&self.flow).sample(count, &Given::nothing(), noise).ok().map(to_vec)
    }
}

/// `R(z) = mu(z) P_F(x | z)` of a datum `x`: the posterior of its latent code, `Z = p(x)`.
pub struct LatentPosterior {
    /// On no tape, and on that of states.
    models: [Model; 2],
    /// The datum before the bijections behind the decoder, `[dimension]`, and the logarithm of their Jacobian determinant at it.
    datum: Vec<f32>,
    log_det: f64,
}

impl Debug for LatentPosterior {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LatentPosterior").field("datum", &self.datum).finish_non_exhaustive()
    }
}

impl LatentPosterior {
    /// Of a datum, `[dimension]`, under a chain that begins with a decoder and goes on with bijections alone.
    ///
    /// # Errors
    /// If the chain is another, or a kernel fails; the problem's place is empty.
    pub fn new(model: &Model, datum: &[f32]) -> Result<Self> {
        let models = [model.frozen(), model.stopped()];
        let (none, noise) = (Given::nothing(), Noise::new(0, Purpose::Backward));
        let refused = || {
            Problem::new(
                "",
                "a chain with states between its code and the datum, which have no posterior of their own",
            )
            .allowed("a \"vae\" with one latent level and no refinement, next to the source")
        };
        let (mut x, mut log_det) = (matrix(datum.to_vec(), datum.len(), &models[0].device()), 0.0);
        {
            let chain = models[0].chain();
            for transition in chain.transitions[1..].iter().rev() {
                let step = transition.backward(x.clone(), &none, &noise).map_err(Failure::into_error)?;
                let score = transition.score(&step.state, &x, &none).map_err(Failure::into_error)?;
                if !matches!(score, Score::Deterministic) {
                    return Err(refused().into());
                }
                log_det += to_vec_f64(double(step.log_ratio))[0];
                x = step.state;
            }
        }
        let found = Self { models, datum: to_vec(x), log_det };
        let origin = vec![0.0; found.dimension()];
        match found.log_density(&origin, &mut [0.0], None).map_err(Failure::into_error)? {
            true => Ok(found),
            false => Err(refused().into()),
        }
    }

    /// How many coordinates a latent code has.
    pub fn dimension(&self) -> usize {
        self.models[0].segments()[0].inner_dimension()
    }

    /// `log R` of codes, `[batch, dimension]`, and its gradient where one is wanted; whether the first step has densities.
    fn log_density(
        &self,
        codes: &[f32],
        out: &mut [f64],
        scores: Option<&mut [f64]>,
    ) -> Result<bool, Failure> {
        let (none, rows) = (Given::nothing(), out.len());
        let model = &self.models[usize::from(scores.is_some())];
        let mut z: State = matrix(codes.to_vec(), self.dimension(), &model.device());
        if scores.is_some() {
            z = z.require_grad();
        }
        let x = matrix(self.datum.clone(), self.datum.len(), &model.device()).repeat_dim(0, rows);
        let chain = model.chain();
        let Score::Densities(of_datum) = chain.transitions[0].score(&z, &x, &none)? else { return Ok(false) };
        let log_density = double(of_datum.forward) + double(chain.source.log_density(&z, &none)?);
        let values = to_vec_f64(log_density.clone().detach());
        out.iter_mut().zip(values).for_each(|(out, value)| *out = value + self.log_det);
        if let Some(scores) = scores {
            let gradient = z.grad(&log_density.sum().backward()).expect("z takes part");
            scores.iter_mut().zip(to_vec(gradient)).for_each(|(to, slope)| *to = f64::from(slope));
        }
        Ok(true)
    }
}

impl Target for LatentPosterior {
    fn log_rewards(&self, codes: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        chunked(codes, out, None, |codes, out, scores| self.log_density(codes, out, scores).map(|_| ()))
    }

    fn has_scores(&self) -> bool {
        true
    }

    fn log_rewards_with_scores(
        &self,
        codes: &[f32],
        _: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        chunked(codes, out, Some(scores), |codes, out, scores| {
            self.log_density(codes, out, scores).map(|_| ())
        })
    }
}

/// Asks about some points at a time, by several threads where there are many: `points` and `scores` are `[batch, dimension]`, `out` is
/// `[batch]`.
fn chunked(
    points: &[f32],
    out: &mut [f64],
    scores: Option<&mut [f64]>,
    ask: impl Fn(&[f32], &mut [f64], Option<&mut [f64]>) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    if out.is_empty() {
        return Ok(());
    }
    let length = CHUNK * (points.len() / out.len());
    match scores {
        None => points
            .par_chunks(length)
            .zip(out.par_chunks_mut(CHUNK))
            .try_for_each(|(points, out)| ask(points, out, None)),
        Some(scores) => points
            .par_chunks(length)
            .zip(out.par_chunks_mut(CHUNK))
            .zip(scores.par_chunks_mut(length))
            .try_for_each(|((points, out), scores)| ask(points, out, Some(scores))),
    }
}
