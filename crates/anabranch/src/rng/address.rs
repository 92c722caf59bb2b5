//! Addresses: which trajectories of a stream each use of a seed has for itself.
//!
//! A stream ([`Purpose`](super::Purpose)) has `2^60` trajectories. A use that counts the steps `k` of training lies near 0 while
//! it is small, and moves as a whole to a stretch of its own beyond:
//!
//! ```text
//! rows of training, b a step            k b + i                    below 2^40,   else  2^56 + k b + i    below 2^57
//! walks back of a flow network          2^20 k + i                 below 2^48,   else  2^58 + 2^s k + i  below 2^59
//! observations of random rewards        2^24 k + i                 below 2^48,   else  2^59 + 2^s k + i  below 2^60
//! rounds of a local search              2^57 + (k rounds + r) b + i                                      below 2^58
//! exact draws from which paths lead back, samples of chains, draws that features are fitted to,
//!   draws that samples are compared with, samples for a front, samples of flow networks
//!                                       2^40, 2^41, 2^42, 2^43, 2^45, 2^47 + i        below twice that
//! draw n for row i of an evaluation     2^32 n + i                 below 2^58
//! ```
//!
//! `2^s` is the least power of 2 that is not below the most rows of a step. Walks back and observations have streams that no other
//! use below `2^48` has, and evaluations have another seed. Arithmetic is checked: what would leave its stretch panics, and
//! recipes that are so large are refused before ([`Counted::most_steps`]).

use std::ops::Range;

/// How many trajectories a stream has.
pub(super) const TRAJECTORIES: u64 = 1 << 60;

/// A use that counts the steps of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Rows of training: of a batch, one after the other.
    Rows,
    /// Walks back of a flow network from its objects.
    WalksBack,
    /// Observations of random rewards.
    Observations,
    /// Rounds of a local search, all of its steps counted together.
    Search,
}

impl Counted {
    /// The trajectories below which a use lies near 0, the least number that it sets aside for a step there, and its stretch
    /// beyond.
    fn places(self) -> (u64, u64, Range<u64>) {
        match self {
            Self::Rows => (1 << 40, 1, 1 << 56..1 << 57),
            Self::Search => (0, 1, 1 << 57..1 << 58),
            Self::WalksBack => (1 << 48, 1 << 20, 1 << 58..1 << 59),
            Self::Observations => (1 << 48, 1 << 24, 1 << 59..1 << 60),
        }
    }

    /// How many trajectories a step of at most `rows` rows has near 0 and beyond; none where that is no number.
    fn strides(self, rows: u64) -> Option<(u64, u64)> {
        match self.places().1 {
            1 => Some((rows, rows)),
            least => Some((least, rows.max(1).checked_next_power_of_two()?)),
        }
    }

    /// How many steps, of at most `rows` rows each, have addresses.
    pub fn most_steps(self, rows: u64) -> u64 {
        let (_, _, beyond) = self.places();
        self.strides(rows).map_or(0, |(_, stride)| (beyond.end - beyond.start) / stride.max(1))
    }
}

/// The first of the trajectories of a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(u64);

impl Address {
    /// Exact draws of a target from which paths lead back.
    pub const EXACT_PATHS: Self = Self(1 << 40);
    /// Samples that a run of a chain writes.
    pub const SAMPLES: Self = Self(1 << 41);
    /// Exact draws that the features of sample metrics are fitted to, and that reports show.
    pub const FITTED: Self = Self(1 << 42);
    /// Exact draws that samples are compared with.
    pub const COMPARED: Self = Self(1 << 43);
    /// Conditions of the states that a chain is tuned by.
    pub const WARM_UP: Self = Self(1 << 44);
    /// Samples for a front of several rewards.
    pub const FRONT: Self = Self(1 << 45);
    /// Samples that a run of a flow network writes.
    pub const FLOW_SAMPLES: Self = Self(1 << 47);

    /// Of step `step` (from 0), of which each has at most `rows` rows.
    ///
    /// # Panics
    /// If there is no such address ([`Counted::most_steps`]).
    pub fn of_step(counted: Counted, step: u64, rows: usize) -> Self {
        let (end, _, beyond) = counted.places();
        let rows = rows as u64;
        let strides = counted.strides(rows).expect("a step has addresses");
        // All of a step lies near 0, or none of it.
        let after = step.checked_add(1).and_then(|steps| steps.checked_mul(strides.0));
        if rows <= strides.0 && after.is_some_and(|after| after <= end) {
            return Self(step * strides.0);
        }
        let first = step.checked_mul(strides.1).and_then(|first| first.checked_add(beyond.start));
        let inside = |first: &u64| first.checked_add(rows).is_some_and(|after| after <= beyond.end);
        Self(first.filter(inside).expect("a step has addresses"))
    }

