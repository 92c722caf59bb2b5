//! A reward of rows of cells as an energy over categories: what chains on categories learn from.
//!
//! ```text
//! log R(x) = log R(cells),   cells = x + shift
//! ```
//!
//! A row of which some coordinates are masked, which have the number behind the last value, is one on the way to `x`: cells that are not
//! there yet, where the reward has such. Where all states can be listed, `log Z` and exact draws come from the list, if the reward itself has none.

use std::sync::{Arc, OnceLock};

use super::{Failure, Target};
use crate::environment::Cell;
use crate::math::log_sum_exp;
use crate::rng::Noise;

/// The most states that are listed.
const MOST_LISTED: usize = 1 << 20;

/// A reward over `dimension` categories of `levels` values each.
#[derive(Debug)]
pub struct OfCells {
    reward: Arc<dyn Target<Cell>>,
    dimension: usize,
    levels: usize,
    shift: Cell,
    /// `log Z` and the sums of masses up to every state, the first coordinate slowest.
    listed: OnceLock<Option<(f64, Vec<f64>)>>,
}

impl OfCells {
    /// The energy of rows whose cells are `shift` above their categories.
    pub fn new(reward: Arc<dyn Target<Cell>>, dimension: usize, levels: usize, shift: Cell) -> Self {
        Self { reward, dimension, levels, shift, listed: OnceLock::new() }
    }

    /// The cells of rows; nothing where one is no category.
    fn cells(&self, row: &[f32]) -> Option<Vec<Cell>> {
        let inside = row.iter().all(|x| (0.0..self.levels as f32).contains(x));
        inside.then(|| row.iter().map(|x| *x as Cell + self.shift).collect())
    }

    /// The same of rows that are masked in part: 0 is a cell that is not there yet.
    fn cells_so_far(&self, row: &[f32]) -> Option<Vec<Cell>> {
        let (mask, cell) = (self.levels as f32, |x: f32| x as Cell + self.shift);
        let inside = row.iter().all(|x| (0.0..=mask).contains(x));
        inside.then(|| row.iter().map(|x| if *x == mask { 0 } else { cell(*x) }).collect())
    }

    /// `log R` of rows by their cells, `asked` of all that have some.
    fn of_rows(
        &self,
        rows: &[Option<Vec<Cell>>],
        out: &mut [f64],
        asked: impl FnOnce(&[Cell], &mut [f64]) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let cells: Vec<Cell> = rows.iter().flatten().flatten().copied().collect();
        let mut found = vec![0.0; rows.iter().flatten().count()];
        let known = asked(&cells, &mut found)?;
        let mut found = found.into_iter();
        for (out, row) in out.iter_mut().zip(rows) {
            let own = row.as_ref().and_then(|_| found.next());
            *out = own.unwrap_or(f64::NEG_INFINITY);
        }
        Ok(known)
    }

    fn row(&self, index: usize) -> impl Iterator<Item = usize> {
        let (levels, dimension) = (self.levels, self.dimension);
        (0..dimension).rev().map(move |place| index / levels.pow(place as u32) % levels)
    }

    fn listed(&self) -> Option<&(f64, Vec<f64>)> {
        let list = || {
            let count =
                self.levels.checked_pow(self.dimension as u32).filter(|count| *count <= MOST_LISTED)?;
            let cells: Vec<Cell> =
                (0..count).flat_map(|index| self.row(index)).map(|x| x as Cell + self.shift).collect();
            let mut logs = vec![0.0; count];
            self.reward.log_rewards(&cells, &[], &mut logs).ok()?;
            let log_z = log_sum_exp(&logs);
            let mut sum = 0.0;
            let masses = logs.iter().map(|log| {
                sum += (log - log_z).exp();
                sum
            });
            log_z.is_finite().then(|| (log_z, masses.collect()))
        };
        self.listed.get_or_init(list).as_ref()
    }
}

impl Target for OfCells {
    fn log_rewards(&self, objects: &[f32], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let rows: Vec<_> = objects.chunks_exact(self.dimension).map(|row| self.cells(row)).collect();
        self.of_rows(&rows, out, |cells, found| {
            self.reward.log_rewards(cells, conditions, found).map(|()| true)
        })?;
        Ok(())
    }

