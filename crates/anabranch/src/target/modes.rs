//! Bit sequences with planted modes (Malkin et al. 2022, section 5.3).
//!
//! ```text
//! log R(x) = -w min_m d(x, m)        d the Hamming distance, w = beta / n (gfnx) or 1 / temperature (torchgfn)
//! ```
//!
//! over n bits and M modes m. Modes are put together at random from the blocks 00000000, 11111111, 11110000, 00001111,
//! 00111100. An object belongs to every mode within a given distance of it. With one mode the bits are independent and
//! `Z = (1 + e^-w)^n`. On the way to an object, the bits that are there are compared.
//!
//! Cells: each holds a word of k bits, 0 where there is none, one more than its binary number otherwise, highest bit first.

use std::collections::HashSet;

use super::{Failure, LARGEST, LEAST, Target, fill_rows, within};
use crate::environment::Cell;
use crate::error::{Problem, quoted};
use crate::rng::Noise;

/// Bit sequences that are the better the nearer they are to one of some modes.
#[derive(Debug, Clone, PartialEq)]
pub struct PlantedModes {
    bits: usize,
    word: usize,
    /// Each mode's bits, 64 to a number, the first bit highest.
    modes: Vec<u64>,
    weight: f64,
    near: usize,
}

/// The blocks of 8 bits that modes are made of.
const BLOCKS: [&str; 5] = ["00000000", "11111111", "11110000", "00001111", "00111100"];

/// The most bits of a sequence.
const MOST_BITS: usize = 4096;

/// The most modes.
const MOST_MODES: usize = 65536;

/// A sequence's bits, and which of them are there.
struct Packed {
    bits: [u64; MOST_BITS / 64],
    there: [u64; MOST_BITS / 64],
}

impl PlantedModes {
    /// Sequences of as many bits as each of `modes`, which are written in 0 and 1, in words of `word` bits; `weight` is w, nats
    /// per bit; objects within `near` bits of a mode belong to it.
    ///
    /// # Errors
    /// If there is no mode, one is no text of 0 and 1, is as long as no whole number of words or as another one is not, or
    /// stands twice; if `word` is not from 1 to 15, the weight is not positive, or a size too large.
    pub fn new<S: AsRef<str>>(modes: &[S], word: usize, weight: f64, near: usize) -> Result<Self, Problem> {
        within("word", word as f64, 1.0, 15.0)?;
        within("weight", weight, LEAST, LARGEST)?;
        within("modes", modes.len() as f64, 1.0, MOST_MODES as f64)?;
        let bits = modes[0].as_ref().chars().count();
        if bits == 0 || bits > MOST_BITS || !bits.is_multiple_of(word) {
            let allowed = format!("1 to {MOST_BITS} bits, a multiple of {word}");
            return Err(Problem::new("modes", format!("{bits} bits")).allowed(allowed));
        }
        let mut packed = Vec::new();
        let mut known = HashSet::new();
        for mode in modes.iter().map(AsRef::as_ref) {
            if mode.len() != bits || !mode.bytes().all(|c| c == b'0' || c == b'1') {
                let allowed = format!("{bits} characters, each 0 or 1");
                return Err(Problem::new("modes", quoted(mode)).allowed(allowed));
            }
            if !known.insert(mode) {
                return Err(
                    Problem::new("modes", format!("{} twice", quoted(mode))).allowed("modes that differ")
                );
            }
            packed.extend(mode.as_bytes().chunks(64).map(|chunk| {
                let bit = |(place, c): (usize, &u8)| u64::from(*c - b'0') << (63 - place);
                chunk.iter().enumerate().map(bit).sum::<u64>()
            }));
        }
        Ok(Self { bits, word, modes: packed, weight, near })
    }

    /// `count` distinct modes of `bits` bits, put together from the blocks at random by `noise`.
    ///
    /// # Errors
    /// If `bits` is no multiple of 8 from 8 to 4096, or there are not so many modes.
    pub fn draw(bits: usize, count: usize, noise: &Noise) -> Result<Vec<String>, Problem> {
        if bits == 0 || !bits.is_multiple_of(8) || bits > MOST_BITS {
            let allowed = format!("a multiple of 8 from 8 to {MOST_BITS}, for modes made of blocks of 8");
            return Err(Problem::new("bits", bits.to_string()).allowed(allowed));
        }
        let blocks = bits / 8;
        let possible = (BLOCKS.len() as f64).powi(blocks as i32);
        within("modes", count as f64, 1.0, possible.min(MOST_MODES as f64))?;
        let mut modes = Vec::new();
        let mut known = HashSet::new();
        let mut attempt = 0;
        while modes.len() < count {
            let block = |at: usize| {
                let word = noise.words(attempt, at as u32 / 4)[at % 4];
                BLOCKS[((u64::from(word) * BLOCKS.len() as u64) >> 32) as usize]
            };
            let mode: String = (0..blocks).map(block).collect();
            if known.insert(mode.clone()) {
                modes.push(mode);
            }
            attempt += 1;
        }
        Ok(modes)
    }

