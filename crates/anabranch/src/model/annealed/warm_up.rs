//! Tuning by particles on their way along the path, before anything is estimated.
//!
//! ```text
//! at each level      reweight, resample, S = their standard deviations, m = their means; a dense mass: S S^T = their covariance
//!                    rounds of moves:  log h += a_r (acceptance - best),   a_r = 4 / (r + 1)^0.6
//! adaptive ladder    first along densities so close that particles keep a share of their effective size, found by bisection;
//!                    their distances sqrt(Var log G) add up to Lambda(b), and the levels divide Lambda into equal parts
//! ```
//!
//! Between two densities of the search the particles of the first, reweighted, measure the distance piece by piece: towards a target with
//! wide tails most of it may lie at the end.
//!
//! Equal parts of `Lambda` make the variance of the weights least (Syed et al. 2022). All is frozen afterwards: estimates are those of
//! a fixed ladder, unbiased. Adapting while estimating would make them consistent only.

use rayon::prelude::*;

use super::Annealing;
use crate::array::weights::{matrix, to_vec};
use crate::chain::{Batch, Between as _, Given, Resampling, State};
use crate::error::{Error, Failure};
use crate::kernel::bijection::Bijection as _;
use crate::kernel::mcmc::Stride;
use crate::math::{cholesky, log_sum_exp};
use crate::model::Watch;
use crate::rng::{Noise, Purpose};

/// The share of their effective size that particles keep from one density to the next while a ladder is sought.
const KEPT: f64 = 0.7;
/// The most densities of that search.
const MOST: usize = 1000;
/// Pieces of the way between two of them.
const PIECES: usize = 8;
/// Particles that move together.
const CHUNK: usize = 128;
/// Noise addresses of a level.
const ROUNDS: u32 = 64;

/// How a segment is tuned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUp {
    /// Rounds of moves at each level.
    pub rounds: usize,
    /// Whether the ladder is adapted, too.
    pub ladder: bool,
    /// Whether step sizes, scales and centres are.
    pub strides: bool,
}

/// The particles on their way.
struct Particles<'a> {
    segment: &'a Annealing,
    warm_up: &'a WarmUp,
    points: State,
    /// `log q` and `log R` of each.
    ends: [Vec<f64>; 2],
    log_weights: Vec<f64>,
    stride: (Stride, Vec<f32>),
    given: Given,
    noise: Noise,
    visited: u32,
}

impl WarmUp {
    /// Tunes a segment from states on the source's side; answers states on the target's. `watch` is told which share is done.
    ///
    /// # Errors
    /// If the energy does not answer, or `watch` asked to stop.
    pub(super) fn run(
        &self,
        segment: &mut Annealing,
        x: State,
        given: &Given,
        noise: &Noise,
        watch: &Watch<'_>,
    ) -> Result<State, Failure> {
        let whole = if self.ladder { 0.5 } else { 0.0 };
        if self.ladder {
            let places = {
                let mut particles =
                    Particles::new(segment, self, &x, given, noise.purpose(Purpose::Backward))?;
                particles.search(segment.ladder.steps(), &|share| watch(whole * share))?
            };
            segment.ladder.set(&places);
        }
        let (tuned, points) = {
            let mut particles = Particles::new(segment, self, &x, given, noise.purpose(Purpose::Forward))?;
            let mut before = segment.stretch[0];
            let mut tuned = Vec::new();
            let places = segment.places();
            for place in &places {
                let (place, done) = (*place, tuned.len() as f64 / places.len() as f64);
                go_on(watch, whole + (1.0 - whole) * done)?;
                particles.reweight(before, place)?;
                particles.tune(place)?;
                tuned.push(particles.stride.clone());
                before = place;
            }
            (tuned, particles.points)
        };
        if self.strides {
            segment.strides.set(&tuned);
        }
        Ok(points)
    }
}

impl<'a> Particles<'a> {
    fn new(
        segment: &'a Annealing,
        warm_up: &'a WarmUp,
        x: &State,
        given: &Given,
        noise: Noise,
    ) -> Result<Self, Failure> {
        let points =
            if segment.draws_base { segment.base.forward(x.clone(), given).0.detach() } else { x.clone() };
        let stride = segment.strides.all().swap_remove(0);
        let log_weights = vec![0.0; points.rows()];
        let (given, ends) = (given.clone(), segment.level(0.0).ends(&points, given)?);
        Ok(Self { segment, warm_up, points, ends, log_weights, stride, given, noise, visited: 0 })
    }