    /// Of draw `draw` for the rows of an evaluation from `row` on.
    ///
    /// # Panics
    /// If there are 2^32 rows or 2^26 draws before.
    pub fn of_draw(draw: usize, row: usize) -> Self {
        assert!((row as u64) < 1 << 32 && (draw as u64) < 1 << 26, "a draw for a row has an address");
        Self((draw as u64) << 32 | row as u64)
    }

    /// Which draw for which row a trajectory is of ([`Address::of_draw`]).
    pub fn draw_and_row(trajectory: u64) -> (u64, u64) {
        (trajectory >> 32, trajectory & 0xFFFF_FFFF)
    }

    /// The number of its first trajectory.
    pub(super) fn first(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: [Counted; 4] = [Counted::Rows, Counted::WalksBack, Counted::Observations, Counted::Search];

    /// Where all steps of a use lie.
    fn stretches(counted: Counted) -> [Range<u64>; 2] {
        let (near, _, beyond) = counted.places();
        [0..near, beyond]
    }

    fn single(address: Address) -> [Range<u64>; 2] {
        [address.0..2 * address.0, 0..0]
    }

    /// The uses of one seed that share a stream have no trajectory in common: those of a chain's run, those of a flow
    /// network's, and those of an evaluation.
    #[test]
    fn uses_are_disjoint() {
        let (rows, back, search) =
            (stretches(Counted::Rows), stretches(Counted::WalksBack), stretches(Counted::Search));
        let streams = [
            // Chains: exact draws; sources and transitions.
            vec![
                rows.clone(),
                single(Address::EXACT_PATHS),
                single(Address::FITTED),
                single(Address::COMPARED),
            ],
            vec![rows.clone(), single(Address::SAMPLES)],
            // Flow networks: choices forward, walks back, rewards; the front of an evaluation beside its paths.
            vec![rows, search.clone(), single(Address::FLOW_SAMPLES)],
            vec![back, search],
            vec![stretches(Counted::Observations)],
            vec![[0..1 << 45, 0..0], single(Address::FRONT)],
        ];
        for stream in streams {
            let mut all: Vec<Range<u64>> =
                stream.into_iter().flatten().filter(|stretch| !stretch.is_empty()).collect();
            all.sort_by_key(|stretch| stretch.start);
            assert!(all.windows(2).all(|pair| pair[0].end <= pair[1].start), "{all:?}");
            assert!(all.iter().all(|stretch| stretch.end <= TRAJECTORIES), "{all:?}");
        }
    }

    /// Whatever their size, steps that fit lie one after the other inside of their use's stretches.
    #[test]
    fn steps_stay_apart_and_inside() {
        let mut checked = 0;
        for counted in COUNTED {
            for rows in [1, 7, 256, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 1 << 24, (1 << 24) + 3, 1 << 30] {
                let exponents = 0..64;
                let steps = exponents.flat_map(|e| [1u64 << e, (1 << e) + 5, (1u64 << e).wrapping_sub(1)]);
                for step in steps.filter(|step| counted.most_steps(rows as u64) > step.saturating_add(1)) {
                    let [here, next] = [step, step + 1].map(|step| Address::of_step(counted, step, rows).0);
                    let stretches = stretches(counted);
                    let inside = |first: u64| {
                        stretches.iter().any(|s| s.start <= first && first + rows as u64 <= s.end)
                    };
                    assert!(inside(here) && inside(next), "{counted:?} {rows} {step}: {here}, {next}");
                    assert!(here + rows as u64 <= next, "{counted:?} {rows} {step}: {here}, {next}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 1500, "{checked}");
    }

    /// Runs of ordinary size have the addresses that they always had.
    #[test]
    fn small_steps_have_their_old_addresses() {
        for (step, rows) in [(0, 256), (1, 1), (99_999, 512), (1 << 20, 1 << 19)] {
            let at = |counted| Address::of_step(counted, step, rows).0;
            assert_eq!(at(Counted::Rows), step * rows as u64);
            assert_eq!((at(Counted::WalksBack), at(Counted::Observations)), (step << 20, step << 24));
        }
        assert_eq!(Address::of_draw(3, 128).0, (3 << 32) + 128);
    }

    #[test]
    fn what_does_not_fit_is_told_and_panics() {
        for (counted, steps, rows) in [
            (Counted::Rows, 1 << 40, 1 << 17),
            (Counted::Rows, u64::MAX, 2),
            (Counted::Search, u64::MAX / 2, 3),
            (Counted::WalksBack, 1 << 58, 3),
            (Counted::Observations, 1 << 40, u64::MAX),
        ] {
            assert!(counted.most_steps(rows) < steps, "{counted:?} {steps} {rows}");
            let found = std::panic::catch_unwind(|| Address::of_step(counted, steps - 1, rows as usize));
            assert!(found.is_err(), "{counted:?} {steps} {rows}");
        }
        assert!(std::panic::catch_unwind(|| Address::of_draw(0, 1 << 32)).is_err());
    }
}
