//! Words: letters, words of bits, and spins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Built, Objects, between, rewarded, sizes};
use crate::environment::{Growth, Strings};
use crate::error::Result;
use crate::network::taped;
use crate::papers::{RUGGED, SEQUENCES};
use crate::target::{LatticeName, RewardRecipe, Shape};

/// Words over an alphabet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StringsRecipe {
    /// The letters: one string of characters, or a list of names.
    pub alphabet: Alphabet,
    /// How long a word is; the longest, where `shortest` is given.
    #[schemars(range(min = 1))]
    pub length: usize,
    /// The shortest word; `length` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortest: Option<usize>,
    /// Where letters are put.
    #[serde(default)]
    pub growth: GrowthName,
    /// The reward.
    pub reward: RewardRecipe,
}

/// Sequences of bits, built word by word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BitsRecipe {
    /// How many bits.
    #[schemars(range(min = 1))]
    pub bits: usize,
    /// Bits of a word.
    #[schemars(range(min = 1))]
    pub word: usize,
    /// Where words are put.
    #[serde(default)]
    pub growth: GrowthName,
    /// The reward.
    pub reward: RewardRecipe,
}

/// Configurations of spins, set one by one in any order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpinsRecipe {
    /// How many spins.
    #[schemars(range(min = 1))]
    pub sites: usize,
    /// The reward.
    pub reward: RewardRecipe,
}

/// The letters of an alphabet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "another type, expected a string of letters or a list of names")]
pub enum Alphabet {
    /// One character each.
    Letters(String),
    /// Longer names.
    Names(Vec<String>),
}

/// Where letters are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GrowthName {
    /// Behind the word.
    #[default]
    Append,
    /// In front of it or behind it.
    PrependOrAppend,
    /// Into any empty slot.
    Anywhere,
}

impl From<GrowthName> for Growth {
    fn from(name: GrowthName) -> Self {
        match name {
            GrowthName::Append => Self::Append,
            GrowthName::PrependOrAppend => Self::PrependOrAppend,
            GrowthName::Anywhere => Self::Anywhere,
        }
    }
}

impl GrowthName {
    fn words(self) -> &'static str {
        match self {
            Self::Append => "from left to right",
            Self::PrependOrAppend => "from either end",
            Self::Anywhere => "into any empty slot",
        }
    }

    /// What a network reads of words that grow so.
    fn alphabet(self, letters: usize, places: usize) -> Option<(taped::Alphabet, Self)> {
        let order = match self {
            Self::Append => taped::Order::Causal,
            Self::PrependOrAppend => taped::Order::Whole,
            Self::Anywhere => taped::Order::Slots,
        };
        Some((taped::Alphabet { places, letters, order }, self))
    }
}

impl Objects for StringsRecipe {
    fn space(&self) -> String {
        let letters = match &self.alphabet {
            Alphabet::Letters(letters) => letters.clone(),
            Alphabet::Names(names) => names.join(", "),
        };
        let sizes = sizes(self.shortest, self.length);
        format!("words of {sizes} letters out of {letters}, {}", self.growth.words())
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        match self.reward {
            RewardRecipe::Classifier { .. } => vec![SEQUENCES],
            RewardRecipe::Landscape { .. } => vec![RUGGED],
            _ => Vec::new(),
        }
    }

    fn build(&self) -> Result<Built> {
        let lengths = between(self.shortest, self.length);
        let growth = self.growth.into();
        let strings = match &self.alphabet {
            Alphabet::Letters(letters) => Strings::of_chars(letters, lengths.clone(), growth),
            Alphabet::Names(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                Strings::new(&names, lengths.clone(), growth)
            }
        };
        rewarded(strings, |strings| Shape::Strings { letters: strings.letters(), lengths }, &self.reward)
    }

    fn words(&self) -> Option<(taped::Alphabet, GrowthName)> {
        let letters = match &self.alphabet {
            Alphabet::Letters(letters) => letters.chars().count(),
            Alphabet::Names(names) => names.len(),
        };
        self.growth.alphabet(letters, self.length)
    }
}

impl Objects for BitsRecipe {
    fn space(&self) -> String {
        format!("{} bits in words of {}, {}", self.bits, self.word, self.growth.words())
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn build(&self) -> Result<Built> {
        let length = self.bits / self.word;
        let shape =
            |strings: &Strings| Shape::Strings { letters: strings.letters(), lengths: length..=length };
        rewarded(Strings::bits(self.bits, self.word, self.growth.into()), shape, &self.reward)
    }

    fn words(&self) -> Option<(taped::Alphabet, GrowthName)> {
        self.growth.alphabet(1 << self.word, self.bits / self.word)
    }
}

impl Objects for SpinsRecipe {
    fn space(&self) -> String {
        format!("{{-1, 1}}^{}, set in any order", self.sites)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn build(&self) -> Result<Built> {
        let lengths = self.sites..=self.sites;
        rewarded(Strings::spins(self.sites), |_| Shape::Strings { letters: 2, lengths }, &self.reward)
    }

    fn words(&self) -> Option<(taped::Alphabet, GrowthName)> {
        GrowthName::Anywhere.alphabet(2, self.sites)
    }

    fn lattice(&self) -> Option<usize> {
        match self.reward {
            RewardRecipe::Ising { lattice: Some(LatticeName::Torus), .. } => Some(self.sites.isqrt()),
            _ => None,
        }
    }
}
