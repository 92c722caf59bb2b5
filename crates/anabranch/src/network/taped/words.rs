//! Words as tokens: what stands at each place, and which tokens see which.
//!
//! ```text
//! causal   start a b c      a token sees those before it: a word is a path in the trie of all words, and its tokens are
//!                           shared with every word that starts alike
//! whole    start a b c      every token sees all of its word
//! slots    start a _ c _    the same, with a token for every empty place
//! ```

use super::{NONE, Tape};

/// Which tokens a word has, and which of them see which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Letters from the first place on; a token sees those before it and itself. The word is read at its last token.
    Causal,
    /// Letters from the first place on; every token sees all. The word is read at its start.
    Whole,
    /// Letters and empty places; every token sees all. The word is read at its start, and at every place.
    Slots,
}

/// Words over an alphabet: the feature `place * letters + letter` says which letter stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alphabet {
    /// Places of a word.
    pub places: usize,
    /// Letters that may stand at a place.
    pub letters: usize,
    /// Which tokens a word has.
    pub order: Order,
}

impl Alphabet {
    /// Different tokens: the letters, the start, and in slots the empty place.
    pub fn symbols(&self) -> usize {
        self.letters + 1 + usize::from(self.order == Order::Slots)
    }

    fn start(&self) -> u32 {
        self.letters as u32
    }

    fn empty(&self) -> u32 {
        self.letters as u32 + 1
    }
}

/// The tokens of a tape's rows.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Which symbol each token is.
    pub symbols: Vec<u32>,
    /// Where it stands: 0 at the start, one more than its place elsewhere.
    pub places: Vec<u32>,
    /// The token before it.
    before: Vec<u32>,
    /// The newest of the tokens that follow it, and the next older one with the same token before it.
    child: Vec<u32>,
    sibling: Vec<u32>,
    /// The start tokens, each with a row whose real inputs it has.
    pub starts: Vec<(u32, u32)>,
    /// The token at which each row is read.
    pub reads: Vec<u32>,
    /// Whether every row has tokens of its own, in every order.
    pub apart: bool,
}

impl Words {
    pub fn clear(&mut self) {
        for list in [
            &mut self.symbols,
            &mut self.places,
            &mut self.before,
            &mut self.child,
            &mut self.sibling,
            &mut self.reads,
        ] {
            list.clear();
        }
        self.starts.clear();
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    fn push(&mut self, symbol: u32, place: u32, before: u32) -> u32 {
        let new = self.len() as u32;
        self.symbols.push(symbol);
        self.places.push(place);
        self.before.push(before);
        self.child.push(NONE);
        let sibling =
            if before == NONE { NONE } else { std::mem::replace(&mut self.child[before as usize], new) };
        self.sibling.push(sibling);
        new
    }

    /// The token of a symbol that follows another.
    fn following(&mut self, before: u32, symbol: u32) -> u32 {
        let mut known = self.child[before as usize];
        while known != NONE && self.symbols[known as usize] != symbol {
            known = self.sibling[known as usize];
        }
        let place = self.places[before as usize] + 1;
        if known == NONE { self.push(symbol, place, before) } else { known }
    }

    /// Reads the next row of a tape, with `dense` real inputs.
    pub fn read(&mut self, alphabet: &Alphabet, tape: &Tape, dense: usize) {
        let row = self.reads.len();
        let features = tape.features(row);
        let letters = alphabet.letters as u32;
        if alphabet.order == Order::Causal {
            let known = if self.apart { &[] } else { &self.starts[..] };
            let alike =
                known.iter().find(|(_, known)| tape.dense(*known as usize, dense) == tape.dense(row, dense));
            let mut token = match alike {
                Some((start, _)) => *start,
                None => self.start(alphabet, row),
            };
            for feature in features {
                token = self.following(token, feature % letters);
            }
            self.reads.push(token);
            return;
        }
        let start = self.start(alphabet, row);
        let mut before = start;
        if alphabet.order == Order::Slots {
            let mut letter = features.iter().peekable();
            for place in 0..alphabet.places as u32 {
                let here = letter.next_if(|feature| **feature / letters == place);
                let symbol = here.map_or(alphabet.empty(), |feature| feature % letters);
                before = self.push(symbol, place + 1, before);
            }
        } else {
            for feature in features {
                before = self.push(feature % letters, feature / letters + 1, before);
            }
        }
        self.reads.push(start);
    }

    fn start(&mut self, alphabet: &Alphabet, row: usize) -> u32 {
        let start = self.push(alphabet.start(), 0, NONE);
        self.starts.push((start, row as u32));
        start
    }

    /// The tokens from `first` on, in groups that see alike.
    pub fn groups(&self, order: Order, first: usize) -> Groups {
        let mut groups = Groups { causal: order == Order::Causal, ..Groups::default() };
        if order != Order::Causal {
            let starts = self.starts.iter().map(|(start, _)| *start).filter(|start| *start as usize >= first);
            let ends = starts.clone().skip(1).chain([self.len() as u32]);
            for (start, end) in starts.zip(ends) {
                groups.tokens.extend(start..end);
                groups.ends.push((groups.tokens.len(), (end - start) as usize));
            }
            return groups;
        }
        // From the last token on, one that no path has passed is the end of a path.
        let mut passed = vec![false; self.len() - first];
        for end in (first..self.len()).rev() {
            if passed[end - first] {
                continue;
            }
            let (from, mut queries, mut token) = (groups.tokens.len(), 0, end as u32);
            while token != NONE {
                groups.tokens.push(token);
                if let Some(at) = (token as usize).checked_sub(first)
                    && !std::mem::replace(&mut passed[at], true)
                {
                    queries += 1;
                }
                token = self.before[token as usize];
            }
            groups.tokens[from..].reverse();
            groups.ends.push((groups.tokens.len(), queries));
        }
        groups
    }
}

impl Groups {
    /// Groups of `size` tokens each that see one another, `count` of them, from token `first` on.
    pub fn even(first: usize, count: usize, size: usize) -> Self {
        let tokens = (first as u32..(first + count * size) as u32).collect();
        let ends = (1..=count).map(|group| (group * size, size)).collect();
        Self { causal: false, tokens, ends }
    }
}

/// Tokens in groups that see alike.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Whether a token sees only those before it in its group, and itself.
    pub causal: bool,
    tokens: Vec<u32>,
    /// Where each group ends, and how many of its last tokens look; all are seen.
    ends: Vec<(usize, usize)>,
}

impl Groups {
    /// Each group's tokens and how many of the last of them look.
    pub fn iter(&self) -> impl Iterator<Item = (&[u32], usize)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, queries)| {
            let tokens = &self.tokens[start..*end];
            start = *end;
            (tokens, *queries)
        })
    }
}