    /// `log gamma_after - log gamma_before` of every particle; nothing comes from where there was no mass.
    fn increments(&self, before: f64, after: f64) -> Vec<f64> {
        let [before, after] = [before, after].map(|place| self.segment.level(place));
        let [of_base, of_target] = &self.ends;
        let increment = |(log_q, log_r): (&f64, &f64)| {
            let ends = [*log_q, *log_r];
            let increment = after.log_density(ends) - before.log_density(ends);
            if increment.is_nan() { f64::NEG_INFINITY } else { increment }
        };
        of_base.iter().zip(of_target).map(increment).collect()
    }

    /// Carries the particles' weights from one place to the next and makes them equal again.
    fn reweight(&mut self, before: f64, after: f64) -> Result<(), Failure> {
        let increments = self.increments(before, after);
        self.log_weights.iter_mut().zip(increments).for_each(|(weight, increment)| *weight += increment);
        let noise = self.noise.step(self.visited * ROUNDS);
        let rows = self.points.rows();
        let Some(places) = Resampling::Systematic.places(&self.log_weights, rows, &noise) else {
            return Ok(());
        };
        self.points = Batch::select(&self.points, &places);
        self.given = self.given.select(&places);
        self.ends = std::mem::take(&mut self.ends)
            .map(|values| places.iter().map(|place| values[*place as usize]).collect());
        self.log_weights.fill(0.0);
        Ok(())
    }

    /// Finds a stride at a place, moving the particles meanwhile.
    fn tune(&mut self, place: f64) -> Result<(), Failure> {
        let [rows, columns] = self.points.dims();
        let mut points = to_vec(self.points.clone());
        if self.warm_up.strides {
            let (scale, centre) = spread(&points, columns);
            self.stride.0.scale = scale;
            self.stride.1 = centre;
            if self.segment.strides.is_dense() {
                self.stride.0.factor = factor(&points, columns);
            }
        }
        for round in 0..self.warm_up.rounds {
            let (level, target) = (self.segment.level(place), self.segment.target.as_ref());
            let kernel = self.segment.kernel.at(level, target, self.stride.clone(), 1);
            let noise = self.noise.step(self.visited * ROUNDS + round as u32);
            let walk = |first: usize| {
                let count = CHUNK.min(rows - first);
                let own = points[first * columns..(first + count) * columns].to_vec();
                kernel.walk(own, count, &self.given.range(first, count), &noise.from_row(first))
            };
            let starts: Vec<usize> = (0..rows).step_by(CHUNK).collect();
            let moved: Result<Vec<_>, Failure> = starts.into_par_iter().map(walk).collect();
            let (moved, accepted): (Vec<Vec<f32>>, Vec<f32>) = moved?.into_iter().unzip();
            points = moved.concat();
            let mean = accepted.iter().sum::<f32>() / rows as f32;
            let best = kernel.best_acceptance() as f32;
            let gain = 4.0 / (round as f32 + 1.0).powf(0.6);
            // An independence sampler's draws are as wide as the particles: narrower ones are accepted no better in the tails.
            if self.warm_up.strides && best < 1.0 {
                self.stride.0.step = (self.stride.0.step.ln() + gain * (mean - best)).exp().clamp(1e-6, 1e3);
            }
        }
        self.points = matrix(points, columns, &self.points.device());
        self.ends = self.segment.level(place).ends(&self.points, &self.given)?;
        self.visited += 1;
        Ok(())
    }

    /// A ladder of `steps` places, as shares of the stretch, that divides the way into parts of equal length.
    fn search(&mut self, steps: usize, watch: &Watch<'_>) -> Result<Vec<f64>, Failure> {
        let [first, last] = self.segment.stretch;
        let share = |place: f64| (place - first) / (last - first);
        let (mut place, mut length) = (first, 0.0);
        let mut way = vec![(0.0, 0.0)];
        while place < last && way.len() < MOST * PIECES {
            go_on(watch, share(place))?;
            let next = self.next(place, last);
            let piece = |piece: usize| place + (next - place) * piece as f64 / PIECES as f64;
            for [from, to] in (0..PIECES).map(|index| [index, index + 1].map(piece)) {
                length += deviation(&self.increments(place, from), &self.increments(from, to)).max(1e-9);
                way.push((share(to), length));
            }
            self.reweight(place, next)?;
            self.tune(next)?;
            place = next;
        }
        if place < last {
            way.push((1.0, length * (1.0 + 1e-6)));
        }
        Ok(divided(&way, steps))
    }

