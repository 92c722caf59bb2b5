//! Gibbs sampling by a scan of all sites (Geman and Geman 1984).

use super::{CategoricalDensity, drawn};
use crate::rng::Stream;

/// Draws every site from its law given all others, the first one first, or the last one first.
pub(super) fn sweep(
    density: &dyn CategoricalDensity,
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
