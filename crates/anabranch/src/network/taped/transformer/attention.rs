//! Attention in groups of tokens, and its derivative.
//!
//! ```text
//! s_j = q . k_j / sqrt(size),    p = softmax(s),    o = sum_j p_j v_j           for each head, over the tokens seen
//! dv_j += p_j do,    ds_j = p_j (do . v_j - sum_i p_i do . v_i) / sqrt(size),   dq = sum_j ds_j k_j,   dk_j += ds_j q
//! ```
//!
//! and, forward, along directions `q', k', v'`
//!
//! ```text
//! s'_j = (q' . k_j + q . k'_j) / sqrt(size),    o' = sum_j p_j (s'_j - sum_i p_i s'_i) v_j + p_j v'_j
//! ```
//!
//! Keys and values of a group are kept transposed, so that a head's products run over the tokens seen. Probabilities are
//! not kept: `log sum exp s` gives them back.

use pulp::NullaryFnOnce;

use super::norm::{sum, sum_of_products};
use crate::array::math::{exp, ln};
use crate::network::taped::words::Groups;

/// Tokens seen are rounded up to as many.
const LANES: usize = 16;

/// The sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Queries, keys and values have as many numbers each, one behind the other.
    pub width: usize,
    /// How many heads share them.
    pub heads: usize,
    /// From one token's queries, keys and values to the next's.
    pub stride: usize,
    /// From one token's answers to the next's.
    pub padded: usize,
}

/// What each token sees.
pub struct Attend<'a> {
    pub sizes: Sizes,
    pub groups: &'a Groups,
    /// Queries, keys, values, `[tokens, stride]`.
    pub qkv: &'a [f32],
    /// `[tokens, padded]`.
    pub out: &'a mut [f32],
    /// `log sum exp s`, `[tokens, heads]`.
    pub log_sums: &'a mut [f32],
}

/// The derivative of [`Attend`].
pub struct AttendBack<'a> {
    pub sizes: Sizes,
    pub groups: &'a Groups,
    /// Queries, keys, values, `[tokens, stride]`.
    pub qkv: &'a [f32],
    /// `[tokens, heads]`.
    pub log_sums: &'a [f32],
    /// By the answers, `[tokens, padded]`.
    pub grad: &'a [f32],
    /// By queries, keys and values, `[tokens, stride]`, zero before.
    pub out: &'a mut [f32],
}

/// The derivative of [`Attend`] along a direction of queries, keys and values.
pub struct AttendTangent<'a> {
    pub sizes: Sizes,
    pub groups: &'a Groups,
    /// Queries, keys, values, `[tokens, stride]`.
    pub qkv: &'a [f32],
    /// `[tokens, heads]`.
    pub log_sums: &'a [f32],
    /// Of queries, keys and values, `[tokens, stride]`.
    pub tangent: &'a [f32],
    /// Of the answers, `[tokens, padded]`.
    pub out: &'a mut [f32],
}

/// `to += x from`.
#[inline(always)]
fn add(to: &mut [f32], x: f32, from: &[f32]) {
    let (wide, rest) = to.as_chunks_mut::<8>();
    let (wide_from, rest_from) = from.as_chunks::<8>();
    for (to, from) in wide.iter_mut().zip(wide_from) {
        for i in 0..8 {
            to[i] = x.mul_add(from[i], to[i]);
        }
    }
    rest.iter_mut().zip(rest_from).for_each(|(to, from)| *to = x.mul_add(*from, *to));
}

/// `out_j = sum_c scale x_c rows_cj`, with the rows `stride` apart.
#[inline(always)]
fn products(x: &[f32], scale: f32, rows: &[f32], stride: usize, out: &mut [f32]) {
    let (blocks, _) = out.as_chunks_mut::<LANES>();
    for (block, out) in blocks.iter_mut().enumerate() {
        let mut sums = [0.0; LANES];
        for (c, x) in x.iter().enumerate() {
            let row = &rows[c * stride + block * LANES..][..LANES];
            let x = scale * x;
            for i in 0..LANES {
                sums[i] = x.mul_add(row[i], sums[i]);
            }
        }
        *out = sums;
    }
}

