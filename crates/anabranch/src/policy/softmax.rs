//! The masked softmax over numbered choices: `log p_a = l_a - log sum_{possible a'} exp(l_a')`, impossible: `-inf`.

use pulp::{Arch, NullaryFnOnce};

use super::NoLaw;
use crate::array::math::exp;

/// The first place at which the running sum passes `u` of the whole, never one of weight 0.
///
/// # Errors
/// If the weights are those of no law: one is no number, or all are 0.
pub(super) fn choose(weights: &[f32], u: f64) -> Result<usize, NoLaw> {
    let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    if !(total > 0.0 && total.is_finite()) {
        return Err(NoLaw);
    }
    let mut left = u * total;
    let mut last = 0;
    for (place, weight) in weights.iter().enumerate() {
        if *weight > 0.0 {
            last = place;
            left -= f64::from(*weight);
            if left < 0.0 {
                break;
            }
        }
    }
    Ok(last)
}

/// Logits to log-probabilities over what is possible; answers the logarithm of their sum. Where nothing is possible all are
/// `-inf`.
pub(super) fn log_softmax(row: &mut [f32], mask: &[bool]) -> f32 {
    Arch::new().dispatch(LogSoftmax { row, mask })
}

struct LogSoftmax<'a> {
    row: &'a mut [f32],
    mask: &'a [bool],
}

impl NullaryFnOnce for LogSoftmax<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let Self { row, mask } = self;
        for (logit, may) in row.iter_mut().zip(mask) {
            *logit = if *may { *logit } else { f32::NEG_INFINITY };
        }
        let largest = largest(row);
        if largest == f32::NEG_INFINITY {
            return largest;
        }
        let sum = over_lanes(row, 0.0, |a, b| a + b, |logit| exp(logit - largest));
        let total = largest + sum.ln();
        row.iter_mut().for_each(|logit| *logit -= total);
        total
    }
}

/// The largest of a row's numbers, `-inf` for none.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    over_lanes(row, f32::NEG_INFINITY, |a, b| if a > b { a } else { b }, |number| number)
}

/// Numbers that are joined side by side.
const LANES: usize = 16;

/// All values of a row's numbers joined, in an order that lets the machine join several at once.
#[inline(always)]
fn over_lanes(row: &[f32], start: f32, join: impl Fn(f32, f32) -> f32, value: impl Fn(f32) -> f32) -> f32 {
    let (whole, rest) = row.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for numbers in whole {
        for (lane, number) in lanes.iter_mut().zip(numbers) {
            *lane = join(*lane, value(*number));
        }
    }
    let rest = rest.iter().fold(start, |all, number| join(all, value(*number)));
    lanes.into_iter().fold(rest, join)
}

/// Weights of the law `row` of log-probabilities at the temperature `1 / inverse`, up to a factor: `out = exp((row - largest)
/// inverse)`, 0 at `-inf`, no number where the row has none. Untempered, the row is taken as it is.
pub(super) fn weigh(row: &[f32], inverse: f32, out: &mut [f32]) {
    Arch::new().dispatch(Weigh { row, inverse, out });
}

struct Weigh<'a> {
    row: &'a [f32],
    inverse: f32,
    out: &'a mut [f32],
}

impl NullaryFnOnce for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { row, inverse, out } = self;
        let shift = if inverse == 1.0 { 0.0 } else { largest(row) };
        for (out, row) in out.iter_mut().zip(row) {
            *out = if *row == f32::NEG_INFINITY { 0.0 } else { exp((row - shift) * inverse) };
        }
    }
}

/// `out -= total exp(row)`.
pub(super) fn spread(row: &[f32], total: f32, out: &mut [f32]) {
    Arch::new().dispatch(Spread { row, total, out });
}

struct Spread<'a> {
    row: &'a [f32],
    total: f32,
    out: &'a mut [f32],
}

impl NullaryFnOnce for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { row, total, out } = self;
        out.iter_mut().zip(row).for_each(|(out, row)| *out -= total * exp(*row));
    }
}
