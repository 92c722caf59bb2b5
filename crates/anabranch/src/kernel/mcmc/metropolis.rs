//! Metropolis-Hastings: proposals, accepted or not (Hastings 1970).

use burn::tensor::{DType, Tensor, TensorData};

use super::{Evaluated, LogDensity, Proposal, Stride, normals};
use crate::array::weights::{matrix, to_vec};
use crate::chain::{Between, Given, Info, LogWeight, Score, State, Step, Transition};
use crate::error::{Failure, Problem};
use crate::rng::{Noise, Purpose};

/// A kernel of one or more proposals in a row, each accepted or not, that leaves a density invariant.
pub struct Metropolis<D> {
    /// The density.
    pub density: D,
    /// How a point is proposed.
    pub proposal: Box<dyn Proposal>,
    /// How far.
    pub stride: Stride,
    /// How much the step size of each proposal of each row differs from the stride's, `j` in [0, 1): it is uniform in `h (1 - j)` to
    /// `h (1 + j)`.
    pub jitter: f32,
    /// How many times.
    pub moves: usize,
}

/// What became of a batch.
pub(crate) struct Walk {
    /// Where it ends.
    pub end: Evaluated,
    /// `log gamma` where it began, `[batch]`.
    pub before: Vec<f64>,
    /// Which proposals were accepted, `[moves][batch]`.
    pub accepted: Vec<Vec<bool>>,
    /// The mean chance of acceptance of each row, `[batch]`.
    pub acceptance: Vec<f32>,
    /// Proposals at which the density was no number, of each row.
    pub divergences: Vec<f32>,
    /// The normals of each move, where they are wanted again.
    normals: Vec<Vec<f32>>,
    /// The step sizes of each move, `[moves][batch]`, where they are wanted again.
    steps: Vec<Vec<f32>>,
}

