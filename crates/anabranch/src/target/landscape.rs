//! A planted landscape of words: what every stretch of neighbouring letters adds is drawn once.
//!
//! ```text
//! y(x) = n^-1/2 sum_i f_i(x_i, ..., x_{i+K}),     f_i(...) ~ N(0, 1), K + 1 letters or as many as are left,     R(x) = exp(beta y(x))
//! ```
//!
//! The larger K the more rugged it is: at 0 each letter has its own best choice. Along the word sums and maxima are found letter by
//! letter, so that log Z and the highest peak are exact. Kauffman and Levin, "Towards a general theory of adaptive walks on rugged
//! landscapes" (1987), with normal contributions.

use super::{Failure, Target, fill_rows, within};
use crate::environment::Cell;
use crate::error::Problem;
use crate::math::log_sum_exp;
use crate::rng::{Noise, Purpose};

/// The most numbers of one place.
const MOST: usize = 1 << 20;

/// A planted landscape.
#[derive(Debug, Clone)]
pub struct Landscape {
    letters: usize,
    /// What each stretch adds, by the place where it begins; the first letter moves slowest.
    tables: Vec<Vec<f64>>,
    reach: usize,
    beta: f64,
}

impl Landscape {
    /// The landscape of `seed` over words of `length` out of `letters`; a stretch is a letter and `reach` more.
    ///
    /// # Errors
    /// If a number is not allowed.
    pub fn draw(letters: usize, length: usize, reach: usize, beta: f64, seed: u64) -> Result<Self, Problem> {
        within("beta", beta, 1e-6, 1e6)?;
        within("neighbours", reach as f64, 0.0, length.saturating_sub(1) as f64)?;
        let stretch = |width: usize| letters.checked_pow(width as u32).filter(|count| *count <= MOST);
        if stretch(reach + 1).is_none() {
            let found = format!("{reach}, of {letters} letters");
            return Err(
                Problem::new("neighbours", found).allowed(format!("at most {MOST} different stretches"))
            );
        }
        let noise = Noise::new(seed, Purpose::Target);
        let table = |place: usize| {
            let count = letters.pow((reach + 1).min(length - place) as u32);
            let mut numbers = noise.stream(place);
            (0..count).map(|_| numbers.normal() / (length as f64).sqrt()).collect()
        };
        Ok(Self { letters, tables: (0..length).map(table).collect(), reach, beta })
    }

    /// `y` of a word.
    pub fn height(&self, word: &[Cell]) -> f64 {
        let at = |(place, table): (usize, &Vec<f64>)| {
            let stretch = &word[place..(place + self.reach + 1).min(word.len())];
            table[stretch.iter().fold(0, |index, cell| index * self.letters + usize::from(*cell) - 1)]
        };
        self.tables.iter().enumerate().map(at).sum()
    }

    /// `y factor` of all words, put together by `join`: from the last letter to the first, by the `reach` letters that a place begins with.
    fn over_words(&self, factor: f64, join: impl Fn(&[f64]) -> f64) -> f64 {
        let mut ahead = vec![0.0];
        for (place, table) in self.tables.iter().enumerate().rev() {
            let after = ahead.len();
            let stretches =
                table.iter().enumerate().map(|(index, value)| factor * value + ahead[index % after]);
            let stretches: Vec<f64> = stretches.collect();
            // The last places begin with fewer letters, all of which are known.
            ahead = match self.tables.len() - place <= self.reach {
                true => stretches,
                false => stretches.chunks(self.letters).map(&join).collect(),
            };
        }
        join(&ahead)
    }

    /// The largest `y` of any word.
    pub fn highest(&self) -> f64 {
        self.over_words(1.0, |values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }
}

impl Target<Cell> for Landscape {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        fill_rows(objects, out, |word| self.beta * self.height(word));
        Ok(())
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        Some(self.over_words(beta * self.beta, log_sum_exp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums and maxima along the word are those over all words, at every reach.
    #[test]
    fn sums_and_peaks_are_those_of_all_words() {
        for (letters, length, reach) in [(3, 5, 0), (3, 5, 1), (2, 7, 3), (3, 4, 3), (2, 1, 0)] {
            let landscape = Landscape::draw(letters, length, reach, 1.3, 7).unwrap();
            let heights: Vec<f64> = (0..letters.pow(length as u32))
                .map(|index| {
                    let word: Vec<Cell> =
                        (0..length).map(|i| (index / letters.pow(i as u32) % letters) as Cell + 1).collect();
                    landscape.height(&word)
                })
                .collect();
            let highest = heights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!((landscape.highest() - highest).abs() < 1e-12, "{letters} {length} {reach}");
            let logs: Vec<f64> = heights.iter().map(|height| 0.7 * 1.3 * height).collect();
            let found = landscape.log_z_tempered(0.7, &[]).unwrap();
            assert!((found - log_sum_exp(&logs)).abs() < 1e-12, "{letters} {length} {reach}");
        }
    }

    #[test]
    fn contributions_are_standard_normals_over_the_root_of_their_number() {
        let landscape = Landscape::draw(4, 16, 2, 1.0, 0).unwrap();
        let all: Vec<f64> = landscape.tables.concat().iter().map(|value| value * 4.0).collect();
        let n = all.len() as f64;
        let (mean, square) = (all.iter().sum::<f64>() / n, all.iter().map(|v| v * v).sum::<f64>() / n);
        assert!(
            mean.abs() < 4.0 / n.sqrt() && (square - 1.0).abs() < 4.0 * (2.0 / n).sqrt(),
            "{mean} {square}"
        );
        assert!(Landscape::draw(4, 16, 16, 1.0, 0).unwrap_err().to_string().starts_with("neighbours"));
        assert!(Landscape::draw(20, 16, 9, 1.0, 0).unwrap_err().to_string().contains("different stretches"));
    }
}