/// The largest of the first `count` numbers.
#[inline(always)]
fn largest(values: &[f32], count: usize) -> f32 {
    let mut most = [f32::NEG_INFINITY; LANES];
    let (wide, rest) = values[..count].as_chunks::<LANES>();
    for values in wide {
        for i in 0..LANES {
            most[i] = if values[i] > most[i] { values[i] } else { most[i] };
        }
    }
    most.iter().chain(rest).fold(f32::NEG_INFINITY, |most, value| most.max(*value))
}

/// Numbers of a group's tokens, transposed: `[width, padded count of tokens]`.
#[inline(always)]
fn transpose(tokens: &[u32], qkv: &[f32], stride: usize, from: usize, lanes: usize, out: &mut [f32]) {
    out.fill(0.0);
    for (j, token) in tokens.iter().enumerate() {
        let row = &qkv[*token as usize * stride + from..];
        for (to, value) in out.chunks_exact_mut(lanes).zip(row) {
            to[j] = *value;
        }
    }
}

impl NullaryFnOnce for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sizes: Sizes { width, heads, stride, padded }, groups, qkv, out, log_sums } = self;
        let size = width / heads;
        let scale = 1.0 / (size as f32).sqrt();
        let (mut keys, mut weights) = (Vec::new(), Vec::new());
        for (tokens, looking) in groups.iter() {
            let lanes = tokens.len().next_multiple_of(LANES);
            keys.resize(width * lanes, 0.0);
            weights.resize(lanes, 0.0);
            transpose(tokens, qkv, stride, width, lanes, &mut keys);
            for at in tokens.len() - looking..tokens.len() {
                let token = tokens[at] as usize;
                let seen = if groups.causal { at + 1 } else { tokens.len() };
                let weights = &mut weights[..seen.next_multiple_of(LANES)];
                let answer = &mut out[token * padded..][..padded];
                answer.fill(0.0);
                for head in 0..heads {
                    let from = head * size;
                    let query = &qkv[token * stride + from..][..size];
                    products(query, scale, &keys[from * lanes..], lanes, weights);
                    let most = largest(weights, seen);
                    weights.iter_mut().for_each(|s| *s = exp(*s - most));
                    weights[seen..].fill(0.0);
                    let total = sum(weights);
                    log_sums[token * heads + head] = most + ln(total);
                    let answer = &mut answer[from..from + size];
                    for (other, weight) in tokens[..seen].iter().zip(&*weights) {
                        let value = &qkv[*other as usize * stride + 2 * width + from..][..size];
                        add(answer, *weight, value);
                    }
                    answer.iter_mut().for_each(|o| *o /= total);
                }
            }
        }
    }
}

