//! Gibbs sampling of coordinates whose conditional laws are Gaussian (Geman and Geman 1984; Gelfand and Smith 1990).
//!
//! ```text
//! log gamma(x_c | x_rest) = -a_c (x_c - m_c)^2 / 2 + const,     a_c = -d^2 log gamma / dx_c^2,   m_c = x_c + d log gamma / dx_c / a_c
//! block       all x_c, c in B, at once from N(m_c, 1 / a_c)          that are independent of each other given the rest
//! the rest    y_c = x_c + h S_c n, accepted or not, one after the other      Metropolis within Gibbs
//! ```
//!
//! The density names the blocks; gradient and second derivative are its own, so that a power of it, or a product with a Gaussian base, has
//! its conditional laws, too. Each update is reversible for `gamma`, and the sweep backward is that in the other order: the two are each
//! other's reversals, and `log P_B - log P_F = log gamma(s_{t-1}) - log gamma(s_t)`.

use burn::tensor::{DType, Tensor, TensorData};

use super::metropolis::check;
use super::{Evaluated, LogDensity, Stride, normals};
use crate::array::weights::{matrix, to_vec};
use crate::chain::{Between, Given, Info, LogWeight, Score, State, Step, Transition};
use crate::error::{Failure, Problem};
use crate::rng::{Noise, Purpose};

/// Sweeps over all coordinates.
pub struct Gibbs<D> {
    /// The density.
    pub density: D,
    /// Sets of coordinates with Gaussian conditional laws, within a set independent of each other given the rest.
    pub blocks: Vec<Vec<usize>>,
    /// How far all other coordinates jump.
    pub stride: Stride,
    /// How many sweeps.
    pub moves: usize,
}

/// What became of a batch.
pub(crate) struct Swept {
    /// Where it ends.
    pub end: Evaluated,
    /// `log gamma` where it began, `[batch]`.
    before: Vec<f64>,
    /// The mean chance of acceptance of each row's jumps, 1 where there are none, `[batch]`.
    pub acceptance: Vec<f32>,
    /// Updates at which a number was none, of each row.
    divergences: Vec<f32>,
}

/// One update of a sweep.
enum Site<'a> {
    Block(&'a [usize]),
    /// The coordinate, and its number among those that jump.
    Jump(usize, usize),
}

impl<D: LogDensity> Gibbs<D> {
    /// The coordinates that are in no block.
    pub(crate) fn others(&self) -> Vec<usize> {
        let within = |c: &usize| self.blocks.iter().any(|block| block.contains(c));
        (0..self.stride.scale.len()).filter(|c| !within(c)).collect()
    }

    /// Sweeps from points, `[rows, columns]`.
    ///
    /// # Errors
    /// If the density does not answer, or is no number where the sweep begins.
    pub(crate) fn sweep(
        &self,
        points: Vec<f32>,
        rows: usize,
        given: &Given,
        noise: &Noise,
        backward: bool,
    ) -> Result<Swept, Failure> {
        let columns = self.stride.scale.len();
        let others = self.others();
        let blocks = self.blocks.iter().map(|block| Site::Block(block));
        let jumps = others.iter().enumerate().map(|(number, c)| Site::Jump(*c, number));
        let mut sites: Vec<Site<'_>> = blocks.chain(jumps).collect();
        if backward {
            sites.reverse();
        }
        let mut here = Evaluated::new(points, rows, &self.density, given, true)?;
        check(&here)?;
        let before = here.log_density.clone();
        let normals = normals(noise, rows, columns, self.moves);
        let uniforms = match others.len() * self.moves {
            0 => Vec::new(),
            count => noise.purpose(Purpose::Choice).uniform(rows, count),
        };
        let jumps = (others.len() * self.moves).max(1) as f32;
        let resting = if others.is_empty() { 1.0 } else { 0.0 };
        let (mut acceptance, mut divergences) = (vec![resting; rows], vec![0.0; rows]);
        for (index, normals) in normals.iter().enumerate() {
            for site in &sites {
                match site {
                    Site::Block(block) => self.draw(block, &mut here, given, normals, &mut divergences)?,
                    Site::Jump(c, number) => {
                        let mut there = here.clone();
                        let width = self.stride.step * self.stride.scale[*c];
                        let places = (0..rows).map(|row| row * columns + c);
                        places.for_each(|place| there.points[place] += width * normals[place]);
                        there.ask(&self.density, given)?;
                        for row in 0..rows {
                            let log_chance = there.log_density[row] - here.log_density[row];
                            let chance = if log_chance.is_nan() { 0.0 } else { log_chance.min(0.0).exp() };
                            divergences[row] += f32::from(u8::from(log_chance.is_nan()));
                            acceptance[row] += chance as f32 / jumps;
                            let uniform = uniforms[(row * self.moves + index) * others.len() + number];
                            if f64::from(uniform) < chance {
                                here.take(row, &there);
                            }
                        }
                    }
                }
            }
        }
        Ok(Swept { end: here, before, acceptance, divergences })
    }

    /// Draws the coordinates of a block from their conditional laws; a row for which these are none stays.
    fn draw(
        &self,
        block: &[usize],
        here: &mut Evaluated,
        given: &Given,
        normals: &[f32],
        divergences: &mut [f32],
    ) -> Result<(), Failure> {
        let columns = self.stride.scale.len();
        let mut along = vec![0.0; here.points.len()];
        along.chunks_exact_mut(columns).for_each(|row| block.iter().for_each(|c| row[*c] = 1.0));
        let mut curvature = vec![0.0; along.len()];
        self.density.curvature(&here.points, given, &along, &mut curvature)?;
        for (row, divergences) in divergences.iter_mut().enumerate() {
            let drawn = |c: &usize| {
                let place = row * columns + c;
                let precision = -curvature[place];
                let mean = f64::from(here.points[place]) + here.scores[place] / precision;
                let drawn = (mean + f64::from(normals[place]) / precision.sqrt()) as f32;
                (precision > 0.0 && drawn.is_finite()).then_some(drawn)
            };
            match block.iter().map(drawn).collect::<Option<Vec<f32>>>() {
                Some(drawn) => {
                    block.iter().zip(drawn).for_each(|(c, x)| here.points[row * columns + c] = x);
                }
                None => *divergences += 1.0,
            }
        }
        here.ask(&self.density, given)
    }

    fn step(&self, from: State, given: &Given, noise: &Noise, backward: bool) -> Result<Step, Failure> {
        if from.is_tracked() {
            return Err(Problem::new("kernel", "gradients through draws of conditional laws")
                .allowed("another kernel, or nothing that learns")
                .into());
        }
        let ([rows, columns], device) = (from.dims(), from.device());
        let swept = self.sweep(to_vec(from), rows, given, noise, backward)?;
        let ratio = swept.before.iter().zip(&swept.end.log_density).map(|(before, after)| before - after);
        let ratio = TensorData::new(ratio.collect::<Vec<f64>>(), [rows]);
        let ratio = Tensor::from_data(ratio, (&device, DType::F64));
        let info: Info = vec![("acceptance", swept.acceptance), ("divergence", swept.divergences)];
        Ok(Step::of_ratio(matrix(swept.end.points, columns, &device), ratio).with_info(info))
    }
}

impl<D: LogDensity> Transition for Gibbs<D> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.step(from, given, noise, false)
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        self.step(from, given, noise, true)
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        let before = self.density.log_density(before, given)?;
        Ok(Score::Ratio(before - self.density.log_density(after, given)?))
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
