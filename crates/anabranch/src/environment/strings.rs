//! Strings: words over an alphabet, grown in one of three ways.
//!
//! | growth | moves | removals of a word of length l | `n(s)` |
//! |---|---|---|---|
//! | append | a letter behind | the last letter: a tree | 1 |
//! | prepend or append | a letter in front or behind | the first, the last | `2^l` |
//! | anywhere | a letter into any empty slot | any letter | `l!` |
//!
//! Where both ends grow, the two moves of a letter from the empty word are parallel edges, as are the two removals of a word
//! of equal letters. A word is an object where its length is in a range; grown anywhere, when all slots are full.
//!
//! State: cell `i` is one more than the letter at place `i`, 0 where there is none; words that grow at their ends start at
//! cell 0.
//!
//! Jain et al. (2022) grow biological sequences at the end, Shen et al. (2023) small molecules at both ends, Tiapkin et al.
//! (2024) bit sequences anywhere, Zhang et al. (2022) the sites of binary energies.

use std::ops::RangeInclusive;

use super::text::{Names, refused, size, sizes};
use super::{Cell, Environment, distance};
use crate::error::{Problem, quoted};
use crate::math::ln_factorial;

/// Where letters are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Behind the word. Move: the letter. Removal 0: the last letter.
    Append,
    /// Behind the word or in front of it. Move: the letter behind, or `letters` plus the letter in front. Removal 0: the last
    /// letter, 1: the first.
    PrependOrAppend,
    /// Into any empty slot. Move: `slot * letters + letter`. Removal: the slot.
    Anywhere,
}

/// Words over an alphabet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strings {
    letters: usize,
    alphabet: Alphabet,
    lengths: RangeInclusive<usize>,
    growth: Growth,
}

/// How letters are written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Alphabet {
    /// By name, one behind the other if all names are of this many characters, with spaces between them otherwise.
    Names { names: Names, width: Option<usize> },
    /// As so many bits, the highest first.
    Bits(usize),
}

impl Strings {
    /// Words over these letters with a length in `lengths`: `n..=n` for a fixed length, so that stopping is no choice.
    ///
    /// # Errors
    /// If the alphabet is empty, names a letter twice, with white space or as underscores, or has more than 65534 letters;
    /// if the longest length is 0 or above 65535; if there are several lengths but letters are put anywhere.
    pub fn new<S: AsRef<str>>(
        letters: &[S],
        lengths: RangeInclusive<usize>,
        growth: Growth,
    ) -> Result<Self, Problem> {
        let names = Names::new("letters", letters, "")?;
        let width = names[0].chars().count();
        let width = names.iter().all(|name| name.chars().count() == width).then_some(width);
        Self::over(names.len(), Alphabet::Names { names, width }, lengths, growth)
    }

    /// Words whose letters are single characters, such as `"ACGT"`.
    ///
    /// # Errors
    /// As [`Strings::new`].
    pub fn of_chars(letters: &str, lengths: RangeInclusive<usize>, growth: Growth) -> Result<Self, Problem> {
        let letters: Vec<String> = letters.chars().map(String::from).collect();
        Self::new(&letters, lengths, growth)
    }

    /// Sequences of `bits` bits that grow by a word of `word` bits at a time: letter `k` is the binary number `k`.
    ///
    /// # Errors
    /// If a word has no bit or more than 15, or the sequence is not made of one or more whole words.
    pub fn bits(bits: usize, word: usize, growth: Growth) -> Result<Self, Problem> {
        size("word", word, 1..=15)?;
        if bits == 0 || !bits.is_multiple_of(word) {
            return Err(Problem::new("bits", bits.to_string()).allowed(format!("a multiple of {word}")));
        }
        let length = bits / word;
        Self::over(1 << word, Alphabet::Bits(word), length..=length, growth)
    }

    /// Spins on `sites` sites, `{void, 0, 1}^sites`, set one site after another in any order: move `2 * site + value`. An
    /// object has no void.
    ///
    /// # Errors
    /// If there is no site.
    pub fn spins(sites: usize) -> Result<Self, Problem> {
        Self::bits(sites, 1, Growth::Anywhere).map_err(|problem| problem.at("sites"))
    }

    fn over(
        letters: usize,
        alphabet: Alphabet,
        lengths: RangeInclusive<usize>,
        growth: Growth,
    ) -> Result<Self, Problem> {
        size("letters", letters, 1..=usize::from(Cell::MAX) - 1)?;
        sizes("lengths", &lengths, usize::from(Cell::MAX))?;
        if *lengths.end() == 0 {
            return Err(Problem::new("lengths", "0 to 0").allowed("a longest length of 1 or more"));
        }
        if growth == Growth::Anywhere && lengths.start() < lengths.end() {
            let found = format!("{} to {}", lengths.start(), lengths.end());
            return Err(
                Problem::new("lengths", found).allowed("a single length where letters are put anywhere")
            );
        }
        Ok(Self { letters, alphabet, lengths, growth })
    }