    /// Sequences to test on: for each mode and each `i = 0, ..., n - 1` the mode with i bits flipped, chosen by `noise`;
    /// `[modes * n, cells]`.
    pub fn test_set(&self, noise: &Noise) -> Vec<Cell> {
        let mut objects = Vec::new();
        for (index, mode) in self.packed_modes().enumerate() {
            for flips in 0..self.bits {
                let row = index * self.bits + flips;
                let order = noise.from_row(row).permutation(self.bits);
                let mut bits: Vec<u64> = mode.to_vec();
                order[..flips].iter().for_each(|place| bits[place / 64] ^= 1 << (63 - place % 64));
                let bit = |place: usize| (bits[place / 64] >> (63 - place % 64) & 1) as Cell;
                objects.extend((0..self.bits).step_by(self.word).map(|first| {
                    1 + (first..first + self.word).fold(0, |word, place| 2 * word + bit(place))
                }));
            }
        }
        objects
    }

    /// The Hamming distance to each mode of the bits that are there.
    fn distances(&self, packed: &Packed) -> impl Iterator<Item = u32> {
        self.packed_modes().map(|mode| {
            let chunks = packed.bits.iter().zip(&packed.there).zip(mode);
            chunks.map(|((bits, there), mode)| ((bits ^ mode) & there).count_ones()).sum()
        })
    }

    fn packed_modes(&self) -> impl Iterator<Item = &[u64]> {
        self.modes.chunks_exact(self.bits.div_ceil(64))
    }

    fn pack(&self, cells: &[Cell]) -> Packed {
        let mut packed = Packed { bits: [0; _], there: [0; _] };
        for (slot, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell > 0) {
            let (chunk, place) = (slot * self.word / 64, slot * self.word % 64);
            let words = [u64::from(cell - 1), (1 << self.word) - 1];
            for (word, into) in words.into_iter().zip([&mut packed.bits, &mut packed.there]) {
                // The word at the upper end of 128 bits, moved down to its place: it may reach over into the next chunk.
                let moved = u128::from(word) << (128 - self.word) >> place;
                into[chunk] |= (moved >> 64) as u64;
                if moved as u64 != 0 {
                    into[chunk + 1] |= moved as u64;
                }
            }
        }
        packed
    }

    fn nearest(&self, cells: &[Cell]) -> u32 {
        self.distances(&self.pack(cells)).min().expect("there is a mode")
    }
}

