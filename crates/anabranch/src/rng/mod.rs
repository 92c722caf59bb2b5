//! Counter-based random streams: noise with an address.
//!
//! Every number is a pure function of `(seed, purpose, trajectory, step, column)`:
//!
//! ```text
//! Philox4x32-10( key = seed,  counter = (block, step, bits 0..32, bits 48..60 | purpose | bits 32..48 of the trajectory) )
//! ```
//!
//! so a trajectory sees the same noise whatever the batch size, the thread count or the number of
//! processes, and a stream is resumed by knowing its address alone. One block holds four 32-bit words:
//! columns `4 b .. 4 b + 4` of a row. Which trajectories each use of a seed has is said in one place ([`Address`]).
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). The
//! tests check the known answers that the authors' Random123 library publishes. Normals are Box-Muller
//! pairs; logarithm, sine and cosine are polynomials in plain multiplications and additions, so that every
//! machine gives the same bits.

mod address;
mod draws;

use std::marker::PhantomData;
use std::sync::Arc;

use pulp::NullaryFnOnce;
use rayon::prelude::*;

use address::TRAJECTORIES;
pub use address::{Address, Counted};
pub use draws::Stream;
pub(crate) use draws::{log_gamma_draw, von_mises_draw};

/// What a number is used for, one of at most 16. Streams of different purposes never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Purpose {
    /// Initial weights of networks.
    Weights = 0,
    /// Order of the data, splits.
    Data = 1,
    /// The source's draw of `s_0`.
    Source = 2,
    /// Noise of transitions, forward in time.
    Forward = 3,
    /// Noise of transitions, backward in time.
    Backward = 4,
    /// Times of simulation-free losses.
    Time = 5,
    /// Noise of simulation-free losses.
    Local = 6,
    /// Exact samples of targets.
    Target = 7,
    /// Random projections, folds and permutations inside metrics.
    Metric = 8,
    /// Accept-reject decisions and other uniform choices.
    Choice = 9,
    /// Dropout and other noise inside networks.
    Network = 10,
    /// Probes of stochastic traces.
    Probe = 11,
    /// Observations of random rewards.
    Reward = 12,
    /// Conditions of trajectories, which depend on none of their draws.
    Condition = 13,
    /// Binary values drawn by their chances, where data say no more than these.
    Binary = 14,
}

#[derive(Debug, Clone)]
enum Rows {
    From(u64),
    Ids(Arc<[u64]>),
}

/// An addressed source of noise for a batch: row `r` belongs to one trajectory.
///
/// ```
/// use anabranch::rng::{Noise, Purpose};
/// let noise = Noise::new(7, Purpose::Forward).step(3);
/// let (mut all, mut tail) = ([0.0; 12], [0.0; 6]);
/// noise.fill_normal(&mut all, 3); // trajectories 0..4
/// noise.clone().from_trajectory(2).fill_normal(&mut tail, 3); // trajectories 2..4
/// assert_eq!(all[6..], tail);
/// ```
#[derive(Debug, Clone)]
pub struct Noise {
    seed: u64,
    purpose: Purpose,
    step: u32,
    rows: Rows,
}

