//! One linear layer on a chunk of rows: product, bias, skip connection and activation in one pass.
//!
//! ```text
//! forward   z = x W + b (+ skip),     next = act(z),   slope = act'(z)
//! backward  g_x = (g W^T) slope (+ skip),   g_W = x^T g,   g_b = sum of g's rows
//! tangent   d = t W (+ skip),                next = d slope
//! ```
//!
//! Buffers between layers are row-major with rows a [`row_stride`] apart (here "padded"), so that only the first and the
//! last layer of a network know of odd widths.

use std::marker::PhantomData;

use pulp::{Arch, NullaryFnOnce, Simd};

use super::activation::{Elu, Gelu, Identity, Pointwise, Relu, Silu, Tanh};
use super::matmul::{PANEL, Panels, Rows, Tiled, dispatch, padded, row_stride, rows_times};
use super::shape::Activation;

/// The weights of one layer, packed.
#[derive(Debug)]
pub(crate) struct Layer {
    /// `W`, `[input, output]`.
    pub weight: Panels,
    /// `b`, padded.
    pub bias: Vec<f32>,
}

impl Layer {
    pub fn pack(weight: &[f32], bias: &[f32], input: usize) -> Self {
        let output = bias.len();
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(padded(output), 0.0);
        Self { weight: Panels::pack(weight, output, input, output), bias: padded_bias }
    }
}

/// What a layer's pass writes, all padded `[rows, row_stride(output)]`; what is empty is not wanted.
pub(crate) struct Outputs<'a> {
    /// `z`.
    pub before: &'a mut [f32],
    /// `act(z)`.
    pub next: &'a mut [f32],
    /// `act'(z)`.
    pub slope: &'a mut [f32],
}

/// A layer forward, specialised for its activation.
struct Forward<'a, A> {
    layer: Input<'a>,
    out: Outputs<'a>,
    activation: PhantomData<A>,
}

/// What a layer reads.
pub(crate) struct Input<'a> {
    pub x: Rows<'a>,
    /// How many coordinates of each row are read, and rows of the weight.
    pub depth: usize,
    pub weight: &'a Panels,
    /// Padded.
    pub bias: &'a [f32],
    /// What is added to `z`, padded.
    pub skip: Option<&'a [f32]>,
}

impl<A: Pointwise> Tiled for Forward<'_, A> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(self, simd: S) {
        let Input { x, depth, weight, bias, skip } = self.layer;
        let out = self.out;
        let width = row_stride(weight.columns());
        rows_times::<S, ROWS, VECTORS, PANELS>(
            simd,
            x,
            depth,
            weight,
            #[inline(always)]
            |place, tile| {
                let bias = &bias[place.column..place.column + PANEL];
                for (i, row) in tile.iter().enumerate().take(place.rows) {
                    let at = (place.row + i) * width + place.column;
                    let mut z = *row;
                    add(&mut z, bias);
                    if let Some(skip) = skip {
                        add(&mut z, &skip[at..at + PANEL]);
                    }
                    if !out.before.is_empty() {
                        out.before[at..at + PANEL].copy_from_slice(&z);
                    }
                    let next = &mut out.next[at..at + PANEL];
                    if out.slope.is_empty() {
                        for j in 0..PANEL {
                            next[j] = A::value(z[j]);
                        }
                    } else {
                        let slope = &mut out.slope[at..at + PANEL];
                        for j in 0..PANEL {
                            (next[j], slope[j]) = A::value_and_slope(z[j]);
                        }
                    }
                }
            },
        );
    }
}

#[inline(always)]
fn add(to: &mut [f32; PANEL], from: &[f32]) {
    for j in 0..PANEL {
        to[j] += from[j];
    }
}

/// A layer forward; without an activation `next` is `z`.
pub(crate) fn forward(activation: Option<Activation>, layer: Input<'_>, out: Outputs<'_>) {
    match activation {
        None => dispatch(Forward::<Identity> { layer, out, activation: PhantomData }),
        Some(Activation::Relu) => dispatch(Forward::<Relu> { layer, out, activation: PhantomData }),
        Some(Activation::Silu) => dispatch(Forward::<Silu> { layer, out, activation: PhantomData }),
        Some(Activation::Gelu) => dispatch(Forward::<Gelu> { layer, out, activation: PhantomData }),
        Some(Activation::Tanh) => dispatch(Forward::<Tanh> { layer, out, activation: PhantomData }),
        Some(Activation::Elu) => dispatch(Forward::<Elu> { layer, out, activation: PhantomData }),
    }
}