    /// The furthest place at which particles keep [`KEPT`] of their effective size, by bisection.
    fn next(&self, place: f64, last: f64) -> f64 {
        let kept = |next: f64| {
            let weights = self.increments(place, next);
            let twice: Vec<f64> = weights.iter().map(|weight| 2.0 * weight).collect();
            (2.0 * log_sum_exp(&weights) - log_sum_exp(&twice)).exp() / weights.len() as f64 >= KEPT
        };
        if kept(last) {
            return last;
        }
        // From the rounding of f32 up, in which ladders are kept.
        let (mut low, mut high) = (place.max(1e-9), last);
        for _ in 0..40 {
            let middle = if high > 4.0 * low { (low * high).sqrt() } else { 0.5 * (low + high) };
            if kept(middle) { low = middle } else { high = middle }
        }
        high.max(place * (1.0 + 1e-6)).min(last)
    }
}

/// Whether to go on, `share` of the warm-up being done.
fn go_on(watch: &Watch<'_>, share: f64) -> Result<(), Failure> {
    if watch(share) { Ok(()) } else { Err(Error::Interrupted.into()) }
}

/// The standard deviation of increments under weighted particles; those that are no numbers are left out.
fn deviation(log_weights: &[f64], increments: &[f64]) -> f64 {
    let finite = log_weights.iter().zip(increments).filter(|(_, increment)| increment.is_finite());
    let (log_weights, increments): (Vec<f64>, Vec<f64>) = finite.unzip();
    let sum = log_sum_exp(&log_weights);
    let mean_of = |value: &dyn Fn(f64) -> f64| {
        let each = log_weights.iter().zip(&increments);
        each.map(|(weight, increment)| (weight - sum).exp() * value(*increment)).sum::<f64>()
    };
    let mean = mean_of(&|increment| increment);
    mean_of(&|increment| (increment - mean).powi(2)).sqrt()
}

/// Standard deviation and mean of each column; deviations are positive.
fn spread(points: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = (points.len() / columns) as f64;
    let of = |column: usize| {
        let values = || points.iter().skip(column).step_by(columns).map(|x| f64::from(*x));
        let mean = values().sum::<f64>() / rows;
        let variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / rows;
        (variance.sqrt().max(1e-6) as f32, mean as f32)
    };
    (0..columns).map(of).unzip()
}

/// The lower factor of the covariance of points, row-major. What lies off its diagonal is drawn to 0 by `d` particles' worth, so that few
/// or repeated points make no singular one.
fn factor(points: &[f32], columns: usize) -> Vec<f32> {
    let (std, mean) = spread(points, columns);
    let rows = points.len() / columns;
    let mut covariance = vec![0.0; columns * columns];
    for row in points.chunks_exact(columns) {
        let centred: Vec<f64> = row.iter().zip(&mean).map(|(x, mean)| f64::from(x - mean)).collect();
        for (i, of_row) in covariance.chunks_exact_mut(columns).enumerate() {
            of_row[..i].iter_mut().zip(&centred).for_each(|(sum, x)| *sum += centred[i] * x);
        }
    }
    let kept = 1.0 / (rows + columns) as f64;
    covariance.iter_mut().for_each(|sum| *sum *= kept);
    std.iter().enumerate().for_each(|(c, std)| covariance[c * (columns + 1)] = f64::from(*std).powi(2));
    match cholesky(&covariance, columns) {
        Ok(lower) => lower.into_iter().map(|value| value as f32).collect(),
        // Rounding left nothing to divide by: the scales alone.
        Err(_) => {
            let mut lower = vec![0.0; columns * columns];
            std.iter().enumerate().for_each(|(c, std)| lower[c * (columns + 1)] = *std);
            lower
        }
    }
}

/// Places that divide a way, `(place, length so far)` from `(0, 0)` to place 1, into `steps` parts of equal length.
fn divided(way: &[(f64, f64)], steps: usize) -> Vec<f64> {
    let whole = way.last().map_or(1.0, |last| last.1);
    let mut places: Vec<f64> = Vec::with_capacity(steps);
    for step in 1..=steps {
        let wanted = whole * step as f64 / steps as f64;
        let after = way.partition_point(|(_, length)| *length < wanted).clamp(1, way.len() - 1);
        let ((from, start), (to, end)) = (way[after - 1], way[after]);
        let place = from + (to - from) * ((wanted - start) / (end - start)).clamp(0.0, 1.0);
        // They rise by what f32 still tells apart.
        let least = places.last().map_or(1e-12, |last| last + 1e-7 * last.max(1e-7));
        places.push(place.max(least));
    }
    let last = places.last().copied().unwrap_or(1.0);
    places.iter().map(|place| place / last).collect()
}
