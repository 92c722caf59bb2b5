//! The objects a recipe can name, with their rewards.

mod points;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::environment::{
    Cell, CyclicGrid, Environment, ExplicitGraph, Growth, Hypergrid, LabelledDags, Multisets, Permutations,
    Sets, SlipperyGrid, States, Strings, Trees,
};
use crate::error::{Error, Problem, Result, reason};
use crate::network::taped;
use crate::target::{Describe, GraphReward, Leading, RewardRecipe, Shape, Space, Target};
use points::Points;
pub use points::{BoxRecipe, BoxSteps, ChartRecipe, DomainName, HybridRecipe, LineRecipe, TorusRecipe};

/// The most states that are listed to find out whether a table of rewards has a row for every object.
const MOST_LISTED: usize = 1_000_000;

/// What objects there are and how they are built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ObjectsRecipe {
    /// Points of a grid, built by adding one to a coordinate.
    Hypergrid {
        /// How many coordinates.
        #[schemars(range(min = 1))]
        dim: usize,
        /// How many values each has.
        #[schemars(range(min = 2))]
        side: usize,
        /// The reward.
        #[serde(default)]
        reward: RewardRecipe,
    },
    /// Points of a grid on which one walks in all directions, so that walks can come back.
    CyclicGrid {
        /// How many coordinates.
        #[schemars(range(min = 1))]
        dim: usize,
        /// How many values each has.
        #[schemars(range(min = 2))]
        side: usize,
        /// The moves after which a walk is given up; four times as many as there are points on the longest way, unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        longest: Option<usize>,
        /// The reward.
        #[serde(default)]
        reward: RewardRecipe,
    },
    /// Points of a grid, built by adding one to a coordinate, which may be another than the one that was chosen.
    SlipperyGrid {
        /// How many coordinates.
        #[schemars(range(min = 1))]
        dim: usize,
        /// How many values each has.
        #[schemars(range(min = 2))]
        side: usize,
        /// The probability that any coordinate with room grows, each alike.
        #[schemars(range(min = 0.0, max = 1.0))]
        slip: f64,
        /// The reward.
        #[serde(default)]
        reward: RewardRecipe,
    },
    /// Words over an alphabet.
    Strings {
        /// The letters: one string of characters, or a list of names.
        alphabet: Alphabet,
        /// How long a word is; the longest, where `shortest` is given.
        #[schemars(range(min = 1))]
        length: usize,
        /// The shortest word; `length` unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shortest: Option<usize>,
        /// Where letters are put.
        #[serde(default)]
        growth: GrowthName,
        /// The reward.
        reward: RewardRecipe,
    },
    /// Sequences of bits, built word by word.
    Bits {
        /// How many bits.
        #[schemars(range(min = 1))]
        bits: usize,
        /// Bits of a word.
        #[schemars(range(min = 1))]
        word: usize,
        /// Where words are put.
        #[serde(default)]
        growth: GrowthName,
        /// The reward.
        reward: RewardRecipe,
    },
    /// Configurations of spins, set one by one in any order.
    Spins {
        /// How many spins.
        #[schemars(range(min = 1))]
        sites: usize,
        /// The reward.
        reward: RewardRecipe,
    },
    /// Subsets of numbered items.
    Sets {
        /// How many items there are.
        #[schemars(range(min = 1))]
        items: usize,
        /// How many a set has; the most, where `smallest` is given.
        size: usize,
        /// The fewest; `size` unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smallest: Option<usize>,
        /// The reward.
        reward: RewardRecipe,
    },
    /// Multisets of numbered kinds.
    Multisets {
        /// How many kinds there are.
        #[schemars(range(min = 1))]
        kinds: usize,
        /// How many elements a multiset has; the most, where `smallest` is given.
        size: usize,
        /// The fewest; `size` unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        smallest: Option<usize>,
        /// The reward.
        reward: RewardRecipe,
    },
    /// Orders of numbered items.
    Permutations {
        /// How many items.
        #[schemars(range(min = 1))]
        items: usize,
        /// The reward.
        reward: RewardRecipe,
    },
    /// The nodes of a directed acyclic graph that a file gives, with their rewards.
    Graph {
        /// A CSV file with the header `parent,child,value`; the Foundations' toy graph unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// The reward, if not the file's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reward: Option<RewardRecipe>,
    },
    /// Directed acyclic graphs over labelled nodes, built edge by edge.
    LabelledDags {
        /// How many nodes.
        #[schemars(range(min = 1))]
        nodes: usize,
        /// The most parents of a node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most_parents: Option<usize>,
        /// The reward.
        reward: RewardRecipe,
    },
    /// Rooted binary trees over labelled leaves, built by joining two trees.
    Trees {
        /// How many leaves.
        #[schemars(range(min = 2))]
        leaves: usize,
        /// The reward.
        reward: RewardRecipe,
    },
    /// Points of the unit box, built by steps away from the origin.
    Box(BoxRecipe),
    /// Points of the line, or of a space of more dimensions, reached by a walk.
    Line(LineRecipe),
    /// Angles, reached by a walk.
    Torus(TorusRecipe),
    /// A choice of a chart, then a value for each of its axes.
    Hybrid(HybridRecipe),
}

