//! Persistent sampling (Karamanis and Seljak 2024): particles of all earlier levels count at every next one, as draws of a mixture.
//!
//! ```text
//! m_k(x) = 1/k sum_{s < k} gamma_s(x) / Z^_s          the mixture of the levels so far, Z_0 = 1
//! w_k(x) = gamma_k(x) / m_k(x),   Z^_k = mean of w_k over all k N particles
//! N of them are drawn by w_k, moved by a kernel that leaves gamma_k invariant, and join the others
//! log Z^ = log mean of R / m_{K+1} over all (K + 1) N
//! ```
//!
//! The densities of a [`Between`] are known from two numbers of a particle, so that no particle is asked about twice: weights cost
//! additions alone, `K^2 N` of them in all, and all `(K + 1) N` particles are kept. `Z^_1` is unbiased; later ones divide by those before
//! and are consistent only: right as `N` grows, with a bias of order `1 / N`. What grows is the effective number of weighted particles at
//! the target, for the same evaluations; `log Z^` gains nothing by it.

use rayon::prelude::*;

use super::{CHUNK, Population, Smc, Stage, Walk, effective, log_mean, moved};
use crate::chain::{Batch, Between, Chain, Given};
use crate::error::{Failure, Problem};
use crate::math::log_sum_exp;
use crate::rng::Noise;

/// What is known of the particles: `log q`, `log R`, and `log sum_{s < k} gamma_s / Z^_s`.
const KNOWN: usize = 3;

/// Weights the particles of all levels so far for the next one, and adds those that are drawn by it and moved.
///
/// # Errors
/// If the kernel or a density fails, all weights are 0, or the kernel's density does not lie between two others.
pub(super) fn step<S: Batch + Send + Sync>(
    smc: &Smc,
    walk: &mut Walk<S>,
    chain: &Chain<'_, S>,
    noise: &Noise,
) -> Result<Stage, Failure> {
    let index = walk.steps();
    let level = between(chain, index)?;
    if walk.known.len() < KNOWN {
        // Those of the base: the mixture is the base itself.
        let [of_base, of_target] = ends(level, &walk.particles.states, &walk.particles.given)?;
        walk.known = vec![of_base.clone(), of_target, of_base];
    }
    let earlier: Vec<(&dyn Between<S>, f64)> = (0..index)
        .filter(|step| chain.transitions[*step].leaves_invariant())
        .map(|step| Ok((between(chain, step)?, walk.particles.stages[step].log_z)))
        .collect::<Result<_, Failure>>()?;
    let particles = &mut walk.particles;
    let levels = earlier.len() + 1;
    let count = particles.log_weights.len() / levels;
    let densities: Vec<f64> = at(level, &walk.known);
    let weights = over_mixture(&densities, &walk.known[2], levels);
    let log_z = log_mean(&weights)?;
    let (of_mixture, of_level) = (walk.known[2].iter_mut(), densities.iter());
    of_mixture.zip(of_level).for_each(|(sum, density)| *sum = log_sum_exp(&[*sum, density - log_z]));
    let places = smc.resampling.places(&weights, count, noise).expect("some have weight");
    let (from, given) = (particles.states.select(&places), particles.given.select(&places));
    let mut told = Vec::new();
    let (to, _) = moved(chain.transitions[index].as_ref(), &from, &given, noise, &mut told)?;
    let [of_base, of_target] = ends(level, &to, &given)?;
    let mixture = |(q, r): (&f64, &f64)| {
        let others = earlier.iter().map(|(level, log_z)| level.log_density([*q, *r]) - log_z);
        let own = [*q, level.log_density([*q, *r]) - log_z];
        log_sum_exp(&others.chain(own).collect::<Vec<f64>>())
    };
    let sums: Vec<f64> = of_base.par_iter().zip(&of_target).map(mixture).collect();
    let each = [of_base, of_target, sums];
    walk.known.iter_mut().zip(each).for_each(|(known, new)| known.extend(new));
    // A condition that all share stays one.
    if particles.given.values().len() > particles.given.width() {
        let values = [particles.given.values(), given.values()].concat();
        particles.given = Given::rows(given.width(), values);
    }
    particles.states = S::concat(vec![particles.states.clone(), to]);
    particles.log_weights = over_mixture(&at(level, &walk.known), &walk.known[2], levels + 1);
    particles.log_z = log_z;
    let info = told.into_iter().map(|(name, sum)| (name, sum / count as f64)).collect();
    Ok(Stage { ess: effective(&weights), resampled: true, log_z, info })
}

/// The particles of all levels, weighted for `R`: log-weights and their `log Z^`.
///
/// # Errors
/// If all weights are 0.
pub(super) fn end<S>(mut walk: Walk<S>) -> Result<Population<S>, Failure> {
    let levels = 1 + walk.particles.stages.iter().filter(|stage| stage.resampled).count();
    walk.particles.log_weights = over_mixture(&walk.known[1], &walk.known[2], levels);
    walk.particles.log_z = log_mean(&walk.particles.log_weights)?;
    Ok(walk.particles)
}

/// The density of a step that lies between two others.
fn between<'a, S>(chain: &'a Chain<'_, S>, step: usize) -> Result<&'a dyn Between<S>, Failure> {
    let known = chain.transitions[step].between();
    Ok(known.ok_or_else(|| {
        Problem::new("smc.persistent", "it of a density that does not lie between two others")
            .allowed("kernels of one path from a base to a target")
    })?)
}

/// `log gamma` of particles whose two numbers are known.
fn at<S>(level: &dyn Between<S>, known: &[Vec<f64>]) -> Vec<f64> {
    known[0].iter().zip(&known[1]).map(|(q, r)| level.log_density([*q, *r])).collect()
}

/// `log gamma - log m`, of the mixture of so many levels whose sums are given; a particle without mass has no weight.
fn over_mixture(densities: &[f64], sums: &[f64], levels: usize) -> Vec<f64> {
    let share = (levels as f64).ln();
    let weight = |(density, sum): (&f64, &f64)| {
        let weight = density - sum + share;
        if weight.is_nan() { f64::NEG_INFINITY } else { weight }
    };
    densities.iter().zip(sums).map(weight).collect()
}

/// The two numbers of every row, chunk by chunk.
fn ends<S: Batch + Send + Sync>(
    level: &dyn Between<S>,
    states: &S,
    given: &Given,
) -> Result<[Vec<f64>; 2], Failure> {
    let rows = states.rows();
    let starts: Vec<usize> = (0..rows).step_by(CHUNK).collect();
    let ask = |start: &usize| {
        let count = CHUNK.min(rows - start);
        level.ends(&states.range(*start, count), &given.range(*start, count))
    };
    let parts: Result<Vec<[Vec<f64>; 2]>, Failure> = starts.par_iter().map(ask).collect();
    let (of_base, of_target): (Vec<_>, Vec<_>) = parts?.into_iter().map(|[q, r]| (q, r)).unzip();
    Ok([of_base.concat(), of_target.concat()])
}