impl Noise {
    /// The stream of `seed` for `purpose`, at step 0, rows being trajectories 0, 1, 2, ...
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self { seed, purpose, step: 0, rows: Rows::From(0) }
    }

    /// The stream of the evaluations by which training chooses and stops: what is chosen on some paths is reported on others.
    pub fn of_validation(seed: u64, purpose: Purpose) -> Self {
        Self::new(seed ^ 0xD1B5_4A32_D192_ED03, purpose)
    }

    /// The stream of evaluations, set apart from that of training.
    pub fn of_evaluation(seed: u64, purpose: Purpose) -> Self {
        Self::new(seed ^ 0x9E37_79B9_7F4A_7C15, purpose)
    }

    /// The same address for another purpose.
    pub fn purpose(&self, purpose: Purpose) -> Self {
        Self { purpose, ..self.clone() }
    }

    /// The same rows at another step of the chain.
    pub fn step(&self, step: u32) -> Self {
        Self { step, ..self.clone() }
    }

    /// The step this address points at.
    pub fn current_step(&self) -> u32 {
        self.step
    }

    /// Step `index` of a sequence that may have more than 2^32 of them: for rows that are not numbered.
    ///
    /// # Panics
    /// If the index is past 2^60.
    pub fn long_step(&self, index: u64) -> Self {
        self.step(index as u32).from_trajectory(index >> 32)
    }

    /// Rows are the trajectories of a use of the seed.
    pub fn at(&self, address: Address) -> Self {
        self.from_trajectory(address.first())
    }

    /// Rows are trajectories `first`, `first + 1`, ...
    ///
    /// # Panics
    /// If the first is past 2^60.
    pub fn from_trajectory(&self, first: u64) -> Self {
        assert!(first < TRAJECTORIES, "a stream has no trajectory {first}");
        Self { rows: Rows::From(first), ..self.clone() }
    }

    /// The rows from `row` on of this address, whose rows are not listed.
    ///
    /// # Panics
    /// If the rows are listed, or past 2^60.
    pub fn from_row(&self, row: usize) -> Self {
        match self.rows {
            Rows::From(first) => self.from_trajectory(first + row as u64),
            Rows::Ids(_) => panic!("rows that are listed have no rest"),
        }
    }

    /// Rows are these trajectories, in this order.
    ///
    /// # Panics
    /// If one is past 2^60.
    pub fn of_trajectories(&self, ids: Arc<[u64]>) -> Self {
        assert!(ids.iter().all(|id| *id < TRAJECTORIES), "a stream has no such trajectory");
        Self { rows: Rows::Ids(ids), ..self.clone() }
    }

    /// The trajectory that row `row` belongs to.
    ///
    /// # Panics
    /// If the rows were given as a list and `row` is past its end, or the trajectory past 2^60.
    pub fn trajectory(&self, row: usize) -> u64 {
        let trajectory = self.number(row);
        assert!(trajectory < TRAJECTORIES, "a stream has no trajectory {trajectory}");
        trajectory
    }

    /// [`Noise::trajectory`] of a row that is known to have one.
    fn number(&self, row: usize) -> u64 {
        match &self.rows {
            Rows::From(first) => first + row as u64,
            Rows::Ids(ids) => ids[row],
        }
    }

    /// Four random words: columns `4 block .. 4 block + 4` of row `row`.
    pub fn words(&self, row: usize, block: u32) -> [u32; 4] {
        self.trajectory(row);
        let [c0, c1, c2, c3] = self.counter(row, block);
        philox([[c0], [c1], [c2], [c3]], self.seed).map(|[word]| word)
    }

    /// The words of whole blocks of row `row`, from `first` on.
    fn fill_words(&self, out: &mut [u32], row: usize, first: u32) {
        let [_, c1, c2, c3] = self.counter(row, first);
        pulp::Arch::new().dispatch(|| {
            for (lanes, out) in out.chunks_mut(4 * LANES).enumerate() {
                let block = first + (lanes * LANES) as u32;
                let c0 = std::array::from_fn(|lane| block.wrapping_add(lane as u32));
                let words = philox([c0, [c1; LANES], [c2; LANES], [c3; LANES]], self.seed);
                for (lane, four) in out.chunks_exact_mut(4).enumerate() {
                    four.copy_from_slice(&words.map(|word| word[lane]));
                }
            }
        });
    }

    /// The words of row `row` one after the other, as many as are asked for.
    pub fn stream(&self, row: usize) -> Stream<'_> {
        Stream::new(self, row)
    }

    /// Fills a row-major `[rows, columns]` block with standard normals.
    pub fn fill_normal(&self, out: &mut [f32], columns: usize) {
        self.fill::<Normals>(out, columns);
    }

    /// Fills a row-major `[rows, columns]` block with uniforms on the open interval (0, 1).
    pub fn fill_uniform(&self, out: &mut [f32], columns: usize) {
        self.fill::<Uniforms>(out, columns);
    }

    /// One standard normal per row and column, as a new vector of `rows * columns`.
    pub fn normal(&self, rows: usize, columns: usize) -> Vec<f32> {
        let mut out = vec![0.0; rows * columns];
        self.fill_normal(&mut out, columns);
        out
    }

    /// One uniform on (0, 1) per row and column, as a new vector of `rows * columns`.
    pub fn uniform(&self, rows: usize, columns: usize) -> Vec<f32> {
        let mut out = vec![0.0; rows * columns];
        self.fill_uniform(&mut out, columns);
        out
    }

    /// -1 or 1 with equal chances (Rademacher's law) per row and column, as a new vector of `rows * columns`.
    pub fn signs(&self, rows: usize, columns: usize) -> Vec<f32> {
        let mut out = vec![0.0; rows * columns];
        self.fill::<Signs>(&mut out, columns);
        out
    }

    /// An integer uniform on `0..bound` per row (column 0), by multiplication with 53 random bits.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&self, row: usize, bound: usize) -> usize {
        assert!(bound > 0, "an integer below 0 does not exist");
        let [low, high, ..] = self.words(row, 0);
        let unit = ((u64::from(high) << 32 | u64::from(low)) >> 11) as f64 / (1u64 << 53) as f64;
        ((unit * bound as f64) as usize).min(bound - 1)
    }

    /// A random permutation of `0..len`, drawn from this address' own row 0 (Fisher-Yates).
    pub fn permutation(&self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        for last in (1..len).rev() {
            let [low, high, ..] = self.words(0, last as u32);
            let other =
                ((u128::from(u64::from(high) << 32 | u64::from(low)) * (last as u128 + 1)) >> 64) as usize;
            order.swap(last, other);
        }
        order
    }

    fn counter(&self, row: usize, block: u32) -> [u32; 4] {
        let trajectory = self.number(row);
        [
            block,
            self.step,
            trajectory as u32,
            ((trajectory >> 48) as u32) << 20
                | (self.purpose as u32) << 16
                | (trajectory >> 32) as u32 & 0xFFFF,
        ]
    }

    /// Words 1 and 3 of the counter, where `rows` rows from `first` on have the same and follow one another.
    fn same(&self, first: usize, rows: usize) -> Option<[u32; 2]> {
        let Rows::From(_) = self.rows else { return None };
        let [_, c1, from, c3] = self.counter(first, 0);
        from.checked_add(rows as u32).map(|_| [c1, c3])
    }

    /// Words come in lanes: `LANES` blocks at a time, counted through the rows.
    fn fill<M: Map>(&self, out: &mut [f32], columns: usize) {
        assert!(columns > 0 && out.len().is_multiple_of(columns), "a row has {columns} columns");
        if let Some(last) = (out.len() / columns).checked_sub(1) {
            self.trajectory(last);
        }
        // Rows that one thread fills at a time.
        let rows = 4096_usize.div_ceil(columns);
        let fill = |(block, out): (usize, &mut [f32])| {
            let first = block * rows;
            pulp::Arch::new().dispatch(Fill::<M> { noise: self, out, columns, first, map: PhantomData });
        };
        if out.len() <= rows * columns {
            return fill((0, out));
        }
        out.par_chunks_mut(rows * columns).enumerate().for_each(fill);
    }
}

