//! Draws of a row, as many words as they take.
//!
//! ```text
//! gamma        x = d v,  v = (1 + c z)^3                        accepted by a squeeze under the normal law
//! von Mises    cos x = (1 + r cos(pi u)) / (r + cos(pi u))      accepted under a wrapped Cauchy law
//! ```

use std::f64::consts::PI;

use super::{Noise, ln_unit, sin_cos_turns};

/// How often a draw is tried: each attempt fails with a chance below 1/2.
const ATTEMPTS: usize = 128;

/// The concentration from which von Mises' law is taken for a normal one: their densities differ by a share of about 1 /
/// concentration, and cosines cannot tell smaller angles.
const NARROW: f64 = 1e8;

/// Random words of one row, for draws that need an unknown number of them.
#[derive(Debug, Clone)]
pub struct Stream<'a> {
    noise: &'a Noise,
    row: usize,
    /// The block that holds the next word.
    words: [u32; 4],
    taken: u32,
}

impl<'a> Stream<'a> {
    pub(super) fn new(noise: &'a Noise, row: usize) -> Self {
        Self { noise, row, words: [0; 4], taken: 0 }
    }

    /// The next word: column 0, 1, 2, ... of the row.
    pub fn word(&mut self) -> u32 {
        let place = self.taken % 4;
        if place == 0 {
            self.words = self.noise.words(self.row, self.taken / 4);
        }
        self.taken += 1;
        self.words[place as usize]
    }

    /// The next words, as many as `out` holds, many at a time.
    pub fn fill(&mut self, out: &mut [u32]) {
        let begun = (self.taken.next_multiple_of(4) - self.taken) as usize;
        let (first, rest) = out.split_at_mut(begun.min(out.len()));
        first.iter_mut().for_each(|word| *word = self.word());
        let whole = rest.len() / 4 * 4;
        let (blocks, last) = rest.split_at_mut(whole);
        self.noise.fill_words(blocks, self.row, self.taken / 4);
        self.taken += whole as u32;
        last.iter_mut().for_each(|word| *word = self.word());
    }

    /// A uniform on the open interval (0, 1), from one word.
    pub fn uniform(&mut self) -> f64 {
        (f64::from(self.word()) + 0.5) * (1.0 / 4_294_967_296.0)
    }

    /// A standard normal, from two words.
    pub fn normal(&mut self) -> f64 {
        let unit = (self.word() as f32 + 0.5) * (1.0 / 4_294_967_296.0);
        let radius = (-2.0 * ln_unit(unit)).max(0.0).sqrt();
        f64::from(radius * sin_cos_turns(self.word()).1)
    }
}

/// The logarithm of a draw from `Gamma(shape, 1)`.
///
/// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); below 1 the shape is raised by one, and a
/// power of a uniform multiplies the draw.
pub(crate) fn log_gamma_draw(shape: f64, stream: &mut Stream<'_>) -> f64 {
    let (large, log_power) =
        if shape < 1.0 { (shape + 1.0, stream.uniform().ln() / shape) } else { (shape, 0.0) };
    let d = large - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    for _ in 0..ATTEMPTS {
        let normal = stream.normal();
        let uniform = stream.uniform();
        let cube = (1.0 + c * normal).powi(3);
        if cube > 0.0 && uniform.ln() < 0.5 * normal * normal + d * (1.0 - cube + cube.ln()) {
            return (d * cube).ln() + log_power;
        }
    }
    d.ln() + log_power
}

/// A draw from von Mises' law around 0; where it is as narrow as [`NARROW`], the normal law that it nears.
///
/// Best and Fisher, "Efficient simulation of the von Mises distribution" (1979).
pub(crate) fn von_mises_draw(concentration: f64, stream: &mut Stream<'_>) -> f64 {
    if concentration < 1e-6 {
        return PI * (2.0 * stream.uniform() - 1.0);
    }
    if concentration > NARROW {
        return stream.normal() / concentration.sqrt();
    }
    let tau = 1.0 + (1.0 + 4.0 * concentration * concentration).sqrt();
    let rho = (tau - (2.0 * tau).sqrt()) / (2.0 * concentration);
    let r = (1.0 + rho * rho) / (2.0 * rho);
    for _ in 0..ATTEMPTS {
        let z = (PI * stream.uniform()).cos();
        let f = (1.0 + r * z) / (r + z);
        let c = concentration * (r - f);
        let (accept, sign) = (stream.uniform(), stream.word() >> 31);
        if (c / accept).ln() + 1.0 - c >= 0.0 {
            let angle = f.clamp(-1.0, 1.0).acos();
            return if sign == 0 { angle } else { -angle };
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn a_stream_has_the_words_of_its_row() {
        let noise = Noise::new(4, Purpose::Choice).step(5);
        let mut stream = noise.stream(9);
        let words: Vec<u32> = (0..11).map(|_| stream.word()).collect();
        let blocks: Vec<u32> = (0..3).flat_map(|block| noise.words(9, block)).collect();
        assert_eq!(words, blocks[..11]);
        assert_eq!(noise.stream(9).normal(), f64::from(noise.from_trajectory(9).normal(1, 1)[0]));
        let mut stream = noise.stream(0);
        let mean = (0..10_000).map(|_| stream.uniform()).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 5.0 * (1.0f64 / 12e4).sqrt(), "{mean}");
    }

    /// Mean and variance of logarithms of gamma draws, and of sines of von Mises', from tiny parameters to huge ones.
    #[test]
    fn special_draws_have_their_moments() {
        use crate::math::special::{bessel_ratio, digamma};
        let noise = Noise::new(6, Purpose::Choice);
        let count = 20_000;
        let mean = |draw: &dyn Fn(usize) -> f64| {
            crate::math::Estimate::mean(&(0..count).map(draw).collect::<Vec<f64>>())
        };
        for shape in [0.1, 0.7, 1.0, 3.5, 50.0, 1e5, 1e7] {
            let found = mean(&|i| log_gamma_draw(shape, &mut noise.stream(i)));
            assert!((found.value - digamma(shape)).abs() < 4.5 * found.error, "{shape}: {found:?}");
        }
        for concentration in [1e-9, 0.3, 40.0, 1e5, 1e7, 1e9, 1e20] {
            // E sin^2 = A(c) / c.
            let second = if concentration < 1e-6 { 0.5 } else { bessel_ratio(concentration) / concentration };
            let draw = |i: usize| von_mises_draw(concentration, &mut noise.stream(i));
            let found = mean(&|i| draw(i).sin().powi(2) / second);
            assert!((found.value - 1.0).abs() < 4.5 * found.error, "{concentration}: {found:?}");
            let found = mean(&|i| draw(i).sin());
            assert!(found.value.abs() < 4.5 * found.error, "{concentration}: {found:?}");
        }
    }
}