/// Discrete objects, as an environment builds them, with their reward.
pub type Rewarded = (Arc<dyn Environment>, Arc<dyn Target<Cell>>);

/// What a target is made of.
pub(super) enum Objects {
    /// Integers.
    Discrete(Arc<dyn Environment>, Arc<dyn Target<Cell>>),
    /// Real numbers.
    Continuous(Points),
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

/// An environment with the shape of its objects.
type Built = (Arc<dyn Environment>, Shape);

fn shared(environment: Result<impl Environment + 'static, Problem>, shape: Shape) -> Result<Built, Problem> {
    Ok((Arc::new(environment?), shape))
}

fn between(least: Option<usize>, most: usize) -> RangeInclusive<usize> {
    least.unwrap_or(most)..=most
}

impl ObjectsRecipe {
    /// The environment and the reward.
    pub(super) fn build(&self) -> Result<Objects> {
        let points = match self {
            Self::Box(points) => points.build()?,
            Self::Line(points) => points.build()?,
            Self::Torus(points) => points.build()?,
            Self::Hybrid(points) => points.build()?,
            _ => return self.discrete().map(|(environment, reward)| Objects::Discrete(environment, reward)),
        };
        Ok(Objects::Continuous(points))
    }

    fn discrete(&self) -> Result<Rewarded> {
        if let Self::Graph { file, reward: None } = self {
            let graph = Arc::new(graph(file.as_deref())?);
            return Ok((graph.clone(), Arc::new(GraphReward(graph))));
        }
        let (environment, shape) = self.environment()?;
        let Some(reward) = self.reward() else { unreachable!("a graph's own reward was built above") };
        // What a reward reads, where states have more numbers than objects.
        let read: Arc<dyn Environment> = match self {
            Self::SlipperyGrid { dim, side, .. } => Arc::new(Hypergrid::new(*dim, *side)?),
            _ => environment.clone(),
        };
        let listed = matches!(reward, RewardRecipe::Table { .. })
            .then(|| States::of(read.as_ref(), MOST_LISTED).ok())
            .flatten();
        let objects: Option<Vec<Cell>> = listed.map(|states| {
            let objects = states.objects().iter();
            objects.flat_map(|i| states.state(*i as usize).iter().copied()).collect()
        });
        let describes = read.clone();
        let space = Space {
            shape,
            describe: Describe::new(move |object| describes.describe(object)),
            parse: &|text, object| read.parse(text, object),
            objects: objects.as_deref(),
        };
        let reward = reward.build(&space).map_err(|error| match error {
            Error::Input(problem) if problem.place().starts_with("reward") => {
                let place = format!("target.{}", problem.place());
                Error::from((*problem).at(place))
            }
            other => other,
        })?;
        let (cells, width) = (read.cells(), environment.cells());
        let reward = if cells < width { Arc::new(Leading::new(reward, cells, width)) } else { reward };
        Ok((environment, reward))
    }