    /// How many letters the alphabet has.
    pub fn letters(&self) -> usize {
        self.letters
    }

    /// The bits of the letters that are there, each letter as a binary number, the highest bit first, with as many bits as
    /// the last letter needs.
    pub fn bits_of(&self, state: &[Cell]) -> impl Iterator<Item = bool> {
        let width = (self.letters - 1).checked_ilog2().map_or(0, |highest| highest + 1);
        let letters = state.iter().filter(|cell| **cell > 0).map(|cell| cell - 1);
        letters.flat_map(move |letter| (0..width).rev().map(move |bit| letter >> bit & 1 == 1))
    }

    fn slots(&self) -> usize {
        *self.lengths.end()
    }

    /// How an empty slot is written: as wide as a letter.
    fn blank(&self) -> String {
        "_".repeat(self.width().unwrap_or(1))
    }

    /// The characters of a letter, if the same for all.
    fn width(&self) -> Option<usize> {
        match &self.alphabet {
            Alphabet::Names { width, .. } => *width,
            Alphabet::Bits(word) => Some(*word),
        }
    }

    fn name(&self, letter: usize) -> String {
        match &self.alphabet {
            Alphabet::Names { names, .. } => names[letter].to_owned(),
            Alphabet::Bits(word) => format!("{letter:0word$b}"),
        }
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        match &self.alphabet {
            Alphabet::Names { names, .. } => names.find(name),
            Alphabet::Bits(word) => {
                let digits = name.chars().all(|c| matches!(c, '0' | '1'));
                let letter = usize::from_str_radix(name, 2).ok().filter(|_| digits);
                letter.ok_or_else(|| refused(quoted(name), format!("{word} bits, each 0 or 1")))
            }
        }
    }

    /// The text letter by letter.
    fn split(&self, text: &str) -> Result<Vec<String>, String> {
        let Some(width) = self.width() else {
            return Ok(text.split_whitespace().map(str::to_owned).collect());
        };
        let characters: Vec<char> = text.trim().chars().collect();
        if !characters.len().is_multiple_of(width) {
            return Err(refused(quoted(text), format!("letters of {width} characters")));
        }
        Ok(characters.chunks(width).map(|letter| letter.iter().collect()).collect())
    }
}

/// How many letters a word has that starts at cell 0.
fn length(state: &[Cell]) -> usize {
    state.partition_point(|cell| *cell > 0)
}

/// Whether a word stands somewhere in another.
fn contains(word: &[Cell], part: &[Cell]) -> bool {
    part.is_empty() || word.windows(part.len()).any(|window| window == part)
}

impl Environment for Strings {
    fn cells(&self) -> usize {
        self.slots()
    }

    fn moves(&self) -> usize {
        match self.growth {
            Growth::Append => self.letters,
            Growth::PrependOrAppend => 2 * self.letters,
            Growth::Anywhere => self.slots() * self.letters,
        }
    }

    fn removals(&self) -> usize {
        match self.growth {
            Growth::Append => 1,
            Growth::PrependOrAppend => 2,
            Growth::Anywhere => self.slots(),
        }
    }

    fn longest(&self) -> usize {
        self.slots()
    }

    fn stops(&self) -> bool {
        self.lengths.start() < self.lengths.end()
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(0);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        match self.growth {
            Growth::Anywhere => state.iter().all(|cell| *cell > 0),
            _ => length(state) >= *self.lengths.start(),
        }
    }

    fn all_objects(&self) -> bool {
        self.growth != Growth::Anywhere && *self.lengths.start() == 0
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        match self.growth {
            Growth::Anywhere => {
                let slots = mask.chunks_exact_mut(self.letters).zip(state);
                slots.for_each(|(mask, cell)| mask.fill(*cell == 0));
            }
            _ => mask.fill(state[self.slots() - 1] == 0),
        }
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        match self.growth {
            Growth::Anywhere => mask.iter_mut().zip(state).for_each(|(may, cell)| *may = *cell > 0),
            _ => mask.fill(state[0] > 0),
        }
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        let (place, letter) = (action / self.letters, action % self.letters);
        let cell = letter as Cell + 1;
        match (self.growth, place) {
            (Growth::Anywhere, slot) => {
                state[slot] = cell;
                slot
            }
            (_, 0) => {
                state[length(state)] = cell;
                0
            }
            (_, _front) => {
                let length = length(state);
                state.copy_within(..length, 1);
                state[0] = cell;
                1
            }
        }
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        let letter = |cell: Cell| usize::from(cell) - 1;
        match (self.growth, removal) {
            (Growth::Anywhere, slot) => slot * self.letters + letter(std::mem::take(&mut state[slot])),
            (_, 0) => {
                let last = length(state) - 1;
                letter(std::mem::take(&mut state[last]))
            }
            (_, _front) => {
                let (length, first) = (length(state), state[0]);
                state.copy_within(1..length, 0);
                state[length - 1] = 0;
                self.letters + letter(first)
            }
        }
    }

