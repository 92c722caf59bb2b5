//! Tunes as piano rolls: sixteenths to the right, pitches upwards; notes are black, those that were given grey, what is masked darker than
//! paper. Pitches far from those of the data are not shown.

use super::ImageShape;

/// Rolls that are drawn, at most.
pub(super) const MOST: usize = 64;

const PAPER: f32 = 0.95;
const NOTE: f32 = 0.0;
const GIVEN: f32 = 0.55;
const MASKED: f32 = 0.8;

/// Pixels of a sixteenth, and of a pitch.
const PIXELS: usize = 2;
/// Pitches above and below those of the data.
const MARGIN: usize = 2;

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
    /// Rolls of `prefix` given sixteenths and `columns` others, of the pitches that `rows` have and some around.
    pub(super) fn over<'a>(
        rows: impl Iterator<Item = &'a f32>,
        [prefix, columns]: [usize; 2],
        states: usize,
    ) -> Self {
        let pitches = rows.map(|state| *state as usize).filter(|state| (1..states).contains(state));
        let [low, high] =
            pitches.fold([usize::MAX, 0], |[low, high], state| [low.min(state), high.max(state)]);
        let range = match low > high {
            true => [1, 1],
            false => [low.saturating_sub(MARGIN).max(1), (high + MARGIN).min(states - 1)],
        };
        Self { range, columns: [prefix, columns], states }
    }

    /// The shape of a roll, pixels.
    pub(super) fn shape(&self) -> ImageShape {
        let height = self.range[1] - self.range[0] + 1;
        let width: usize = self.columns.iter().sum();
        ImageShape { height: PIXELS * height, width: PIXELS * width, low: 0.0, high: 1.0, fixed: true }
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
                let (rows, ink) = if state >= self.states {
                    (0..height, MASKED)
                } else if (self.range[0]..=self.range[1]).contains(&state) {
                    let top = PIXELS * (self.range[1] - state);
                    (top..top + PIXELS, ink)
                } else {
                    continue;
                };
                for y in rows {
                    all[first + y * width + PIXELS * x..][..PIXELS].fill(ink);
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ink of each sixteenth and pitch, the highest first, of which all pixels have one.
    fn cells(rolls: &Rolls, picture: &[f32]) -> Vec<f32> {
        let ImageShape { height, width, .. } = rolls.shape();
        let mut cells = Vec::new();
        for y in (0..height).step_by(PIXELS) {
            for x in (0..width).step_by(PIXELS) {
                let ink = picture[y * width + x];
                let block = (0..PIXELS * PIXELS).map(|k| picture[(y + k / PIXELS) * width + x + k % PIXELS]);
                assert!(block.into_iter().all(|other| other == ink));
                cells.push(ink);
            }
        }
        cells
    }

    #[test]
    fn notes_stand_at_their_pitch_behind_what_is_given() {
        let rows = [3.0, 0.0, 2.0, 4.0, 50.0, 129.0];
        let rolls = Rolls::over(rows[..3].iter().chain(&[4.0]), [1, 3], 129);
        let shape = rolls.shape();
        // Pitches 1 to 6: a margin of 2 above 4 and of what there is below 2.
        assert_eq!((shape.height, shape.width), (6 * PIXELS, 4 * PIXELS));
        let pictures = rolls.pictures(&rows, &[4.0, 3.0]);
        let (p, n, g, m) = (PAPER, NOTE, GIVEN, MASKED);
        let (first, second) = pictures.split_at(shape.height * shape.width);
        let paper = [p; 8];
        let drawn = paper.into_iter().chain([g, p, p, p, p, n, p, p, p, p, p, n]).chain([p; 4]);
        assert_eq!(cells(&rolls, first), drawn.collect::<Vec<f32>>());
        // A pitch beyond the range is not drawn.
        let drawn = [p, p, p, m].repeat(2).into_iter();
        let drawn = drawn.chain([p, n, p, m, g, p, p, m]).chain([p, p, p, m].repeat(2));
        assert_eq!(cells(&rolls, second), drawn.collect::<Vec<f32>>());
        let rests = Rolls::over([0.0].iter(), [0, 1], 129);
        assert_eq!(rests.pictures(&[0.0], &[]), [PAPER; PIXELS * PIXELS]);
    }
}