impl Target<Cell> for PlantedModes {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        fill_rows(objects, out, |cells| -self.weight * f64::from(self.nearest(cells)));
        Ok(())
    }

    fn partial(&self, states: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.log_rewards(states, conditions, out).map(|()| true)
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        let one = self.packed_modes().count() == 1;
        one.then(|| self.bits as f64 * (-beta * self.weight).exp().ln_1p())
    }

    fn is_mode(&self, object: &[Cell]) -> Option<bool> {
        Some(self.nearest(object) as usize <= self.near)
    }

    fn modes(&self) -> Option<f64> {
        Some(self.packed_modes().count() as f64)
    }

    fn modes_of(&self, object: &[Cell], found: &mut dyn FnMut(usize)) {
        let packed = self.pack(object);
        let near = self.distances(&packed).enumerate().filter(|(_, d)| *d as usize <= self.near);
        near.for_each(|(mode, _)| found(mode));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::log_sum_exp;
    use crate::rng::Purpose;

    fn cells(text: &str, word: usize) -> Vec<Cell> {
        let words = text.as_bytes().chunks(word).map(|word| std::str::from_utf8(word).unwrap());
        words
            .map(|word| if word.contains('_') { 0 } else { 1 + Cell::from_str_radix(word, 2).unwrap() })
            .collect()
    }

    fn distance(a: &str, b: &str) -> usize {
        a.bytes().zip(b.bytes()).filter(|(a, b)| *a != b'_' && a != b).count()
    }

    /// Words of every length, of which some reach over 64 bits, against characters.
    #[test]
    fn distances_are_those_of_the_texts() {
        let noise = Noise::new(5, Purpose::Data);
        let text = |row: usize, n: usize| -> String {
            let bit = |i: usize| char::from(b'0' + (noise.words(row, i as u32)[0] & 1) as u8);
            (0..n).map(bit).collect()
        };
        for (word, n) in [(1, 7), (3, 66), (5, 130), (7, 70), (8, 120), (15, 150), (1, 200), (15, 4095)] {
            let modes = [text(0, n), text(1, n), text(2, n)];
            let reward = PlantedModes::new(&modes, word, 0.25, n / 2).unwrap();
            let full = text(3, n);
            let partly = format!("{}{}", "_".repeat(word), &full[word..]);
            for sequence in [&full, &partly, &modes[1]] {
                let nearest = modes.iter().map(|mode| distance(sequence, mode)).min().unwrap();
                let mut out = [0.0];
                assert!(reward.partial(&cells(sequence, word), &[], &mut out).unwrap());
                assert_eq!(out[0], -0.25 * nearest as f64, "{word}, {n}");
            }
            let mut belongs = Vec::new();
            reward.modes_of(&cells(&full, word), &mut |mode| belongs.push(mode));
            let near: Vec<usize> = (0..3).filter(|m| distance(&full, &modes[*m]) <= n / 2).collect();
            assert_eq!(belongs, near);
            assert_eq!(reward.is_mode(&cells(&full, word)), Some(!near.is_empty()));
        }
    }

    #[test]
    fn one_mode_has_a_closed_form() {
        // beta = 3 over n = 8 bits, in words of 2.
        let reward = PlantedModes::new(&["01100111"], 2, 3.0 / 8.0, 0).unwrap();
        let objects: Vec<Cell> = (0..256usize).flat_map(|x| cells(&format!("{x:08b}"), 2)).collect();
        let mut out = vec![0.0; 256];
        reward.log_rewards(&objects, &[], &mut out).unwrap();
        assert!((reward.log_z(&[]).unwrap() - log_sum_exp(&out)).abs() < 1e-13);
        assert_eq!(PlantedModes::new(&["01", "10"], 1, 1.0, 0).unwrap().log_z(&[]), None);
    }

    #[test]
    fn drawn_modes_are_made_of_blocks_and_differ() {
        let noise = Noise::new(7, Purpose::Target);
        let modes = PlantedModes::draw(120, 60, &noise).unwrap();
        assert_eq!(modes.iter().collect::<HashSet<_>>().len(), 60);
        let blocks = modes.iter().flat_map(|mode| (0..15).map(|b| &mode[8 * b..8 * b + 8]));
        let mut counts = [0; 5];
        blocks.for_each(|block| counts[BLOCKS.iter().position(|known| *known == block).unwrap()] += 1);
        // 900 blocks, a fifth each: standard error 12.
        assert!(counts.iter().all(|count| (140..=220).contains(count)), "{counts:?}");
        assert_ne!(modes, PlantedModes::draw(120, 60, &Noise::new(8, Purpose::Target)).unwrap());
        // All there are.
        assert_eq!(PlantedModes::draw(16, 25, &noise).unwrap().len(), 25);
        let message = |bits, count| PlantedModes::draw(bits, count, &noise).unwrap_err().to_string();
        assert_eq!(message(16, 26), "modes: found 26; allowed: a number from 1 to 25");
        assert!(message(12, 1).starts_with("bits: found 12; allowed: a multiple of 8"));
    }

    #[test]
    fn test_sets_have_every_number_of_flips() {
        let noise = Noise::new(1, Purpose::Target);
        let modes = PlantedModes::draw(120, 3, &noise).unwrap();
        let reward = PlantedModes::new(&modes, 8, 3.0 / 120.0, 30).unwrap();
        let objects = reward.test_set(&noise.purpose(Purpose::Data));
        assert_eq!(objects.len(), 3 * 120 * 15);
        for (row, object) in objects.chunks_exact(15).enumerate() {
            let text: String = object.iter().map(|cell| format!("{:08b}", cell - 1)).collect();
            assert_eq!(distance(&text, &modes[row / 120]), row % 120);
        }
    }

    #[test]
    fn wrong_parameters_are_named() {
        let message =
            |modes: &[&str], word, weight| PlantedModes::new(modes, word, weight, 0).unwrap_err().to_string();
        assert!(message(&[], 1, 1.0).starts_with("modes: found 0"));
        assert!(
            message(&["011"], 2, 1.0).starts_with("modes: found 3 bits; allowed: 1 to 4096 bits, a multiple")
        );
        assert!(message(&["01", "0x"], 1, 1.0).starts_with("modes: found \"0x\"; allowed: 2 characters"));
        assert!(message(&["01", "011"], 1, 1.0).contains("2 characters, each 0 or 1"));
        assert!(message(&["01", "01"], 1, 1.0).starts_with("modes: found \"01\" twice"));
        assert!(message(&["01"], 16, 1.0).starts_with("word: found 16"));
        assert!(message(&["01"], 1, 0.0).starts_with("weight: found 0"));
    }
}
