//! Coordinates as tokens, and the transpose.
//!
//! ```text
//! a_i = sum_p v_p V_p + e_i + c C
//! dV_p += v_p da_i,   de_i += da_i,   dC_k += c_k sum_i da_i,   dv_p = V_p . da_i,   dc_k = C_k . sum_i da_i
//! ```

use pulp::Arch;

use super::Coordinates;
use crate::array::matmul::row_stride;
use crate::array::scratch::Scratch;

/// The embeddings with their weights.
pub(super) struct Embedding<'a> {
    pub coordinates: Coordinates,
    pub width: usize,
    /// `V`, `[patch, width]`.
    pub values: &'a [f32],
    /// `e`, `[places, width]`.
    pub places: &'a [f32],
    /// `C`, `[context, width]`.
    pub contexts: &'a [f32],
}

/// The gradient of [`Embedding`]'s weights, each as they are, zero before.
pub(super) struct Gradients<'a> {
    pub values: &'a mut [f32],
    pub places: &'a mut [f32],
    pub contexts: &'a mut [f32],
}

/// `to += x from`.
#[inline(always)]
fn add(to: &mut [f32], x: f32, from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = x.mul_add(*from, *to));
}

#[inline(always)]
fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Embedding<'_> {
    /// The tokens of rows of real inputs, `[rows * tokens, row_stride(width)]`; directions of them have no place.
    pub fn apply<'r>(&self, rows: impl ExactSizeIterator<Item = &'r [f32]>, places: bool) -> Scratch {
        let all = self.coordinates.tokens() * row_stride(self.width);
        let mut x = Scratch::take(rows.len() * all);
        let mut shared = vec![0.0; self.width];
        Arch::new().dispatch(|| {
            for (row, x) in rows.zip(x.chunks_exact_mut(all)) {
                self.row(row, places, &mut shared, x);
            }
        });
        x
    }

    #[inline(always)]
    fn row(&self, row: &[f32], places: bool, shared: &mut [f32], x: &mut [f32]) {
        let Coordinates { input, patch, .. } = self.coordinates;
        let width = self.width;
        shared.fill(0.0);
        for (c, weights) in row[input..].iter().zip(self.contexts.chunks_exact(width)) {
            add(shared, *c, weights);
        }
        for (token, x) in x.chunks_exact_mut(row_stride(width)).enumerate() {
            x[width..].fill(0.0);
            let x = &mut x[..width];
            x.copy_from_slice(shared);
            if places {
                add(x, 1.0, &self.places[self.coordinates.place(token) * width..][..width]);
            }
            if token < self.coordinates.read() {
                let own = &row[token * patch..][..patch];
                for (v, weights) in own.iter().zip(self.values.chunks_exact(width)) {
                    add(x, *v, weights);
                }
            }
        }
    }

    /// Adds the gradient by the weights, `grad` being that by the tokens of rows of real inputs, and writes that by these,
    /// `[rows, dense]`, where asked for.
    pub fn back<'r>(
        &self,
        rows: impl Iterator<Item = &'r [f32]>,
        grad: &[f32],
        mut gradients: Gradients<'_>,
        of_inputs: Option<&mut [f32]>,
    ) {
        let Coordinates { input, context, .. } = self.coordinates;
        let all = self.coordinates.tokens() * row_stride(self.width);
        let mut shared = vec![0.0; self.width];
        let mut of_rows = of_inputs.map(|all| all.chunks_exact_mut(input + context));
        Arch::new().dispatch(|| {
            for (row, grad) in rows.zip(grad.chunks_exact(all)) {
                let of_row = of_rows.as_mut().and_then(Iterator::next);
                self.row_back(row, grad, &mut shared, &mut gradients, of_row);
            }
        });
    }

    #[inline(always)]
    fn row_back(
        &self,
        row: &[f32],
        grad: &[f32],
        shared: &mut [f32],
        gradients: &mut Gradients<'_>,
        mut of_row: Option<&mut [f32]>,
    ) {
        let Coordinates { input, patch, .. } = self.coordinates;
        let width = self.width;
        shared.fill(0.0);
        for (token, grad) in grad.chunks_exact(row_stride(width)).enumerate() {
            let grad = &grad[..width];
            add(shared, 1.0, grad);
            add(&mut gradients.places[self.coordinates.place(token) * width..][..width], 1.0, grad);
            if token >= self.coordinates.read() {
                continue;
            }
            let own = token * patch..(token + 1) * patch;
            for (to, v) in gradients.values.chunks_exact_mut(width).zip(&row[own.clone()]) {
                add(to, *v, grad);
            }
            if let Some(of_row) = of_row.as_mut() {
                let weights = self.values.chunks_exact(width);
                of_row[own].iter_mut().zip(weights).for_each(|(to, w)| *to = product(w, grad));
            }
        }
        for (to, c) in gradients.contexts.chunks_exact_mut(width).zip(&row[input..]) {
            add(to, *c, shared);
        }
        if let Some(of_row) = of_row {
            let weights = self.contexts.chunks_exact(width);
            of_row[input..].iter_mut().zip(weights).for_each(|(to, w)| *to = product(w, shared));
        }
    }
}
