//! Linear mixing of coordinates: permutations and LU-factored matrices.
//!
//! ```text
//! permutation  x = P z                                  log |det| = 0
//! LU           x = L U z + b,  L unit lower triangular  log |det| = sum_i log U_ii
//! ```
//!
//! `U_ii = softplus(raw) + 1e-3`, started at one (Glow's and neural spline flows' parametrisation).

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData, activation};
use serde_json::json;

use super::Bijection;
use crate::array::described::Described;
use crate::array::lu::{self, SMALLEST};
use crate::array::weights::sum_rows;
use crate::array::weights::{Weights, layout, matrix};
use crate::chain::{Given, LogWeight, State};
use crate::rng::{Noise, Purpose};

/// A fixed permutation of the coordinates: `x[order[i]] = z[i]`.
#[derive(Debug, Clone)]
pub struct Permutation {
    order: Arc<[usize]>,
    inverse: Arc<[usize]>,
}

impl Permutation {
    /// The given order.
    ///
    /// # Panics
    /// If it is not a permutation of `0..order.len()`.
    pub fn new(order: Vec<usize>) -> Self {
        let mut inverse = vec![usize::MAX; order.len()];
        for (from, to) in order.iter().enumerate() {
            assert!(inverse[*to] == usize::MAX, "{to} occurs twice");
            inverse[*to] = from;
        }
        Self { order: order.into(), inverse: inverse.into() }
    }

    /// The reversal of `dimension` coordinates.
    pub fn reversal(dimension: usize) -> Self {
        Self::new((0..dimension).rev().collect())
    }

    /// A random order, addressed by `seed` and `index`.
    pub fn random(dimension: usize, seed: u64, index: u32) -> Self {
        Self::new(Noise::new(seed, Purpose::Weights).step(index).permutation(dimension))
    }
}

impl Permutation {
    /// The first `count` coordinates of `z`.
    pub(super) fn inverse_head(&self, x: State, count: usize) -> State {
        select(x, &self.order[..count]).0
    }
}

fn select(state: State, order: &[usize]) -> (State, LogWeight) {
    let device = state.device();
    let indices: Vec<i32> = order.iter().map(|i| *i as i32).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [order.len()]), &device);
    let zero = Tensor::zeros([state.dims()[0]], &device);
    (state.select(1, indices), zero)
}

impl Bijection for Permutation {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        select(z, &self.inverse)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        select(x, &self.order)
    }

    fn described(&self) -> Option<Described> {
        Some(Described::new("permutation", json!({ "order": &self.order[..] })))
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}

/// `x = z (L U)^T + b`, row vectors.
#[derive(Debug, Clone)]
pub struct LuLinear {
    dimension: usize,
    weights: Weights,
}

/// The raw value whose softplus plus [`SMALLEST`] is one.
pub(super) const RAW_ONE: f32 = 0.539_742_4;

impl LuLinear {
    /// The identity on `dimension` coordinates.
    pub fn new(name: impl Into<String>, dimension: usize) -> Self {
        let square = vec![dimension, dimension];
        let slots = layout([
            ("lower", square.clone()),
            ("upper", square),
            ("diagonal", vec![dimension]),
            ("shift", vec![dimension]),
        ]);
        let mut values = vec![0.0; slots.last().map_or(0, |slot| slot.range.end)];
        values[slots[2].range.clone()].fill(RAW_ONE);
        Self { dimension, weights: Weights::new(name, slots, values) }
    }

    /// `L^T`, `U^T` and the row of `U_ii`.
    fn factors(&self) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
        let (d, device) = (self.dimension, self.weights.device());
        let triangle = |above: bool| -> Tensor<2> {
            let entry = |i: usize| (if above { i % d > i / d } else { i % d < i / d }) as u8 as f32;
            matrix((0..d * d).map(entry).collect(), d, &device)
        };
        let unit: Vec<f32> = (0..d * d).map(|i| (i / d == i % d) as u8 as f32).collect();
        let unit = matrix(unit, d, &device);
        let diagonal = activation::softplus(self.weights.matrix("diagonal"), 1.0) + SMALLEST;
        // Transposed factors: row vectors are multiplied from the right.
        let lower = self.weights.matrix("lower") * triangle(true) + unit.clone();
        let upper = self.weights.matrix("upper") * triangle(false) + unit * diagonal.clone();
        (lower, upper, diagonal)
    }

    fn apply(&self, state: State, inverse: bool) -> (State, LogWeight) {
        let [rows, d] = state.dims();
        let joined = lu::apply(state, self.weights.tensor(), inverse);
        let log_det = joined.clone().slice([0..rows, d..d + 1]).squeeze_dim(1);
        (joined.slice([0..rows, 0..d]), log_det)
    }

    /// Either direction composed of burn's own operations: the oracle of the fused kernel.
    pub fn apply_composed(&self, state: State, inverse: bool) -> (State, LogWeight) {
        let (lower, upper, diagonal) = self.factors();
        let log_det = sum_rows(diagonal.log()).expand([state.dims()[0]]);
        if !inverse {
            return (state.matmul(upper.matmul(lower)) + self.weights.matrix("shift"), log_det);
        }
        let product = inverse_unit_upper(lower).matmul(inverse_lower(upper));
        ((state - self.weights.matrix("shift")).matmul(product), -log_det)
    }
}

impl Bijection for LuLinear {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        self.apply(z, false)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        self.apply(x, true)
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![&self.weights]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![&mut self.weights]
    }

    fn described(&self) -> Option<Described> {
        Some(Described::new("lu", json!({ "smallest": SMALLEST, "weights": self.weights.name() })))
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}

/// The inverse of a unit upper triangular matrix `I + N`: `prod_j (I + (-N)^(2^j))`, `N` being nilpotent.
///
/// Logarithmically many products, each differentiable.
fn inverse_unit_upper(matrix: Tensor<2>) -> Tensor<2> {
    let d = matrix.dims()[0];
    let unit = Tensor::<2>::eye(d, &matrix.device());
    let mut power = unit.clone() - matrix;
    let mut inverse = unit.clone() + power.clone();
    let mut reach = 2;
    while reach < d {
        power = power.clone().matmul(power);
        inverse = inverse.clone().matmul(unit.clone() + power.clone());
        reach *= 2;
    }
    inverse
}

/// The inverse of a lower triangular matrix with a positive diagonal.
fn inverse_lower(matrix: Tensor<2>) -> Tensor<2> {
    let d = matrix.dims()[0];
    let unit = Tensor::<2>::eye(d, &matrix.device());
    let diagonal = (matrix.clone() * unit).sum_dim(0);
    // L = M D with unit M: L^{-1} = D^{-1} M^{-1}, and M^T is unit upper triangular.
    let scaled = matrix / diagonal.clone();
    inverse_unit_upper(scaled.transpose()).transpose() / diagonal.transpose()
}
