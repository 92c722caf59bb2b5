//! The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), for targets that are *defined* by its output.
//!
//! Noise never comes from here: see [`crate::rng`].

const N: usize = 624;
const M: usize = 397;

/// The generator's words.
pub struct Mersenne {
    state: [u32; N],
    index: usize,
}

impl Mersenne {
    /// Seeded as the authors' `init_genrand`.
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let before = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(before ^ before >> 30).wrapping_add(i as u32);
        }
        Self { state, index: N }
    }

    fn twist(&mut self) {
        for i in 0..N {
            let mixed = self.state[i] & 0x8000_0000 | self.state[(i + 1) % N] & 0x7FFF_FFFF;
            let odd = if mixed & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ mixed >> 1 ^ odd;
        }
        self.index = 0;
    }

    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        if self.index == N {
            self.twist();
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9D2C_5680;
        y ^= y << 15 & 0xEFC6_0000;
        y ^ y >> 18
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C++ standard's check: the 10000th word of seed 5489 ([rand.predef]).
    #[test]
    fn the_standards_known_answer() {
        let mut generator = Mersenne::new(5489);
        let last = (0..10_000).map(|_| generator.word()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
