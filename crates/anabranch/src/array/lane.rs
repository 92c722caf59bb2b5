//! Elements taken several at a time, so that every formula runs on all of them at once.

/// Elements handled together.
pub(super) const LANES: usize = 16;
/// One number for each of them.
pub(super) type Lane = [f32; LANES];

/// One number per lane.
#[inline(always)]
pub(super) fn lanes(f: impl Fn(usize) -> f32) -> Lane {
    let mut out = [0.0; LANES];
    for (l, value) in out.iter_mut().enumerate() {
        *value = f(l);
    }
    out
}