/// From words to numbers.
trait Map {
    fn map(words: [[u32; LANES]; 4]) -> [[f32; LANES]; 4];
}

struct Uniforms;

impl Map for Uniforms {
    #[inline(always)]
    fn map(words: [[u32; LANES]; 4]) -> [[f32; LANES]; 4] {
        words.map(|lane| lane.map(open_unit))
    }
}

struct Normals;

impl Map for Normals {
    #[inline(always)]
    fn map(words: [[u32; LANES]; 4]) -> [[f32; LANES]; 4] {
        normals(words)
    }
}

struct Signs;

impl Map for Signs {
    #[inline(always)]
    fn map(words: [[u32; LANES]; 4]) -> [[f32; LANES]; 4] {
        words.map(|lane| lane.map(|word| if word >> 31 == 0 { 1.0 } else { -1.0 }))
    }
}

struct Fill<'a, M> {
    noise: &'a Noise,
    out: &'a mut [f32],
    columns: usize,
    /// The first row.
    first: usize,
    map: PhantomData<M>,
}

impl<M: Map> NullaryFnOnce for Fill<'_, M> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { noise, out, columns, first, .. } = self;
        if let Some([c1, c3]) = noise.same(first, out.len() / columns)
            && columns.is_multiple_of(4)
        {
            return fill_whole::<M>(out, columns / 4, noise.number(first) as u32, [c1, c3], noise.seed);
        }
        let blocks = columns.div_ceil(4);
        let total = out.len() / columns * blocks;
        // Row and block of the next number.
        let mut next = (0, 0);
        for done in (0..total).step_by(LANES) {
            let lanes = LANES.min(total - done);
            let mut places = [(0, 0); LANES];
            let mut counter = [[0; LANES]; 4];
            for (lane, place) in places.iter_mut().enumerate().take(lanes) {
                *place = next;
                let words = noise.counter(first + next.0, next.1 as u32);
                (0..4).for_each(|word| counter[word][lane] = words[word]);
                next = if next.1 + 1 == blocks { (next.0 + 1, 0) } else { (next.0, next.1 + 1) };
            }
            let values = M::map(philox(counter, noise.seed));
            let mut numbers = [[0.0; 4]; LANES];
            for (lane, numbers) in numbers.iter_mut().enumerate() {
                *numbers = [values[0][lane], values[1][lane], values[2][lane], values[3][lane]];
            }
            for ((row, block), numbers) in places.into_iter().zip(numbers).take(lanes) {
                let to = &mut out[row * columns..][4 * block..];
                match to.first_chunk_mut::<4>() {
                    Some(to) if 4 * block + 4 <= columns => *to = numbers,
                    _ => to[..columns - 4 * block].copy_from_slice(&numbers[..columns - 4 * block]),
                }
            }
        }
    }
}

