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

#[cfg(test)]
mod tests;

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

/// Queries that are answered side by side: each key and value that is read serves as many.
const ABREAST: usize = 4;

/// Where [`ABREAST`] queries each begin between two places, and the places that are left.
fn abreast(from: usize, to: usize) -> (impl Iterator<Item = usize>, std::ops::Range<usize>) {
    let whole = from + (to - from) / ABREAST * ABREAST;
    ((from..whole).step_by(ABREAST), whole..to)
}

/// `out_qj = sum_c scale x_qc rows_cj` of the first `count` lanes, the rows being `stride` apart in `rows` and in `out`.
#[inline(always)]
fn products<const N: usize>(
    x: [&[f32]; N],
    scale: f32,
    rows: &[f32],
    stride: usize,
    count: usize,
    out: &mut [f32],
) {
    for first in (0..count).step_by(LANES) {
        let mut sums = [[0.0; LANES]; N];
        for c in 0..x[0].len() {
            let row = &rows[c * stride + first..][..LANES];
            for q in 0..N {
                let x = scale * x[q][c];
                for i in 0..LANES {
                    sums[q][i] = x.mul_add(row[i], sums[q][i]);
                }
            }
        }
        for q in 0..N {
            out[q * stride + first..][..LANES].copy_from_slice(&sums[q]);
        }
    }
}

/// `to_j += sum_q x_q rows_qj`, the rows being `stride` apart.
#[inline(always)]
fn add_all<const N: usize>(to: &mut [f32], x: [f32; N], rows: &[f32], stride: usize) {
    let (blocks, _) = to.as_chunks_mut::<LANES>();
    for (block, to) in blocks.iter_mut().enumerate() {
        for q in 0..N {
            let row = &rows[q * stride + block * LANES..][..LANES];
            for i in 0..LANES {
                to[i] = x[q].mul_add(row[i], to[i]);
            }
        }
    }
}

/// `out_qc = sum_j x_qj rows_jc`, row `j` being `size` numbers of `rows` at `places[j]`, `x_q` and `out_q` `stride` and `size` apart.
#[inline(always)]
fn combine<const N: usize>(
    x: &[f32],
    stride: usize,
    places: impl Iterator<Item = usize> + Clone,
    rows: &[f32],
    size: usize,
    out: &mut [f32],
) {
    let mut from = 0;
    while from < size {
        from += match size - from {
            LANES.. => combine_columns::<N, LANES>(x, stride, places.clone(), rows, [size, from], out),
            8.. => combine_columns::<N, 8>(x, stride, places.clone(), rows, [size, from], out),
            _ => combine_columns::<N, 1>(x, stride, places.clone(), rows, [size, from], out),
        };
    }
}

/// So many columns of [`combine`].
#[inline(always)]
fn combine_columns<const N: usize, const WIDTH: usize>(
    x: &[f32],
    stride: usize,
    places: impl Iterator<Item = usize>,
    rows: &[f32],
    [size, from]: [usize; 2],
    out: &mut [f32],
) -> usize {
    let mut sums = [[0.0; WIDTH]; N];
    for (j, place) in places.enumerate() {
        let row = &rows[place + from..][..WIDTH];
        for q in 0..N {
            let x = x[q * stride + j];
            for i in 0..WIDTH {
                sums[q][i] = x.mul_add(row[i], sums[q][i]);
            }
        }
    }
    for q in 0..N {
        out[q * size + from..][..WIDTH].copy_from_slice(&sums[q]);
    }
    WIDTH
}