    fn features(&self) -> usize {
        self.slots() * self.letters
    }

    /// One feature per letter: its place and which it is.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        let there = state.iter().enumerate().filter(|(_, cell)| **cell > 0);
        on.extend(there.map(|(place, cell)| (place * self.letters) as u32 + u32::from(*cell) - 1));
    }

    fn distance(&self, a: &[Cell], b: &[Cell]) -> usize {
        distance::edits(a, b)
    }

    fn describe(&self, state: &[Cell]) -> String {
        let shown = if self.growth == Growth::Anywhere { state } else { &state[..length(state)] };
        let name = |cell: &Cell| if *cell == 0 { self.blank() } else { self.name(usize::from(*cell) - 1) };
        let letters: Vec<String> = shown.iter().map(name).collect();
        letters.join(if self.width().is_some() { "" } else { " " })
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        let letters = self.split(text)?;
        let anywhere = self.growth == Growth::Anywhere;
        if letters.len() > self.slots() || anywhere && letters.len() < self.slots() {
            let least = if anywhere { "" } else { "at most " };
            return Err(refused(format!("{} letters", letters.len()), format!("{least}{}", self.slots())));
        }
        state.fill(0);
        for (cell, name) in state.iter_mut().zip(letters) {
            if !anywhere || name != self.blank() {
                *cell = self.find(&name)? as Cell + 1;
            }
        }
        Ok(())
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        match self.growth {
            Growth::Append => mask[0] = length(state) > length(root),
            Growth::PrependOrAppend => {
                let (word, root) = (&state[..length(state)], &root[..length(root)]);
                let shorter = word.len() > root.len();
                mask[0] = shorter && contains(&word[..word.len() - 1], root);
                mask[1] = shorter && contains(&word[1..], root);
            }
            Growth::Anywhere => {
                let cells = state.iter().zip(root);
                mask.iter_mut().zip(cells).for_each(|(may, (cell, root))| *may = *cell > 0 && *root == 0);
            }
        }
    }

    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        Some(match self.growth {
            Growth::Append => 0.0,
            Growth::PrependOrAppend => length(state) as f64 * std::f64::consts::LN_2,
            Growth::Anywhere => ln_factorial(state.iter().filter(|cell| **cell > 0).count() as u64),
        })
    }

    fn objects(&self) -> Option<f64> {
        Some(self.lengths.clone().map(|length| (self.letters as f64).powi(length as i32)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::States;

    fn objects(strings: &Strings) -> usize {
        let states = States::of(strings, 1_000_000).expect("they are few enough");
        assert_eq!(strings.objects(), Some(states.objects().len() as f64));
        states.objects().len()
    }

    #[test]
    fn published_spaces_have_their_sizes() {
        // TFBind8, and 5 blocks of 11 for QM9 (Shen et al. 2023).
        assert_eq!(objects(&Strings::of_chars("ACGT", 8..=8, Growth::Append).unwrap()), 65_536);
        let blocks: Vec<String> = (0..11).map(|block| format!("B{block}")).collect();
        let molecules = Strings::new(&blocks, 5..=5, Growth::PrependOrAppend).unwrap();
        assert_eq!(objects(&molecules), 161_051);
        assert_eq!(objects(&Strings::bits(12, 4, Growth::Anywhere).unwrap()), 4096);
        let peptides = Strings::of_chars("ACDEFGHIKLMNPQRSTVWY", 0..=60, Growth::Append).unwrap();
        assert!((peptides.objects().unwrap() / (20f64.powi(61) / 19.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_empty_word_has_parallel_edges() {
        let strings = Strings::of_chars("AB", 1..=2, Growth::PrependOrAppend).unwrap();
        let states = States::of(&strings, 100).unwrap();
        let parents = |text: &str| {
            let mut state = [0; 2];
            strings.parse(text, &mut state).unwrap();
            let i = (0..states.len()).find(|i| states.state(*i) == state).unwrap();
            states
                .parents(i)
                .iter()
                .map(|(parent, edge)| (*parent, edge.action, edge.removal))
                .collect::<Vec<_>>()
        };
        assert_eq!(parents("A"), [(0, 0, 0), (0, 2, 1)]);
        let [a, b] = ["A", "B"].map(|text| parents(&format!("{text}{text}"))[0].0);
        assert_eq!(parents("AA"), [(a, 0, 0), (a, 2, 1)]);
        assert_eq!(parents("AB"), [(a, 1, 0), (b, 2, 1)]);
    }

    #[test]
    fn words_are_written_as_their_users_do() {
        let mut state = [0; 3];
        let mut round = |strings: &Strings, text: &str| {
            strings.parse(text, &mut state).unwrap();
            assert_eq!(strings.describe(&state), text);
            state
        };
        assert_eq!(round(&Strings::of_chars("AČ", 2..=3, Growth::Append).unwrap(), "ČA"), [2, 1, 0]);
        let blocks = Strings::new(&["C", "C#C"], 3..=3, Growth::Anywhere).unwrap();
        assert_eq!(round(&blocks, "C#C _ C"), [2, 0, 1]);
        let bits = Strings::bits(6, 2, Growth::Anywhere).unwrap();
        assert_eq!(round(&bits, "10__01"), [3, 0, 2]);
        assert!(bits.bits_of(&[3, 0, 2]).eq([true, false, false, true]));
        assert_eq!(round(&Strings::spins(3).unwrap(), "1_0"), [2, 0, 1]);
        let five = Strings::of_chars("ABCDE", 1..=1, Growth::Append).unwrap();
        assert!(five.bits_of(&[5]).eq([true, false, false]));
        assert_eq!(Strings::of_chars("A", 1..=1, Growth::Append).unwrap().bits_of(&[1]).count(), 0);
    }

    #[test]
    fn wrong_words_are_refused() {
        let dna = Strings::of_chars("ACGT", 1..=3, Growth::Append).unwrap();
        let blocks = Strings::new(&["CO", "CCO"], 2..=2, Growth::Anywhere).unwrap();
        let bits = Strings::bits(4, 2, Growth::Append).unwrap();
        let cases: [(&Strings, &str, &str); 7] = [
            (&dna, "AXT", "\"X\"; allowed: A, C, G, T; did you mean \"A\"?"),
            (&dna, "A_", "\"_\"; allowed: A, C, G, T; did you mean \"A\"?"),
            (&dna, "ACGT", "4 letters; allowed: at most 3"),
            (&blocks, "CO", "1 letters; allowed: 2"),
            (&blocks, "CO CC", "\"CC\"; allowed: CO, CCO; did you mean \"CO\"?"),
            (&bits, "010", "\"010\"; allowed: letters of 2 characters"),
            (&bits, "01+1", "\"+1\"; allowed: 2 bits, each 0 or 1"),
        ];
        for (strings, text, message) in cases {
            assert_eq!(strings.parse(text, &mut vec![0; strings.cells()]).unwrap_err(), message);
        }
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let message = |strings: Result<Strings, Problem>| strings.unwrap_err().to_string();
        let append = Growth::Append;
        assert_eq!(
            message(Strings::of_chars("", 1..=2, append)),
            "letters: found none; allowed: one or more"
        );
        assert!(message(Strings::of_chars("ACA", 1..=2, append)).starts_with("letters: found \"A\" twice"));
        assert!(message(Strings::of_chars("A C", 1..=2, append)).starts_with("letters: found \" \""));
        assert!(message(Strings::of_chars("A_", 1..=2, append)).starts_with("letters: found \"_\""));
        assert!(message(Strings::of_chars("A", 0..=0, append)).starts_with("lengths: found 0 to 0"));
        assert!(
            message(Strings::of_chars("AC", 1..=2, Growth::Anywhere)).starts_with("lengths: found 1 to 2")
        );
        assert!(message(Strings::of_chars("AC", 1..=usize::MAX, append)).starts_with("lengths: found 1 to"));
        assert!(message(Strings::bits(120, 16, append)).starts_with("word: found 16; allowed: 1 to 15"));
        assert!(
            message(Strings::bits(120, 7, append)).starts_with("bits: found 120; allowed: a multiple of 7")
        );
        assert!(message(Strings::spins(0)).starts_with("sites: found 0"));
        let many: Vec<String> = (0..65_535).map(|letter| letter.to_string()).collect();
        assert!(message(Strings::new(&many, 1..=1, append)).starts_with("letters: found 65535"));
    }
}