impl<D: LogDensity> Metropolis<D> {
    /// Walks from points, `[rows, columns]`.
    ///
    /// # Errors
    /// If the density does not answer, or is no number where the walk begins.
    pub(crate) fn walk(
        &self,
        points: Vec<f32>,
        rows: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<Walk, Failure> {
        let columns = points.len() / rows.max(1);
        let mut here = Evaluated::new(points, rows, &self.density, given, self.proposal.uses_scores())?;
        check(&here)?;
        let before = here.log_density.clone();
        let mut there = here.clone();
        let mut log_ratio = vec![0.0; rows];
        let normals = normals(noise, rows, columns, self.moves);
        let mut current = vec![0.0; rows * columns];
        let mut start = current.clone();
        // Of each row the acceptance of each move, then the step size of each.
        let each = if self.jitter > 0.0 { 2 * self.moves } else { self.moves };
        let uniforms = noise.purpose(Purpose::Choice).uniform(rows, each);
        let step =
            |row: usize, index: usize| match uniforms[row * each..(row + 1) * each].get(self.moves + index) {
                Some(uniform) => self.stride.step * (1.0 + self.jitter * (2.0 * uniform - 1.0)),
                None => self.stride.step,
            };
        let of_move = |index: usize| (0..rows).map(|row| step(row, index)).collect();
        let steps: Vec<Vec<f32>> = (0..self.moves).map(of_move).collect();
        let (mut acceptance, mut divergences) = (vec![0.0; rows], vec![0.0; rows]);
        let mut accepted = Vec::with_capacity(self.moves);
        for (index, (fresh, steps)) in normals.iter().zip(&steps).enumerate() {
            match self.proposal.kept() {
                kept if kept > 0.0 && index > 0 => {
                    let share = (1.0 - kept * kept).sqrt();
                    current.iter_mut().zip(fresh).for_each(|(now, fresh)| *now = kept * *now + share * fresh);
                }
                _ => current.copy_from_slice(fresh),
            }
            start.copy_from_slice(&current);
            self.proposal.propose(
                &self.density,
                &self.stride,
                steps,
                given,
                &mut current,
                &here,
                &mut there,
                &mut log_ratio,
            )?;
            let taken = (0..rows).map(|row| {
                let (old, new) = (here.log_density[row], there.log_density[row]);
                // From where there is no mass, anywhere that has some.
                let log_chance =
                    if old == f64::NEG_INFINITY && new > old { 0.0 } else { new - old + log_ratio[row] };
                let chance = if log_chance.is_nan() { 0.0 } else { log_chance.min(0.0).exp() };
                divergences[row] += f32::from(u8::from(log_chance.is_nan()));
                acceptance[row] += chance as f32 / self.moves as f32;
                f64::from(uniforms[row * each + index]) < chance
            });
            let taken: Vec<bool> = taken.collect();
            // The fewer rows are copied.
            let most = 2 * taken.iter().filter(|taken| **taken).count() > rows;
            if most {
                std::mem::swap(&mut here, &mut there);
            }
            let others = taken.iter().enumerate().filter(|(_, taken)| **taken != most);
            others.for_each(|(row, _)| here.take(row, &there));
            let refused = taken.iter().enumerate().filter(|(_, taken)| !**taken);
            for (row, _) in refused.filter(|_| self.proposal.kept() > 0.0) {
                let place = row * columns..(row + 1) * columns;
                current[place.clone()].iter_mut().zip(&start[place]).for_each(|(now, start)| *now = -start);
            }
            accepted.push(taken);
        }
        Ok(Walk { end: here, before, accepted, acceptance, divergences, normals, steps })
    }

    /// The walk's end on the tape of `from`: acceptance is a constant of the gradient.
    fn follow(&self, walk: &Walk, from: &State, given: &Given) -> Result<State, Failure> {
        let [rows, columns] = from.dims();
        let device = from.device();
        let (mut x, mut kept) = (from.clone(), None::<State>);
        for ((normals, accepted), steps) in walk.normals.iter().zip(&walk.accepted).zip(&walk.steps) {
            let steps = matrix(steps.clone(), 1, &device);
            let fresh = matrix(normals.clone(), columns, &device);
            let share = self.proposal.kept();
            let normals = match kept {
                Some(kept) => kept * share + fresh * (1.0 - share * share).sqrt(),
                None => fresh,
            };
            let (proposed, end) = self.proposal.on_tape(
                &self.density,
                &self.stride,
                steps,
                given,
                normals.clone(),
                x.clone(),
            )?;
            let accepted: Vec<bool> =
                accepted.iter().flat_map(|taken| std::iter::repeat_n(*taken, columns)).collect();
            let mask = Tensor::from_bool(TensorData::new(accepted, [rows, columns]), &device);
            x = x.mask_where(mask.clone(), proposed);
            kept = end.map(|end| (-normals).mask_where(mask, end));
        }
        Ok(x)
    }

    fn step(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let ([rows, columns], device) = (from.dims(), from.device());
        let kept = from.is_tracked().then(|| from.clone());
        let walk = self.walk(to_vec(from), rows, given, noise)?;
        let (state, ratio) = if let Some(from) = kept {
            let state = self.follow(&walk, &from, given)?;
            let ratio = self.ratio(&from, &state, given)?;
            (state, ratio)
        } else {
            let ratio = walk.before.iter().zip(&walk.end.log_density).map(|(before, after)| before - after);
            let data = TensorData::new(ratio.collect::<Vec<f64>>(), [rows]);
            let ratio = Tensor::from_data(data, (&device, DType::F64));
            (matrix(walk.end.points, columns, &device), ratio)
        };
        let info: Info = vec![("acceptance", walk.acceptance), ("divergence", walk.divergences)];
        Ok(Step::of_ratio(state, ratio).with_info(info))
    }

    /// `log gamma(from) - log gamma(to)`: the ratio of a step either way.
    fn ratio(&self, from: &State, to: &State, given: &Given) -> Result<LogWeight, Failure> {
        Ok(self.density.log_density(from, given)? - self.density.log_density(to, given)?)
    }
}

/// Refuses to begin where the density is no number, although the point is one.
pub(super) fn check(here: &Evaluated) -> Result<(), Failure> {
    let columns = here.points.len() / here.log_density.len().max(1);
    let Some(row) = here.log_density.iter().position(|value| value.is_nan()) else { return Ok(()) };
    let point = &here.points[row * columns..(row + 1) * columns];
    let named: Vec<String> = point.iter().take(8).map(f32::to_string).collect();
    let place = format!("the target at ({}{})", named.join(", "), if columns > 8 { ", ..." } else { "" });
    Err(Problem::new(place, "log R = NaN").allowed("a number").into())
}

impl<D: LogDensity> Transition for Metropolis<D> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.step(from, given, noise)
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.step(from, given, noise)
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        Ok(Score::Ratio(self.ratio(before, after, given)?))
    }

    fn level(&self, state: &State, given: &Given) -> Result<Option<LogWeight>, Failure> {
        self.density.log_density(state, given).map(Some)
    }

    fn leaves_invariant(&self) -> bool {
        true
    }

    fn between(&self) -> Option<&dyn Between> {
        self.density.between()
    }
}