/// `to += x_1 from_1 + x_2 from_2`.
#[inline(always)]
fn add(to: &mut [f32], [x, y]: [f32; 2], [from, and]: [&[f32]; 2]) {
    to.iter_mut()
        .zip(from)
        .zip(and)
        .for_each(|((to, from), and)| *to = y.mul_add(*and, x.mul_add(*from, *to)));
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

/// Keys and values of a group, and what its queries need.
#[derive(Default)]
struct Work {
    /// Transposed, `[width, lanes]`, and what is added to them backward.
    keys: Vec<f32>,
    values: Vec<f32>,
    key_grads: Vec<f32>,
    value_grads: Vec<f32>,
    /// `[ABREAST, lanes]`.
    weights: Vec<f32>,
    slopes: Vec<f32>,
    /// `[ABREAST, size]`.
    answers: Vec<f32>,
}

impl Attend<'_> {
    /// The answers to the `N` queries of a group from `first` on.
    #[inline(always)]
    fn answer<const N: usize>(&mut self, tokens: &[u32], first: usize, work: &mut Work) {
        let Sizes { width, heads, stride, padded } = self.sizes;
        let (size, lanes) = (width / heads, work.weights.len() / ABREAST);
        let scale = 1.0 / (size as f32).sqrt();
        let seen = |q: usize| if self.groups.causal { first + q + 1 } else { tokens.len() };
        let most_seen = seen(N - 1);
        let token = |q: usize| tokens[first + q] as usize;
        (0..N).for_each(|q| self.out[token(q) * padded..][..padded].fill(0.0));
        for head in 0..heads {
            let from = head * size;
            let queries: [&[f32]; N] = std::array::from_fn(|q| &self.qkv[token(q) * stride + from..][..size]);
            let rounded = most_seen.next_multiple_of(LANES);
            products(queries, scale, &work.keys[from * lanes..], lanes, rounded, &mut work.weights);
            let mut totals = [0.0; N];
            for q in 0..N {
                let weights = &mut work.weights[q * lanes..][..rounded];
                let most = largest(weights, seen(q));
                weights.iter_mut().for_each(|s| *s = exp(*s - most));
                weights[seen(q)..].fill(0.0);
                totals[q] = sum(&weights[..seen(q).next_multiple_of(LANES)]);
                self.log_sums[token(q) * heads + head] = most + ln(totals[q]);
            }
            let places = tokens[..most_seen].iter().map(|other| *other as usize * stride + 2 * width + from);
            combine::<N>(&work.weights, lanes, places, self.qkv, size, &mut work.answers);
            for q in 0..N {
                let answer = &mut self.out[token(q) * padded + from..][..size];
                let sums = &work.answers[q * size..][..size];
                answer.iter_mut().zip(sums).for_each(|(answer, sum)| *answer = sum / totals[q]);
            }
        }
    }
}

impl NullaryFnOnce for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let Sizes { width, heads, stride, .. } = self.sizes;
        let mut work = Work { answers: vec![0.0; ABREAST * (width / heads)], ..Work::default() };
        let groups = self.groups;
        for (tokens, looking) in groups.iter() {
            let lanes = tokens.len().next_multiple_of(LANES);
            work.keys.resize(width * lanes, 0.0);
            work.weights.resize(ABREAST * lanes, 0.0);
            transpose(tokens, self.qkv, stride, width, lanes, &mut work.keys);
            let (fours, rest) = abreast(tokens.len() - looking, tokens.len());
            fours.for_each(|first| self.answer::<ABREAST>(tokens, first, &mut work));
            rest.for_each(|at| self.answer::<1>(tokens, at, &mut work));
        }
    }
}

