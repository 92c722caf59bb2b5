//! Gibbs sampling of spins on a torus with one coupling and one field: a checkerboard where both sides are even.
//!
//! ```text
//! log gamma(s) = K sum_{neighbours} s_i s_j + h sum_i s_i
//! p(s_i = 1 | its four neighbours, u of them 1) = 1 / (1 + exp(-2 (K (2 u - 4) + h)))
//! ```
//!
//! Sites of one colour of a checkerboard have no bond among them: a row's spins of a colour are drawn at once, by five chances that are
//! known beforehand. With an odd side, no such colouring is there, and sites are drawn one after the other.

use rayon::prelude::*;

use crate::rng::Noise;

/// A torus of spins, each a byte of 0 (for -1) or 1.
#[derive(Debug, Clone, PartialEq)]
pub struct LatticeGibbs {
    height: usize,
    width: usize,
    /// The chance of 1, by how many of the four neighbours are 1.
    chances: [f32; 5],
}

impl LatticeGibbs {
    /// A torus with coupling `k` of neighbours and field `h`.
    ///
    /// # Panics
    /// If a side is below 3, where two bonds would join the same sites.
    pub fn new([height, width]: [usize; 2], k: f64, h: f64) -> Self {
        assert!(height >= 3 && width >= 3, "a torus of at least 3 x 3");
        let chance = |up: f64| (1.0 / (1.0 + (-2.0 * (k * (2.0 * up - 4.0) + h)).exp())) as f32;
        Self { height, width, chances: [0.0, 1.0, 2.0, 3.0, 4.0].map(chance) }
    }

    /// Sweeps every chain of `states`, `[chains, height, width]`, so many times. Chain `i` draws row `i` of `noise`, at the steps
    /// `first` onwards, a step a sweep.
    pub fn sweeps(&self, states: &mut [u8], first: u32, count: u32, noise: &Noise) {
        let sites = self.height * self.width;
        states.par_chunks_exact_mut(sites).enumerate().for_each(|(chain, state)| {
            let (mut uniforms, mut row) = (vec![0.0; sites], vec![0; self.width]);
            let noise = noise.from_row(chain);
            for sweep in first..first + count {
                noise.step(sweep).fill_uniform(&mut uniforms, sites);
                if self.height.is_multiple_of(2) && self.width.is_multiple_of(2) {
                    (0..2).for_each(|colour| self.colour(state, &uniforms, colour, &mut row));
                } else {
                    self.in_order(state, &uniforms);
                }
            }
        });
    }

    /// Draws the sites of one colour.
    fn colour(&self, state: &mut [u8], uniforms: &[f32], colour: usize, up: &mut [u8]) {
        let width = self.width;
        for y in 0..self.height {
            let rows = [(y + self.height - 1) % self.height, y, (y + 1) % self.height];
            let [above, here, below] = rows.map(|y| &state[y * width..][..width]);
            up[0] = here[width - 1] + here[1] + above[0] + below[0];
            let middle = here.windows(3).zip(&above[1..]).zip(&below[1..]);
            for (up, ((three, above), below)) in up[1..].iter_mut().zip(middle) {
                *up = three[0] + three[2] + above + below;
            }
            up[width - 1] = here[width - 2] + here[0] + above[width - 1] + below[width - 1];
            let first = (y + colour) % 2;
            let here = state[y * width + first..(y + 1) * width].iter_mut().step_by(2);
            let drawn = uniforms[y * width + first..].iter().step_by(2).zip(up[first..].iter().step_by(2));
            for (spin, (uniform, up)) in here.zip(drawn) {
                *spin = u8::from(*uniform < self.chances[usize::from(*up)]);
            }
        }
    }

    /// Draws all sites one after the other.
    fn in_order(&self, state: &mut [u8], uniforms: &[f32]) {
        let [height, width] = [self.height, self.width];
        for y in 0..height {
            let [above, below] = [(y + height - 1) % height * width, (y + 1) % height * width];
            for x in 0..width {
                let [left, right] = [(x + width - 1) % width, (x + 1) % width];
                let up =
                    state[y * width + left] + state[y * width + right] + state[above + x] + state[below + x];
                state[y * width + x] = u8::from(uniforms[y * width + x] < self.chances[usize::from(up)]);
            }
        }
    }
}
