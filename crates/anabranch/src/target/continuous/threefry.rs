//! Threefry-2x32 of twenty rounds (Salmon, Moraes, Dror and Shaw 2011), for targets that are *defined* by its output.
//!
//! Noise never comes from here: see [`crate::rng`].

/// How far each round turns the second word.
const TURNS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];

/// The two words of a counter under a key.
pub fn threefry([k_0, k_1]: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let keys = [k_0, k_1, 0x1BD1_1BDA ^ k_0 ^ k_1];
    let mut x = [counter[0].wrapping_add(k_0), counter[1].wrapping_add(k_1)];
    for block in 1..=5 {
        for turn in TURNS[(block + 1) % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(turn) ^ x[0];
        }
        x[0] = x[0].wrapping_add(keys[block % 3]);
        x[1] = x[1].wrapping_add(keys[(block + 1) % 3]).wrapping_add(block as u32);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of Random123, kat_vectors.
    #[test]
    fn the_authors_known_answers() {
        assert_eq!(threefry([0; 2], [0; 2]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
        let (key, counter) = ([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(threefry(key, counter), [0xc492_3a9c, 0x483d_f7a0]);
    }
}
