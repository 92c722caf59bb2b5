//! Batches of states, and what they are conditioned on: one row per trajectory.

use std::borrow::Cow;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::array::weights::matrix;

/// States of any space, one row per trajectory. Steps are told how many there are and may be handed any rows of them:
/// resampling repeats some and drops others.
pub trait Batch: Clone {
    /// How many trajectories.
    fn rows(&self) -> usize;

    /// The rows with these numbers, in this order; one may come several times.
    ///
    /// # Panics
    /// If there is no such row.
    fn select(&self, rows: &[u32]) -> Self;

    /// `count` rows from `first` on.
    ///
    /// # Panics
    /// If there are not as many.
    fn range(&self, first: usize, count: usize) -> Self {
        let rows: Vec<u32> = (first..first + count).map(|row| row as u32).collect();
        self.select(&rows)
    }

    /// Batches one behind the other.
    ///
    /// # Panics
    /// If there is none, or their rows are of different lengths.
    fn concat(parts: Vec<Self>) -> Self;
}

impl Batch for Tensor<2> {
    fn rows(&self) -> usize {
        self.dims()[0]
    }

    fn select(&self, rows: &[u32]) -> Self {
        let count = self.rows();
        assert!(rows.iter().all(|row| (*row as usize) < count), "a row of {count}");
        let numbers: Vec<i64> = rows.iter().map(|row| i64::from(*row)).collect();
        let numbers = Tensor::<1, Int>::from_data(TensorData::new(numbers, [rows.len()]), &self.device());
        Tensor::select(self.clone(), 0, numbers)
    }

    fn range(&self, first: usize, count: usize) -> Self {
        self.clone().slice([first..first + count, 0..self.dims()[1]])
    }

    fn concat(parts: Vec<Self>) -> Self {
        Tensor::cat(parts, 0)
    }
}

/// Rows of plain numbers of one length: objects that are built of cells, points.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<C> {
    /// Numbers of a row.
    pub columns: usize,
    /// `[rows, columns]`, one row behind the other.
    pub values: Vec<C>,
}

impl<C: Copy> Rows<C> {
    /// The rows, one slice each.
    pub fn iter(&self) -> impl Iterator<Item = &[C]> {
        self.values.chunks_exact(self.columns.max(1))
    }
}

impl<C: Copy> Batch for Rows<C> {
    fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    fn select(&self, rows: &[u32]) -> Self {
        let row = |row: &u32| &self.values[*row as usize * self.columns..][..self.columns];
        Self { columns: self.columns, values: rows.iter().flat_map(row).copied().collect() }
    }

    fn concat(parts: Vec<Self>) -> Self {
        let columns = parts.first().expect("a batch").columns;
        assert!(parts.iter().all(|part| part.columns == columns), "rows of {columns} numbers");
        Self { columns, values: parts.into_iter().flat_map(|part| part.values).collect() }
    }
}

/// The condition that trajectories are given: a class, an inverse temperature, preferences, as real numbers.
///
/// Each trajectory has its own, `[rows, width]`, or all share one, `[1, width]`; of width 0 there is none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Given {
    width: usize,
    values: Vec<f32>,
}

impl Given {
    /// No condition.
    pub const fn nothing() -> Self {
        Self { width: 0, values: Vec::new() }
    }

    /// A condition of `width` numbers for each row, one behind the other; a single one is shared by all rows.
    ///
    /// # Panics
    /// If the numbers are no whole number of rows.
    pub fn rows(width: usize, values: Vec<f32>) -> Self {
        assert!(values.len().is_multiple_of(width.max(1)), "conditions of {width} numbers each");
        Self { width, values: if width == 0 { Vec::new() } else { values } }
    }

