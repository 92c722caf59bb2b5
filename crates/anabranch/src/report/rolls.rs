//! Tunes as piano rolls: sixteenths to the right, pitches upwards; notes are black, those that were given grey, what is masked light.

use super::ImageShape;

/// Rolls that are drawn, at most.
pub(super) const MOST: usize = 64;

const PAPER: f32 = 1.0;
const NOTE: f32 = 0.0;
const GIVEN: f32 = 0.55;
const MASKED: f32 = 0.9;

/// How tunes are drawn: rows of sixteenths behind what they are given.
pub(super) struct Rolls {
    /// The lowest and the highest state of a pitch.
    range: [usize; 2],
    /// Sixteenths that are given, and those of a row.
    columns: [usize; 2],
    /// States; one more is a mask.
    states: usize,
}

impl Rolls {
    /// Rolls of `prefix` given sixteenths and `columns` others, of as many pitches as `rows` have.
    pub(super) fn over<'a>(
        rows: impl Iterator<Item = &'a f32>,
        [prefix, columns]: [usize; 2],
        states: usize,
    ) -> Self {
        let pitches = rows.map(|state| *state as usize).filter(|state| (1..states).contains(state));
        let [low, high] =
            pitches.fold([usize::MAX, 0], |[low, high], state| [low.min(state), high.max(state)]);
        let range = if low > high { [1, 1] } else { [low, high] };
        Self { range, columns: [prefix, columns], states }
    }

    /// The shape of a roll.
    pub(super) fn shape(&self) -> ImageShape {
        let height = self.range[1] - self.range[0] + 1;
        ImageShape { height, width: self.columns.iter().sum(), low: 0.0, high: 1.0 }
    }

    /// The first rows, each given its own row of `given`, as images.
    pub(super) fn pictures(&self, rows: &[f32], given: &[f32]) -> Vec<f32> {
        let ([prefix, columns], ImageShape { height, width, .. }) = (self.columns, self.shape());
        let mut all = Vec::new();
        for (index, row) in rows.chunks_exact(columns).take(MOST).enumerate() {
            let first = all.len();
            all.resize(first + height * width, PAPER);
            let before = given.get(index * prefix..(index + 1) * prefix).unwrap_or_default();
            let before = before.iter().map(|state| (*state, GIVEN));
            for (x, (state, ink)) in before.chain(row.iter().map(|state| (*state, NOTE))).enumerate() {
                let state = state as usize;
                if state >= self.states {
                    (0..height).for_each(|y| all[first + y * width + x] = MASKED);
                } else if (self.range[0]..=self.range[1]).contains(&state) {
                    all[first + (self.range[1] - state) * width + x] = ink;
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_stand_at_their_pitch_behind_what_is_given() {
        let rows = [3.0, 0.0, 2.0, 4.0, 5.0, 129.0];
        let rolls = Rolls::over(rows[..3].iter().chain(&[4.0]), [1, 3], 129);
        assert_eq!((rolls.shape().height, rolls.shape().width), (3, 4));
        let pictures = rolls.pictures(&rows, &[4.0, 3.0]);
        let (p, n, g, m) = (PAPER, NOTE, GIVEN, MASKED);
        assert_eq!(pictures[..12], [g, p, p, p, p, n, p, p, p, p, p, n]);
        // A pitch beyond the range is not drawn.
        assert_eq!(pictures[12..], [p, n, p, m, g, p, p, m, p, p, p, m]);
        let rests = Rolls::over([0.0].iter(), [0, 1], 129);
        assert_eq!(rests.pictures(&[0.0], &[]), [PAPER]);
    }
}