    fn environment(&self) -> Result<Built> {
        let built = match self {
            Self::Hypergrid { dim, side, .. } => {
                shared(Hypergrid::new(*dim, *side), Shape::Grid { dim: *dim, side: *side })
            }
            Self::CyclicGrid { dim, side, longest, .. } => {
                let longest = longest.unwrap_or(4 * (1 + dim * side));
                shared(CyclicGrid::new(*dim, *side, longest), Shape::Grid { dim: *dim, side: *side })
            }
            Self::SlipperyGrid { dim, side, slip, .. } => {
                shared(SlipperyGrid::new(*dim, *side, *slip), Shape::Grid { dim: *dim, side: *side })
            }
            Self::Strings { alphabet, length, shortest, growth, .. } => {
                let lengths = between(*shortest, *length);
                let strings = match alphabet {
                    Alphabet::Letters(letters) => {
                        Strings::of_chars(letters, lengths.clone(), (*growth).into())
                    }
                    Alphabet::Names(names) => {
                        let names: Vec<&str> = names.iter().map(String::as_str).collect();
                        Strings::new(&names, lengths.clone(), (*growth).into())
                    }
                };
                strings.and_then(|strings| {
                    let letters = strings.letters();
                    shared(Ok(strings), Shape::Strings { letters, lengths })
                })
            }
            Self::Bits { bits, word, growth, .. } => {
                Strings::bits(*bits, *word, (*growth).into()).and_then(|strings| {
                    let (letters, length) = (strings.letters(), bits / word);
                    shared(Ok(strings), Shape::Strings { letters, lengths: length..=length })
                })
            }
            Self::Spins { sites, .. } => {
                shared(Strings::spins(*sites), Shape::Strings { letters: 2, lengths: *sites..=*sites })
            }
            Self::Sets { items, size, smallest, .. } => {
                let sizes = between(*smallest, *size);
                shared(Sets::new(*items, sizes.clone()), Shape::Sets { items: *items, sizes })
            }
            Self::Multisets { kinds, size, smallest, .. } => {
                let totals = between(*smallest, *size);
                shared(Multisets::new(*kinds, totals.clone()), Shape::Multisets { kinds: *kinds, totals })
            }
            Self::Permutations { items, .. } => {
                shared(Permutations::new(*items), Shape::Other { cells: *items })
            }
            Self::Graph { file, .. } => {
                return Ok((Arc::new(graph(file.as_deref())?), Shape::Other { cells: 1 }));
            }
            Self::LabelledDags { nodes, most_parents, .. } => {
                let dags = LabelledDags::new(*nodes).and_then(|dags| match most_parents {
                    Some(most) => dags.with_most_parents(*most),
                    None => Ok(dags),
                });
                dags.and_then(|dags| {
                    let cells = dags.cells();
                    shared(Ok(dags), Shape::Other { cells })
                })
            }
            Self::Trees { leaves, .. } => Trees::new(*leaves).and_then(|trees| {
                let cells = trees.cells();
                shared(Ok(trees), Shape::Other { cells })
            }),
            Self::Box(_) | Self::Line(_) | Self::Torus(_) | Self::Hybrid(_) => {
                unreachable!("continuous spaces have environments of their own")
            }
        };
        Ok(built.map_err(|problem| {
            let place = format!("target.{}", problem.place());
            problem.at(place)
        })?)
    }

    fn reward(&self) -> Option<&RewardRecipe> {
        match self {
            Self::Hypergrid { reward, .. }
            | Self::CyclicGrid { reward, .. }
            | Self::SlipperyGrid { reward, .. }
            | Self::Strings { reward, .. }
            | Self::Bits { reward, .. }
            | Self::Spins { reward, .. }
            | Self::Sets { reward, .. }
            | Self::Multisets { reward, .. }
            | Self::Permutations { reward, .. }
            | Self::LabelledDags { reward, .. }
            | Self::Trees { reward, .. } => Some(reward),
            Self::Graph { reward, .. } => reward.as_ref(),
            Self::Box(_) | Self::Line(_) | Self::Torus(_) | Self::Hybrid(_) => None,
        }
    }

    /// The letters and places of words and where letters are put, where objects are words.
    pub(super) fn words(&self) -> Option<(taped::Alphabet, GrowthName)> {
        let (letters, places, growth) = match self {
            Self::Strings { alphabet: Alphabet::Letters(letters), length, growth, .. } => {
                (letters.chars().count(), *length, *growth)
            }
            Self::Strings { alphabet: Alphabet::Names(names), length, growth, .. } => {
                (names.len(), *length, *growth)
            }
            Self::Bits { bits, word, growth, .. } => (1 << word, bits / word, *growth),
            Self::Spins { sites, .. } => (2, *sites, GrowthName::Anywhere),
            _ => return None,
        };
        let order = match growth {
            GrowthName::Append => taped::Order::Causal,
            GrowthName::PrependOrAppend => taped::Order::Whole,
            GrowthName::Anywhere => taped::Order::Slots,
        };
        Some((taped::Alphabet { places, letters, order }, growth))
    }