    fn partial(&self, states: &[f32], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        if self.shift == 0 {
            return Ok(false);
        }
        let rows: Vec<_> = states.chunks_exact(self.dimension).map(|row| self.cells_so_far(row)).collect();
        self.of_rows(&rows, out, |cells, found| self.reward.partial(cells, conditions, found))
    }

    fn positive_everywhere(&self) -> bool {
        self.reward.positive_everywhere()
    }

    fn condition_width(&self) -> usize {
        self.reward.condition_width()
    }

    fn log_z(&self, condition: &[f32]) -> Option<f64> {
        let listed = || self.listed().filter(|_| condition.is_empty()).map(|(log_z, _)| *log_z);
        self.reward.log_z(condition).or_else(listed)
    }

    fn log_z_tempered(&self, beta: f64, condition: &[f32]) -> Option<f64> {
        self.reward.log_z_tempered(beta, condition)
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let (_, sums) = self.listed().filter(|_| self.condition_width() == 0)?;
        let drawn = (0..count).flat_map(|row| {
            let uniform = noise.stream(row).uniform();
            self.row(sums.partition_point(|sum| *sum < uniform).min(sums.len() - 1))
        });
        Some(drawn.map(|x| x as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Estimate;
    use crate::rng::Purpose;
    use crate::target::Ising;

    /// The constant and the draws are those of all states, of which some is no category.
    #[test]
    fn listed_states_are_the_law() {
        let field = [0.4, -0.7, 0.1];
        let energy = OfCells::new(Arc::new(Ising::ring(0.5, 0.6, &field).unwrap()), 3, 2, 1);
        let own = energy.reward.log_z(&[]).unwrap();
        assert!((energy.listed().unwrap().0 - own).abs() < 1e-12);
        let rows: Vec<f32> = (0..8).flat_map(|index| energy.row(index)).map(|x| x as f32).collect();
        let mut logs = [0.0; 8];
        energy.log_rewards(&rows, &[], &mut logs).unwrap();
        assert!((log_sum_exp(&logs) - own).abs() < 1e-12);
        let spins = |x: f32| f64::from(2.0 * x - 1.0);
        let drawn = energy.draw(20_000, &Noise::new(3, Purpose::Target)).unwrap();
        for place in 0..3 {
            let exact: f64 =
                rows.chunks(3).zip(logs).map(|(row, log)| spins(row[place]) * (log - own).exp()).sum();
            let found = Estimate::mean(&drawn.chunks(3).map(|row| spins(row[place])).collect::<Vec<_>>());
            assert!((found.value - exact).abs() < 4.5 * found.error, "{place}: {found:?} and {exact}");
        }
        let mut out = [0.0; 2];
        energy.log_rewards(&[0.0, 2.0, 1.0, 0.0, 1.0, 1.0], &[], &mut out).unwrap();
        assert_eq!(out[0], f64::NEG_INFINITY);
        assert!((out[1] - logs[3]).abs() < 1e-12);
    }

    /// Of rows masked in part the terms of what is there are known; of a grid's points, whose numbers are all points', nothing is.
    #[test]
    fn masked_rows_are_on_the_way() {
        let (k, field) = (0.6, [0.4, -0.7, 0.1]);
        let reward = Arc::new(Ising::ring(0.5, k, &field).unwrap());
        let mut out = [0.0; 4];
        let rows = [2.0, 2.0, 2.0, 1.0, 2.0, 2.0, 1.0, 0.0, 2.0, 1.0, 0.0, 3.0];
        assert!(OfCells::new(reward.clone(), 3, 2, 1).partial(&rows, &[], &mut out).unwrap());
        let expected = [0.0, field[0], field[0] - field[1] - k];
        assert!(out.iter().zip(expected).all(|(found, exact)| (found - exact).abs() < 1e-12), "{out:?}");
        assert_eq!(out[3], f64::NEG_INFINITY);
        assert!(!OfCells::new(reward, 3, 3, 0).partial(&rows, &[], &mut out).unwrap());
    }
}