    /// Numbers of a condition.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The numbers, `[rows, width]` or `[1, width]`; empty where there is no condition.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    fn is_shared(&self) -> bool {
        self.values.len() == self.width
    }

    /// The condition as a tensor, `[rows, width]` or `[1, width]`.
    pub fn tensor(&self, device: &Device) -> Option<Tensor<2>> {
        (self.width > 0).then(|| matrix(self.values.clone(), self.width, device))
    }

    /// The condition for who reads `width` numbers of it: nothing for who reads none.
    ///
    /// # Panics
    /// If it has another width.
    pub fn read(&self, width: usize, device: &Device) -> Option<Tensor<2>> {
        assert!(width == 0 || width == self.width, "a condition of {} numbers for {width}", self.width);
        self.tensor(device).filter(|_| width > 0)
    }

    /// The condition of row `row`.
    pub fn row(&self, row: usize) -> &[f32] {
        let first = if self.is_shared() { 0 } else { row * self.width };
        &self.values[first..first + self.width]
    }

    /// The conditions of `rows` rows, one each, `[rows, width]`.
    pub fn each(&self, rows: usize) -> Cow<'_, [f32]> {
        match self.is_shared() && rows != 1 {
            true => Cow::Owned(self.values.repeat(rows)),
            false => Cow::Borrowed(&self.values),
        }
    }

    /// The conditions of `count` rows from `first` on.
    pub fn range(&self, first: usize, count: usize) -> Self {
        if self.is_shared() {
            return self.clone();
        }
        let values = self.values[first * self.width..(first + count) * self.width].to_vec();
        Self { width: self.width, values }
    }

    /// The conditions of the rows with these numbers.
    pub fn select(&self, rows: &[u32]) -> Self {
        if self.is_shared() {
            return self.clone();
        }
        let values = rows.iter().flat_map(|row| self.row(*row as usize)).copied().collect();
        Self { width: self.width, values }
    }

    /// Every row's condition `times` times, next to each other.
    pub fn repeat(&self, times: usize) -> Self {
        if self.is_shared() {
            return self.clone();
        }
        let rows = self.values.chunks_exact(self.width);
        let values = rows.flat_map(|row| std::iter::repeat_n(row, times).flatten()).copied().collect();
        Self { width: self.width, values }
    }
}

/// Columns next to each other: `[rows, a + b]`, where either may be one row that is shared by all.
pub fn beside(first: Tensor<2>, second: Option<Tensor<2>>) -> Tensor<2> {
    let Some(second) = second else { return first };
    let ([n, a], [m, b]) = (first.dims(), second.dims());
    let rows = n.max(m);
    Tensor::cat(vec![first.expand([rows, a]), second.expand([rows, b])], 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::weights::to_vec;

    #[test]
    fn rows_are_selected_and_repeated() {
        let device = Device::flex();
        let state = matrix(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, &device);
        assert_eq!(state.rows(), 3);
        assert_eq!(to_vec(Batch::select(&state, &[2, 0, 2])), [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
        let cells = Rows { columns: 2, values: vec![1u8, 2, 3, 4] };
        assert_eq!(cells.select(&[1, 1]).values, [3, 4, 3, 4]);
        let given = Given::rows(1, vec![7.0, 8.0, 9.0]);
        assert_eq!(given.select(&[2, 0]).values(), [9.0, 7.0]);
        assert_eq!(given.repeat(2).values(), [7.0, 7.0, 8.0, 8.0, 9.0, 9.0]);
        assert_eq!(given.range(1, 2).values(), [8.0, 9.0]);
        let shared = Given::rows(2, vec![1.0, 0.0]);
        assert_eq!(*shared.each(2), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!((shared.select(&[4, 5]), shared.row(9)), (shared.clone(), [1.0, 0.0].as_slice()));
        let joined = beside(matrix(vec![1.0, 2.0], 1, &device), shared.tensor(&device));
        assert_eq!(to_vec(joined), [1.0, 1.0, 0.0, 2.0, 1.0, 0.0]);
        assert!(Given::nothing().tensor(&device).is_none());
    }
}
