//! The targets a recipe can name, and what each of them makes of the rest of the recipe.

mod categories;
mod energies;
mod further;
mod lattice;
mod listed;
mod of_run;
mod rows;
mod simulated;
mod tunes;

pub use categories::{CharactersRecipe, FactorialRecipe, PlanarBitsRecipe};
pub use energies::{CategoriesRecipe, Energy, EnergyRecipe};
pub use further::ReadGiven;
pub use lattice::LatticeRecipe;
pub use listed::ListedLaw;
pub use of_run::LearnedRecipe;
pub use rows::{Rows, TableRecipe, ToyDataRecipe};
pub use simulated::SimulatorRecipe;
pub use tunes::TunesRecipe;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::objects::{
    BitsRecipe, BoxRecipe, CyclicGridRecipe, GraphRecipe, HybridRecipe, HypergridRecipe, LabelledDagsRecipe,
    LineRecipe, MultisetsRecipe, Objects, PermutationsRecipe, ProgramRecipe, SetsRecipe, SlipperyGridRecipe,
    SpinsRecipe, StringsRecipe, TorusRecipe, TreesRecipe,
};
use crate::data::{Summary, Table};
use crate::error::Result;

macro_rules! targets {
    (
        data { $($(#[$about_data:meta])* $data:ident($data_recipe:ty),)+ }
        energies { $($(#[$about_energy:meta])* $energy:ident($energy_recipe:ty),)+ }
        objects { $($(#[$about_objects:meta])* $objects:ident($objects_recipe:ty),)+ }
    ) => {
        /// What is to be modelled. It says which keys of the rest of the recipe are read.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
        pub enum TargetRecipe {
            $($(#[$about_data])* #[schemars(extend("x-of" = ["data"]))] $data($data_recipe),)+
            $($(#[$about_energy])* #[schemars(extend("x-of" = ["energies"]))] $energy($energy_recipe),)+
            $($(#[$about_objects])* #[schemars(extend("x-of" = ["objects"]))] $objects($objects_recipe),)+
        }

        impl TargetRecipe {
            /// The data, where the target is data.
            pub fn rows(&self) -> Option<&dyn Rows> {
                match self {
                    $(Self::$data(target) => Some(target),)+
                    _ => None,
                }
            }

            /// The energy, where the target is one.
            pub fn energy(&self) -> Option<&dyn Energy> {
                match self {
                    $(Self::$energy(target) => Some(target),)+
                    _ => None,
                }
            }

            /// The objects, where the target is a reward of objects that are built move by move.
            pub fn objects(&self) -> Option<&dyn Objects> {
                match self {
                    $(Self::$objects(target) => Some(target),)+
                    _ => None,
                }
            }
        }
    };
}

targets! {
    data {
        /// Rows of numbers, embedded or from a file.
        Table(TableRecipe),
        /// Exact samples of a two-dimensional toy density.
        Toy(ToyDataRecipe),
        /// Exact samples of a two-dimensional toy density, as bits.
        PlanarBits(PlanarBitsRecipe),
        /// All combinations of some factors.
        Factorial(FactorialRecipe),
        /// Spins of a periodic lattice.
        Lattice(LatticeRecipe),
        /// The characters of a text.
        Characters(CharactersRecipe),
        /// Monophonic tunes, as sequences of sixteenths.
        Tunes(TunesRecipe),
        /// Parameters of a built-in simulator, each set given what was simulated under it.
        Simulator(SimulatorRecipe),
    }
    energies {
        /// An unnormalised density.
        Energy(EnergyRecipe),
        /// A reward of rows of categories.
        Categories(CategoriesRecipe),
        /// What a finished run has learned.
        Run(LearnedRecipe),
    }
    objects {
        /// Points of a grid, built by adding one to a coordinate.
        Hypergrid(HypergridRecipe),
        /// Points of a grid on which one walks in all directions, so that walks can come back.
        CyclicGrid(CyclicGridRecipe),
        /// Points of a grid, built by adding one to a coordinate, which may be another than the one that was chosen.
        SlipperyGrid(SlipperyGridRecipe),
        /// Words over an alphabet.
        Strings(StringsRecipe),
        /// Sequences of bits, built word by word.
        Bits(BitsRecipe),
        /// Configurations of spins, set one by one in any order.
        Spins(SpinsRecipe),
        /// Subsets of numbered items.
        Sets(SetsRecipe),
        /// Multisets of numbered kinds.
        Multisets(MultisetsRecipe),
        /// Orders of numbered items.
        Permutations(PermutationsRecipe),
        /// The nodes of a directed acyclic graph that a file gives, with their rewards.
        Graph(GraphRecipe),
        /// Directed acyclic graphs over labelled nodes, built edge by edge.
        LabelledDags(LabelledDagsRecipe),
        /// Rooted binary trees over labelled leaves, built by joining two trees.
        Trees(TreesRecipe),
        /// Objects that another program builds, in any language.
        Process(ProgramRecipe),
        /// Points of the unit box, built by steps away from the origin.
        Box(BoxRecipe),
        /// Points of the line, or of a space of more dimensions, reached by a walk.
        Line(LineRecipe),
        /// Angles, reached by a walk.
        Torus(TorusRecipe),
        /// A choice of a chart, then a value for each of its axes.
        Hybrid(HybridRecipe),
    }
}

impl TargetRecipe {
    /// The number of integer levels of the data, 0 for continuous states.
    pub fn levels(&self) -> u32 {
        self.energy().map_or(0, |energy| energy.levels()).max(self.rows().map_or(0, |rows| rows.levels()))
    }

    /// Height and width, where a state is a grey image.
    pub fn image(&self) -> Option<[usize; 2]> {
        self.rows().and_then(|rows| rows.image()).or(self.energy().and_then(|energy| energy.image()))
    }

    /// Reads a file of further data for a model of `dimension` columns that was trained on this target, of whose data `summary` is kept.
    ///
    /// Columns are found by their names, in any order, where both the file and the data have names. A file without
    /// may be laid out as the target's own, with the columns to drop, or have the model's columns (and those of their conditions)
    /// alone. Answers the condition of each row, where the model is conditioned on one.
    ///
    /// # Errors
    /// If it cannot be read, does not have the model's columns, or has values that are no levels of the target, or that a column of few
    /// did not have when the model was trained.
    pub fn read(
        &self,
        path: &Path,
        summary: Option<&Summary>,
        dimension: usize,
    ) -> Result<(Table, ReadGiven)> {
        further::read(self.rows(), path, summary, dimension)
    }
}