impl AttendBack<'_> {
    /// The derivative of the `N` queries of a group from `first` on.
    #[inline(always)]
    fn answer<const N: usize>(&mut self, tokens: &[u32], first: usize, work: &mut Work) {
        let Sizes { width, heads, stride, padded } = self.sizes;
        let (size, lanes) = (width / heads, work.weights.len() / ABREAST);
        let scale = 1.0 / (size as f32).sqrt();
        let seen = |q: usize| if self.groups.causal { first + q + 1 } else { tokens.len() };
        let most_seen = seen(N - 1);
        let rounded = most_seen.next_multiple_of(LANES);
        let token = |q: usize| tokens[first + q] as usize;
        for head in 0..heads {
            let from = head * size;
            let queries: [&[f32]; N] = std::array::from_fn(|q| &self.qkv[token(q) * stride + from..][..size]);
            let grads: [&[f32]; N] = std::array::from_fn(|q| &self.grad[token(q) * padded + from..][..size]);
            products(queries, scale, &work.keys[from * lanes..], lanes, rounded, &mut work.weights);
            products(grads, 1.0, &work.values[from * lanes..], lanes, rounded, &mut work.slopes);
            for q in 0..N {
                let weights = &mut work.weights[q * lanes..][..rounded];
                let slopes = &mut work.slopes[q * lanes..][..rounded];
                let log_sum = self.log_sums[token(q) * heads + head];
                weights.iter_mut().for_each(|s| *s = exp(*s - log_sum));
                weights[seen(q)..].fill(0.0);
                let own = seen(q).next_multiple_of(LANES);
                let mean = sum_of_products(&weights[..own], &slopes[..own]);
                let each = slopes.iter_mut().zip(&*weights);
                each.for_each(|(slope, p)| *slope = scale * p * (*slope - mean));
            }
            for c in 0..size {
                let row = (from + c) * lanes..(from + c) * lanes + rounded;
                let (queries, grads) = (queries.map(|query| query[c]), grads.map(|grad| grad[c]));
                add_all(&mut work.key_grads[row.clone()], queries, &work.slopes, lanes);
                add_all(&mut work.value_grads[row], grads, &work.weights, lanes);
            }
            let places = tokens[..most_seen].iter().map(|other| *other as usize * stride + width + from);
            combine::<N>(&work.slopes, lanes, places, self.qkv, size, &mut work.answers);
            for q in 0..N {
                let query_grad = &mut self.out[token(q) * stride + from..][..size];
                let sums = &work.answers[q * size..][..size];
                query_grad.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
            }
        }
    }
}

impl NullaryFnOnce for AttendBack<'_> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let Sizes { width, heads, stride, .. } = self.sizes;
        let mut work = Work { answers: vec![0.0; ABREAST * (width / heads)], ..Work::default() };
        let groups = self.groups;
        for (tokens, looking) in groups.iter() {
            let lanes = tokens.len().next_multiple_of(LANES);
            for matrix in [&mut work.keys, &mut work.values, &mut work.key_grads, &mut work.value_grads] {
                matrix.resize(width * lanes, 0.0);
            }
            work.weights.resize(ABREAST * lanes, 0.0);
            work.slopes.resize(ABREAST * lanes, 0.0);
            transpose(tokens, self.qkv, stride, width, lanes, &mut work.keys);
            transpose(tokens, self.qkv, stride, 2 * width, lanes, &mut work.values);
            work.key_grads.fill(0.0);
            work.value_grads.fill(0.0);
            let (fours, rest) = abreast(tokens.len() - looking, tokens.len());
            fours.for_each(|first| self.answer::<ABREAST>(tokens, first, &mut work));
            rest.for_each(|at| self.answer::<1>(tokens, at, &mut work));
            for (j, token) in tokens.iter().enumerate() {
                let to = &mut self.out[*token as usize * stride + width..][..2 * width];
                let (to_keys, to_values) = to.split_at_mut(width);
                for (to, grads) in [(to_keys, &work.key_grads), (to_values, &work.value_grads)] {
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
                    products([query], scale, &keys[from * lanes..], lanes, rounded, weights);
                    let log_sum = log_sums[token * heads + head];
                    weights.iter_mut().for_each(|s| *s = exp(*s - log_sum));
                    weights[seen..].fill(0.0);
                    products([direction], scale, &keys[from * lanes..], lanes, rounded, slopes);
                    products([query], scale, &key_tangents[from * lanes..], lanes, rounded, more);
                    slopes.iter_mut().zip(&*more).for_each(|(slope, more)| *slope += more);
                    let mean = sum_of_products(weights, slopes);
                    let answer = &mut answer[from..from + size];
                    for ((other, p), slope) in tokens[..seen].iter().zip(&*weights).zip(&*slopes) {
                        let place = *other as usize * stride + 2 * width + from;
                        add(answer, [p * (slope - mean), *p], [&qkv[place..], &tangent[place..]]);
                    }
                }
            }
        }
    }
}