const LANES: usize = 16;

/// Rows of whole blocks, of trajectories from `first` on, with the counter's words 1 and 3: blocks lie one behind the other.
#[inline(always)]
fn fill_whole<M: Map>(out: &mut [f32], blocks: usize, first: u32, [c1, c3]: [u32; 2], seed: u64) {
    let (mut row, mut block) = (first, 0);
    for out in out.chunks_mut(4 * LANES) {
        let [mut c0, mut c2] = [[0; LANES]; 2];
        for lane in 0..LANES {
            (c0[lane], c2[lane]) = (block, row);
            block += 1;
            if block as usize == blocks {
                (row, block) = (row.wrapping_add(1), 0);
            }
        }
        let values = M::map(philox([c0, [c1; LANES], c2, [c3; LANES]], seed));
        let mut numbers = [0.0; 4 * LANES];
        for (lane, four) in numbers.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *four = [values[0][lane], values[1][lane], values[2][lane], values[3][lane]];
        }
        match out.first_chunk_mut::<{ 4 * LANES }>() {
            Some(out) => *out = numbers,
            None => out.copy_from_slice(&numbers[..out.len()]),
        }
    }
}

/// Philox4x32 with ten rounds on `L` counters at once (`counter[word][lane]`).
#[inline(always)]
fn philox<const L: usize>(counter: [[u32; L]; 4], seed: u64) -> [[u32; L]; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let (mut k0, mut k1) = (seed as u32, (seed >> 32) as u32);
    for _ in 0..10 {
        for lane in 0..L {
            let p0 = u64::from(c0[lane]) * 0xD251_1F53;
            let p1 = u64::from(c2[lane]) * 0xCD9E_8D57;
            (c0[lane], c1[lane], c2[lane], c3[lane]) =
                ((p1 >> 32) as u32 ^ c1[lane] ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3[lane] ^ k1, p0 as u32);
        }
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// A uniform on (0, 1): the upper 23 bits, centred in their cell, so that neither end is reached.
#[inline(always)]
fn open_unit(word: u32) -> f32 {
    ((word >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0)
}

/// Two Box-Muller pairs from four words: radius from words 0 and 2, angle from words 1 and 3.
#[inline(always)]
fn normals(words: [[u32; LANES]; 4]) -> [[f32; LANES]; 4] {
    let mut out = [[0.0; LANES]; 4];
    for pair in 0..2 {
        for lane in 0..LANES {
            // The radius keeps 32 bits near zero, so that the tail reaches 6.7 standard deviations.
            let unit = (words[2 * pair][lane] as f32 + 0.5) * (1.0 / 4_294_967_296.0);
            let radius = (-2.0 * ln_unit(unit)).max(0.0).sqrt();
            let (sin, cos) = sin_cos_turns(words[2 * pair + 1][lane]);
            out[2 * pair][lane] = radius * cos;
            out[2 * pair + 1][lane] = radius * sin;
        }
    }
    out
}

/// ln of a positive normal f32, relative error below 2e-7 (Cephes polynomial on [sqrt(1/2), sqrt(2)]).
#[inline(always)]
#[allow(clippy::excessive_precision)] // The coefficients stand as published.
fn ln_unit(x: f32) -> f32 {
    let bits = x.to_bits();
    let shifted = bits.wrapping_sub(0x3F35_04F3);
    let exponent = (shifted as i32) >> 23;
    let m = f32::from_bits((shifted & 0x007F_FFFF) + 0x3F35_04F3) - 1.0;
    let mut p = 7.037_683_6e-2;
    for c in [
        -1.151_461_03e-1,
        1.167_699_87e-1,
        -1.242_014_08e-1,
        1.424_932_28e-1,
        -1.666_805_77e-1,
        2.000_071_48e-1,
        -2.499_999_4e-1,
        3.333_333_1e-1,
    ] {
        p = p * m + c;
    }
    let z = m * m;
    m + (m * z * p - 0.5 * z + exponent as f32 * -2.121_944_4e-4) + exponent as f32 * 0.693_359_375
}

/// Sine and cosine of `word / 2^32` turns: a quadrant from the upper two bits, polynomials on +-1/8 turn.
#[inline(always)]
#[allow(clippy::excessive_precision)] // The coefficients stand as published.
fn sin_cos_turns(word: u32) -> (f32, f32) {
    let quadrant = word.wrapping_add(0x2000_0000) >> 30;
    let rest = word.wrapping_sub(quadrant << 30) as i32;
    let x = rest as f32 * (std::f32::consts::TAU / 4_294_967_296.0);
    let z = x * x;
    let sin = x + x * z * ((-1.951_529_589e-4 * z + 8.332_160_87e-3) * z - 1.666_665_46e-1);
    let cos = 1.0 - 0.5 * z + z * z * ((2.443_315_71e-5 * z - 1.388_731_63e-3) * z + 4.166_664_57e-2);
    let (a, b) = if quadrant & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let a = f32::from_bits(a.to_bits() ^ (quadrant & 2) << 30);
    let b = f32::from_bits(b.to_bits() ^ (quadrant.wrapping_add(1) & 2) << 30);
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random123_known_answers() {
        let one = |counter: [u32; 4], key: [u32; 2]| {
            philox(counter.map(|word| [word]), u64::from(key[1]) << 32 | u64::from(key[0])).map(|[word]| word)
        };
        assert_eq!(one([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(one([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            one([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn words_are_the_same_one_by_one_and_many_at_a_time() {
        let noise = Noise::new(5, Purpose::Choice).step(2);
        let (mut one, mut many) = (noise.stream(3), noise.stream(3));
        for count in [1, 2, 64, 65, 3, 200, 0, 7, 1] {
            let mut found = vec![0; count];
            many.fill(&mut found);
            assert_eq!(found, (0..count).map(|_| one.word()).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn elementary_functions_agree_with_std() {
        for word in (0..=u32::MAX).step_by(65_537) {
            let unit = (word as f32 + 0.5) * (1.0 / 4_294_967_296.0);
            assert!((ln_unit(unit) - unit.ln()).abs() <= 3e-7 * unit.ln().abs().max(1.0), "{unit}");
            let angle = f64::from(word) / 4_294_967_296.0 * std::f64::consts::TAU;
            let (sin, cos) = sin_cos_turns(word);
            assert!((f64::from(sin) - angle.sin()).abs() < 3e-7, "{word}");
            assert!((f64::from(cos) - angle.cos()).abs() < 3e-7, "{word}");
        }
    }

    #[test]
    fn a_row_has_one_address_whatever_the_batch() {
        for columns in [1, 3, 4, 7, 64] {
            let noise = Noise::new(0xDEAD_BEEF_0000_0001, Purpose::Backward).step(9);
            let all = noise.normal(37, columns);
            for row in [0, 1, 17, 36] {
                let alone = noise.from_trajectory(row as u64).normal(1, columns);
                assert_eq!(alone, all[row * columns..(row + 1) * columns]);
                let listed = noise.of_trajectories(Arc::from([row as u64])).normal(1, columns);
                assert_eq!(listed, alone);
            }
            assert_ne!(all, noise.step(10).normal(37, columns));
            assert_ne!(all, noise.purpose(Purpose::Forward).normal(37, columns));
        }
    }

    #[test]
    fn moments_are_those_of_the_normal_law() {
        let n = 1 << 18;
        let draws = Noise::new(3, Purpose::Source).normal(n / 4, 4);
        let moment = |k: i32| draws.iter().map(|x| f64::from(*x).powi(k)).sum::<f64>() / n as f64;
        // Standard errors of the first four moments: sqrt((m_2k - m_k^2) / n).
        for (k, mean, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let error = (moment(k) - mean).abs();
            assert!(error < 4.0 * f64::sqrt(variance / n as f64), "moment {k} is off by {error}");
        }
    }

    #[test]
    fn signs_are_fair_and_independent() {
        let (rows, columns) = (1 << 16, 3);
        let draws = Noise::new(3, Purpose::Probe).signs(rows, columns);
        assert!(draws.iter().all(|s| *s == 1.0 || *s == -1.0));
        for i in 0..columns {
            for j in 0..=i {
                let products =
                    draws.chunks_exact(columns).map(|row| if i == j { row[i] } else { row[i] * row[j] });
                let mean = products.map(f64::from).sum::<f64>() / rows as f64;
                assert!(mean.abs() < 4.0 / (rows as f64).sqrt(), "columns {i} and {j}: {mean}");
            }
        }
    }

    #[test]
    fn permutations_are_permutations() {
        let mut order = Noise::new(1, Purpose::Data).permutation(101);
        assert_ne!(order, (0..101).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..101).collect::<Vec<_>>());
    }
}