impl NullaryFnOnce for AttendBack<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sizes: Sizes { width, heads, stride, padded }, groups, qkv, log_sums, grad, out } = self;
        let size = width / heads;
        let scale = 1.0 / (size as f32).sqrt();
        let mut buffers: [Vec<f32>; 6] = Default::default();
        for (tokens, looking) in groups.iter() {
            let lanes = tokens.len().next_multiple_of(LANES);
            let [keys, values, key_grads, value_grads, weights, slopes] = &mut buffers;
            for matrix in [&mut *keys, values, key_grads, value_grads] {
                matrix.resize(width * lanes, 0.0);
            }
            weights.resize(lanes, 0.0);
            slopes.resize(lanes, 0.0);
            transpose(tokens, qkv, stride, width, lanes, keys);
            transpose(tokens, qkv, stride, 2 * width, lanes, values);
            key_grads.fill(0.0);
            value_grads.fill(0.0);
            for at in tokens.len() - looking..tokens.len() {
                let token = tokens[at] as usize;
                let seen = if groups.causal { at + 1 } else { tokens.len() };
                let rounded = seen.next_multiple_of(LANES);
                let (weights, slopes) = (&mut weights[..rounded], &mut slopes[..rounded]);
                for head in 0..heads {
                    let from = head * size;
                    let query = &qkv[token * stride + from..][..size];
                    let grad = &grad[token * padded + from..][..size];
                    products(query, scale, &keys[from * lanes..], lanes, weights);
                    let log_sum = log_sums[token * heads + head];
                    weights.iter_mut().for_each(|s| *s = exp(*s - log_sum));
                    weights[seen..].fill(0.0);
                    products(grad, 1.0, &values[from * lanes..], lanes, slopes);
                    let mean = sum_of_products(weights, slopes);
                    slopes
                        .iter_mut()
                        .zip(&*weights)
                        .for_each(|(slope, p)| *slope = scale * p * (*slope - mean));
                    for c in 0..size {
                        add(&mut key_grads[(from + c) * lanes..][..rounded], query[c], slopes);
                        add(&mut value_grads[(from + c) * lanes..][..rounded], grad[c], weights);
                    }
                    let query_grad = &mut out[token * stride + from..][..size];
                    for (other, slope) in tokens[..seen].iter().zip(&*slopes) {
                        let key = &qkv[*other as usize * stride + width + from..][..size];
                        add(query_grad, *slope, key);
                    }
                }
            }
            for (j, token) in tokens.iter().enumerate() {
                let to = &mut out[*token as usize * stride + width..][..2 * width];
                let (to_keys, to_values) = to.split_at_mut(width);
                for (to, grads) in [(to_keys, &*key_grads), (to_values, &*value_grads)] {
                    to.iter_mut().zip(grads.chunks_exact(lanes)).for_each(|(to, grads)| *to += grads[j]);
                }
            }
        }
    }
}

impl NullaryFnOnce for AttendTangent<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sizes: Sizes { width, heads, stride, padded }, groups, qkv, log_sums, tangent, out } =
            self;
        let size = width / heads;
        let scale = 1.0 / (size as f32).sqrt();
        let mut buffers: [Vec<f32>; 5] = Default::default();
        for (tokens, looking) in groups.iter() {
            let lanes = tokens.len().next_multiple_of(LANES);
            let [keys, key_tangents, weights, slopes, more] = &mut buffers;
            for (to, from) in [(&mut *keys, qkv), (key_tangents, tangent)] {
                to.resize(width * lanes, 0.0);
                transpose(tokens, from, stride, width, lanes, to);
            }
            [&mut *weights, slopes, more].into_iter().for_each(|row| row.resize(lanes, 0.0));
            for at in tokens.len() - looking..tokens.len() {
                let token = tokens[at] as usize;
                let seen = if groups.causal { at + 1 } else { tokens.len() };
                let rounded = seen.next_multiple_of(LANES);
                let (weights, slopes, more) =
                    (&mut weights[..rounded], &mut slopes[..rounded], &mut more[..rounded]);
                let answer = &mut out[token * padded..][..padded];
                answer.fill(0.0);
                for head in 0..heads {
                    let from = head * size;
                    let place = token * stride + from;
                    let (query, direction) = (&qkv[place..][..size], &tangent[place..][..size]);
                    products(query, scale, &keys[from * lanes..], lanes, weights);
                    let log_sum = log_sums[token * heads + head];
                    weights.iter_mut().for_each(|s| *s = exp(*s - log_sum));
                    weights[seen..].fill(0.0);
                    products(direction, scale, &keys[from * lanes..], lanes, slopes);
                    products(query, scale, &key_tangents[from * lanes..], lanes, more);
                    slopes.iter_mut().zip(&*more).for_each(|(slope, more)| *slope += more);
                    let mean = sum_of_products(weights, slopes);
                    let answer = &mut answer[from..from + size];
                    for ((other, p), slope) in tokens[..seen].iter().zip(&*weights).zip(&*slopes) {
                        let place = *other as usize * stride + 2 * width + from;
                        add(answer, p * (slope - mean), &qkv[place..][..size]);
                        add(answer, *p, &tangent[place..][..size]);
                    }
                }
            }
        }
    }
}
