//! The numbers that states are made of.

use std::fmt::Debug;

/// A number that states are made of.
pub trait Number: Copy + Default + PartialEq + Debug + Send + Sync + 'static {
    /// The number.
    fn number(self) -> f64;
    /// The number as a word, for files.
    fn to_word(self) -> u32;
    /// The number that [`Number::to_word`] wrote.
    fn from_word(word: u32) -> Self;
}

impl Number for u16 {
    fn number(self) -> f64 {
        f64::from(self)
    }

    fn to_word(self) -> u32 {
        u32::from(self)
    }

    fn from_word(word: u32) -> Self {
        word as u16
    }
}

impl Number for f32 {
    fn number(self) -> f64 {
        f64::from(self)
    }

    fn to_word(self) -> u32 {
        self.to_bits()
    }

    fn from_word(word: u32) -> Self {
        f32::from_bits(word)
    }
}