    /// What each feature of a state means, where objects are sets or multisets: which element, and how often it is there.
    pub(super) fn elements(&self) -> Option<Vec<(u32, u32)>> {
        match self {
            Self::Sets { items, .. } => Some((0..*items as u32).map(|item| (item, 1)).collect()),
            Self::Multisets { kinds, size, .. } => {
                let counts = 1..=*size as u32;
                Some((0..*kinds as u32).flat_map(|kind| counts.clone().map(move |n| (kind, n))).collect())
            }
            _ => None,
        }
    }

    /// How many coordinates a point has, where objects are points of one space.
    pub fn coordinates(&self) -> Option<usize> {
        match self {
            Self::Box(points) => Some(points.dim),
            Self::Line(points) => Some(points.dim),
            Self::Torus(points) => Some(points.dim),
            _ => None,
        }
    }

    /// The objects in words.
    pub(super) fn space(&self) -> String {
        let sizes = |least: &Option<usize>, most: &usize| match least {
            Some(least) if least != most => format!("{least} to {most}"),
            _ => most.to_string(),
        };
        let by = |growth: &GrowthName| match growth {
            GrowthName::Append => "from left to right",
            GrowthName::PrependOrAppend => "from either end",
            GrowthName::Anywhere => "into any empty slot",
        };
        match self {
            Self::Hypergrid { dim, side, .. } => {
                format!("{{0, ..., {}}}^{dim}, from 0 by adding 1 to a coordinate", side - 1)
            }
            Self::CyclicGrid { dim, side, .. } => {
                format!(
                    "{{0, ..., {}}}^{dim}, entered at 0, by adding 1 to a coordinate or taking it away",
                    side - 1
                )
            }
            Self::SlipperyGrid { dim, side, slip, .. } => {
                format!(
                    "{{0, ..., {}}}^{dim}, from 0 by adding 1 to a coordinate; with probability {slip} to any, each alike",
                    side - 1
                )
            }
            Self::Strings { alphabet, length, shortest, growth, .. } => {
                let letters = match alphabet {
                    Alphabet::Letters(letters) => letters.clone(),
                    Alphabet::Names(names) => names.join(", "),
                };
                format!("words of {} letters out of {letters}, {}", sizes(shortest, length), by(growth))
            }
            Self::Bits { bits, word, growth, .. } => {
                format!("{bits} bits in words of {word}, {}", by(growth))
            }
            Self::Spins { sites, .. } => format!("{{-1, 1}}^{sites}, set in any order"),
            Self::Sets { items, size, smallest, .. } => {
                format!("sets of {} out of {items} items, by adding one", sizes(smallest, size))
            }
            Self::Multisets { kinds, size, smallest, .. } => {
                format!("multisets of {} elements of {kinds} kinds, by adding one", sizes(smallest, size))
            }
            Self::Permutations { items, .. } => format!("orders of {items} items, from first to last"),
            Self::Graph { file, .. } => {
                format!(
                    "nodes of the graph of {}",
                    file.as_deref().unwrap_or("GFlowNet Foundations, figure 2")
                )
            }
            Self::LabelledDags { nodes, .. } => {
                format!("directed acyclic graphs over {nodes} labelled nodes, by adding edges")
            }
            Self::Trees { leaves, .. } => {
                format!("rooted binary trees over {leaves} labelled leaves, by joining two trees")
            }
            Self::Box(points) => points.space(),
            Self::Line(points) => points.space(),
            Self::Torus(points) => points.space(),
            Self::Hybrid(points) => points.space(),
        }
    }

    /// The reward as a formula.
    pub(super) fn formula(&self) -> String {
        match self {
            Self::Box(points) => points.reward.formula(),
            Self::Line(points) => points.reward.formula(),
            Self::Torus(points) => points.reward.formula(),
            Self::Hybrid(points) => points.formula(),
            _ => self.reward().map_or("what the graph gives each node".to_owned(), RewardRecipe::formula),
        }
    }
}

fn graph(file: Option<&str>) -> Result<ExplicitGraph> {
    let Some(file) = file else { return Ok(ExplicitGraph::toy()) };
    let text = std::fs::read_to_string(Path::new(file)).map_err(|error| {
        Problem::new("target.file", format!("{file}: {}", reason(&error)))
            .allowed("a CSV file that can be read")
    })?;
    Ok(ExplicitGraph::read(file, &text)?)
}
