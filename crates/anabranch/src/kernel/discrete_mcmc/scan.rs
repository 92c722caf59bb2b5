//! Gibbs sampling by a scan of all sites (Geman and Geman 1984).
//!
//! ```text
//! p(x_i = v | x_{not i}) ~ exp(d_iv)          of two values: 1 with the chance 1 / (1 + exp(-d_i)),  d_i = d_i1 - d_i0
//! ```

use std::sync::Arc;

use pulp::{Arch, NullaryFnOnce};

use super::{CategoricalDensity, drawn};
use crate::array::math::exp;
use crate::rng::Stream;

/// Draws every site from its law given all others, the first one first, or the last one first.
pub fn sweep<D: CategoricalDensity + ?Sized>(
    density: &D,
    states: &mut [u8],
    streams: &mut [Stream<'_>],
    reversed: bool,
) {
    let (sites, values) = (density.sites(), density.values());
    let mut changes = vec![0.0; streams.len() * values];
    for at in 0..sites {
        let site = if reversed { sites - 1 - at } else { at };
        density.changes_at(states, site, &mut changes);
        let rows = states.chunks_exact_mut(sites).zip(changes.chunks_exact_mut(values)).zip(&mut *streams);
        for ((state, changes), stream) in rows {
            state[site] = drawn(changes, stream.uniform()) as u8;
        }
    }
}

/// States that are scanned side by side.
const ABREAST: usize = 16;

/// Spins with couplings of pairs, for scans of many states side by side: a site's 16 spins lie one behind the other, so that sums over
/// neighbours and chances are those of whole vectors. Chances are those of single precision, to about 1e-7.
#[derive(Debug)]
pub struct SpinScan {
    /// `d_i` beside neighbours of 0, a number for each site.
    pub fields: Vec<f32>,
    /// Neighbours of each site with what their spin of -1 or 1 adds to `d_i`; those of site `i` at `starts[i]..starts[i + 1]`.
    pub neighbours: Vec<(u32, f32)>,
    /// See `neighbours`.
    pub starts: Arc<[usize]>,
}

impl SpinScan {
    /// Draws every site of `states`, `[rows, sites]` of 0 and 1, the first one first, or the last one first; a word of its row's stream
    /// for each.
    pub fn sweep(&self, states: &mut [u8], streams: &mut [Stream<'_>], reversed: bool) {
        let sites = self.fields.len();
        let mut spins = vec![[0.0; ABREAST]; sites];
        let mut words = vec![0; ABREAST * sites];
        for (states, streams) in states.chunks_mut(ABREAST * sites).zip(streams.chunks_mut(ABREAST)) {
            for (row, (state, stream)) in states.chunks_exact(sites).zip(streams).enumerate() {
                state.iter().zip(&mut spins).for_each(|(x, spins)| spins[row] = 2.0 * f32::from(*x) - 1.0);
                stream.fill(&mut words[row * sites..][..sites]);
            }
            Arch::new().dispatch(Abreast { scan: self, spins: &mut spins, words: &words, reversed });
            for (row, state) in states.chunks_exact_mut(sites).enumerate() {
                state.iter_mut().zip(&spins).for_each(|(x, spins)| *x = u8::from(spins[row] > 0.0));
            }
        }
    }
}

struct Abreast<'a> {
    scan: &'a SpinScan,
    spins: &'a mut [[f32; ABREAST]],
    words: &'a [u32],
    reversed: bool,
}

impl NullaryFnOnce for Abreast<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { scan, spins, words, reversed } = self;
        let sites = spins.len();
        for at in 0..sites {
            let site = if reversed { sites - 1 - at } else { at };
            let mut worth = [scan.fields[site]; ABREAST];
            for (other, k) in &scan.neighbours[scan.starts[site]..scan.starts[site + 1]] {
                let there = &spins[*other as usize];
                (0..ABREAST).for_each(|lane| worth[lane] = k.mul_add(there[lane], worth[lane]));
            }
            let uniforms: [f32; ABREAST] = std::array::from_fn(|lane| {
                ((words[lane * sites + at] >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0)
            });
            let spins = &mut spins[site];
            for lane in 0..ABREAST {
                let up = uniforms[lane] * (1.0 + exp(worth[lane])) > 1.0;
                spins[lane] = if up { 1.0 } else { -1.0 };
            }
        }
    }
}