/// The gradient of a layer's input before its activation, padded: `(g W^T) slope (+ skip)`; an absent slope is one.
pub(crate) struct Backward<'a> {
    /// `g`.
    pub grad: Rows<'a>,
    /// `W^T`.
    pub transposed: &'a Panels,
    /// Padded.
    pub slope: Option<&'a [f32]>,
    /// Padded.
    pub skip: Option<&'a [f32]>,
    /// Padded.
    pub out: &'a mut [f32],
}

impl Backward<'_> {
    pub fn run(self) {
        dispatch(self);
    }
}

impl Tiled for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(self, simd: S) {
        let Self { grad, transposed, slope, skip, out } = self;
        let width = row_stride(transposed.columns());
        rows_times::<S, ROWS, VECTORS, PANELS>(
            simd,
            grad,
            transposed.depth(),
            transposed,
            #[inline(always)]
            |place, tile| {
                for (i, row) in tile.iter().enumerate().take(place.rows) {
                    let at = (place.row + i) * width + place.column;
                    let mut g = *row;
                    if let Some(slope) = slope {
                        let slope = &slope[at..at + PANEL];
                        for j in 0..PANEL {
                            g[j] *= slope[j];
                        }
                    }
                    if let Some(skip) = skip {
                        add(&mut g, &skip[at..at + PANEL]);
                    }
                    out[at..at + PANEL].copy_from_slice(&g);
                }
            },
        );
    }
}

/// The derivative of a layer's output along directions, `count` of them for each row of `slope`; all padded.
pub(crate) struct Tangent<'a> {
    /// `t`.
    pub x: Rows<'a>,
    /// How many coordinates of each row are read, and rows of the weight.
    pub depth: usize,
    pub weight: &'a Panels,
    /// What is added to `d`.
    pub skip: Option<&'a [f32]>,
    /// An absent slope is one.
    pub slope: Option<&'a [f32]>,
    pub count: usize,
    /// `d`; empty if it is not wanted.
    pub before: &'a mut [f32],
    pub next: &'a mut [f32],
}

impl Tangent<'_> {
    pub fn run(self) {
        dispatch(self);
    }
}

impl Tiled for Tangent<'_> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd, const ROWS: usize, const VECTORS: usize, const PANELS: usize>(self, simd: S) {
        let Self { x, depth, weight, skip, slope, count, before, next } = self;
        let width = row_stride(weight.columns());
        rows_times::<S, ROWS, VECTORS, PANELS>(
            simd,
            x,
            depth,
            weight,
            #[inline(always)]
            |place, tile| {
                for (i, row) in tile.iter().enumerate().take(place.rows) {
                    let at = (place.row + i) * width + place.column;
                    let mut d = *row;
                    if let Some(skip) = skip {
                        add(&mut d, &skip[at..at + PANEL]);
                    }
                    if !before.is_empty() {
                        before[at..at + PANEL].copy_from_slice(&d);
                    }
                    if let Some(slope) = slope {
                        let slope = &slope[(place.row + i) / count * width + place.column..][..PANEL];
                        for j in 0..PANEL {
                            d[j] *= slope[j];
                        }
                    }
                    next[at..at + PANEL].copy_from_slice(&d);
                }
            },
        );
    }
}

/// The numbers of a padded buffer's `columns` columns.
pub(crate) fn unpad(values: &[f32], columns: usize, out: &mut [f32]) {
    let rows = out.chunks_exact_mut(columns).zip(values.chunks_exact(row_stride(columns)));
    rows.for_each(|(to, from)| to.copy_from_slice(&from[..columns]));
}

/// Adds every row of a padded buffer to `out`, whose length is the number of columns that count.
pub(crate) fn sum_columns(values: &[f32], out: &mut [f32]) {
    Arch::new().dispatch(SumColumns { values, out });
}

struct SumColumns<'a> {
    values: &'a [f32],
    out: &'a mut [f32],
}

impl NullaryFnOnce for SumColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for row in self.values.chunks_exact(row_stride(self.out.len())) {
            self.out.iter_mut().zip(row).for_each(|(o, v)| *o += v);
        }
    }
}
