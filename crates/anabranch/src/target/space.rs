//! What a reward must know of the objects that it is asked about.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::environment::Cell;

/// How a row of cells is an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Points of `{0, ..., side - 1}^dim`: one cell per coordinate.
    Grid {
        /// How many coordinates.
        dim: usize,
        /// How many values each has.
        side: usize,
    },
    /// Words: one cell per slot, 0 where it is empty, one more than the letter otherwise.
    Strings {
        /// How many letters there are.
        letters: usize,
        /// How long a word may be; the last is the number of slots.
        lengths: RangeInclusive<usize>,
    },
    /// Subsets: one cell per item, 1 where it is in the set.
    Sets {
        /// How many items there are.
        items: usize,
        /// How many of them a set may have.
        sizes: RangeInclusive<usize>,
    },
    /// Multisets: one cell per kind, how many of it there are.
    Multisets {
        /// How many kinds there are.
        kinds: usize,
        /// How many elements a multiset may have.
        totals: RangeInclusive<usize>,
    },
    /// Any others.
    Other {
        /// How many cells a row has.
        cells: usize,
    },
}

impl Shape {
    /// How many cells a row has.
    pub fn cells(&self) -> usize {
        match self {
            Self::Grid { dim, .. } => *dim,
            Self::Strings { lengths, .. } => *lengths.end(),
            Self::Sets { items, .. } => *items,
            Self::Multisets { kinds, .. } => *kinds,
            Self::Other { cells } => *cells,
        }
    }

    /// The number of slots, where all of them are filled and there are `letters` letters.
    pub(super) fn slots(&self, wanted: usize) -> Option<usize> {
        match self {
            Self::Strings { letters, lengths } if *letters == wanted && lengths.start() == lengths.end() => {
                Some(*lengths.end())
            }
            _ => None,
        }
    }

    /// Its name, in the plural.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Grid { dim, side } => format!("points of a grid of {dim} coordinates with {side} values"),
            Self::Strings { letters, lengths } if lengths.start() == lengths.end() => {
                format!("words of {} out of {letters} letters", lengths.end())
            }
            Self::Strings { letters, lengths } => {
                format!("words of {} to {} out of {letters} letters", lengths.start(), lengths.end())
            }
            Self::Sets { items, .. } => format!("sets of {items} items"),
            Self::Multisets { kinds, .. } => format!("multisets of {kinds} kinds"),
            Self::Other { cells } => format!("objects of {cells} cells"),
        }
    }
}

type ToText<C> = dyn Fn(&[C]) -> String + Send + Sync;

/// Writes an object as its users write it.
#[derive(Clone)]
pub struct Describe<C = Cell>(Arc<ToText<C>>);

impl<C> Describe<C> {
    /// By this function.
    pub fn new(by: impl Fn(&[C]) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(by))
    }

    /// The object's text.
    pub fn name(&self, object: &[C]) -> String {
        (self.0)(object)
    }
}

impl<C> fmt::Debug for Describe<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Describe")
    }
}

/// Reads the text of an object into its cells.
///
/// # Errors
/// If there is no such object: what was found and what is allowed.
pub type Parse<'a> = dyn Fn(&str, &mut [Cell]) -> Result<(), String> + 'a;

/// The objects that a reward is built for.
pub struct Space<'a> {
    /// How a row of cells is an object.
    pub shape: Shape,
    /// Writes an object.
    pub describe: Describe,
    /// Reads what `describe` writes.
    pub parse: &'a Parse<'a>,
    /// All objects, `[count, cells]`, where they can be enumerated.
    pub objects: Option<&'a [Cell]>,
}
