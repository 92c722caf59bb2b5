//! The energies a recipe can name: densities over real vectors, rewards over categories.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::environment::continuous::Domain;
use crate::error::{Error, Problem, Result, within};
use crate::target::{
    Describe, LatticeName, OfCells, PointTargetRecipe, RewardRecipe, Shape, Space, Target, inside,
};

/// A target that is an energy.
pub trait Energy {
    /// Checks what needs no data to be checked; with a prior the space is the prior's, and not known yet.
    ///
    /// # Errors
    /// The first problem found.
    fn check(&self, prior: bool) -> Result<()>;

    /// The energy over samples of `dimension` numbers, as a likelihood of a prior's.
    ///
    /// # Errors
    /// If it is not over such samples.
    fn over(&self, dimension: usize) -> Result<Arc<dyn Target>>;

    /// The energy and the dimension of its space.
    ///
    /// # Errors
    /// If a value is not allowed.
    fn build(&self) -> Result<(Arc<dyn Target>, usize)>;

    /// Its name and formula in one line.
    fn formula(&self) -> String;

    /// The papers that it comes from, as BibTeX.
    fn papers(&self) -> Vec<&'static str>;

    /// Integer levels of its space; 0 for real vectors.
    fn levels(&self) -> u32;

    /// Height and width, where a state is a grey image.
    fn image(&self) -> Option<[usize; 2]>;
}

/// An energy over real vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnergyRecipe {
    /// With a prior: the levels of its data, which it says itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub levels: u32,
    /// With a prior: height and width, where a sample is a grey image, which it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<[usize; 2]>,
    /// Which one.
    pub energy: PointTargetRecipe,
}

fn is_zero(levels: &u32) -> bool {
    *levels == 0
}

impl Energy for EnergyRecipe {
    fn check(&self, prior: bool) -> Result<()> {
        if prior {
            return Ok(());
        }
        if self.levels > 0 || self.image.is_some() {
            let key = if self.levels > 0 { "target.levels" } else { "target.image" };
            return Err(Problem::new(key, "the space of a prior, which the recipe does not name")
                .allowed("none; or `policy.prior`")
                .into());
        }
        let place = "target.energy";
        Ok(self.energy.check(place).map_err(|problem| inside(place, problem))?)
    }

    fn over(&self, dimension: usize) -> Result<Arc<dyn Target>> {
        if let Some([height, width]) = self.image
            && height.checked_mul(width) != Some(dimension)
        {
            let allowed =
                format!("a height and a width whose product is {dimension}, the numbers of a sample");
            return Err(Problem::new("target.image", format!("{height} x {width}")).allowed(allowed).into());
        }
        let place = "target.energy";
        let built = self.energy.build(&vec![Domain::Line; dimension], place);
        Ok(built.map_err(|problem| inside(place, problem))?)
    }

    fn build(&self) -> Result<(Arc<dyn Target>, usize)> {
        let place = "target.energy";
        Ok(self.energy.energy(place).map_err(|problem| inside(place, problem))?)
    }

    fn formula(&self) -> String {
        self.energy.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        self.energy.papers()
    }

    fn levels(&self) -> u32 {
        self.levels
    }

    fn image(&self) -> Option<[usize; 2]> {
        self.image
    }
}

/// A reward of rows of categories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoriesRecipe {
    /// Coordinates of a row.
    #[schemars(range(min = 1))]
    pub dimension: usize,
    /// Values of a coordinate, `0 .. levels`; of spins 2, the first being -1.
    #[schemars(range(min = 2))]
    pub levels: u32,
    /// The reward: of spins, or one of points of a grid, such as a formula over `x0`, `x1`, ...
    pub reward: RewardRecipe,
}

/// The most values, which fit into a cell with one to spare.
const MOST_LEVELS: u32 = 65_534;

impl CategoriesRecipe {
    fn spins(&self) -> bool {
        matches!(self.reward, RewardRecipe::Ising { .. })
    }
}

impl Energy for CategoriesRecipe {
    fn check(&self, prior: bool) -> Result<()> {
        if prior {
            let found = "\"categories\", which say their space, beside a prior, whose space it is";
            return Err(Problem::new("target.kind", found).allowed("\"energy\"; or no prior").into());
        }
        within("target.dimension", self.dimension as f64, 1.0, 65_535.0)?;
        within("target.levels", f64::from(self.levels), 2.0, f64::from(MOST_LEVELS))
    }

    fn over(&self, _: usize) -> Result<Arc<dyn Target>> {
        self.build().map(|(energy, _)| energy)
    }

    fn build(&self) -> Result<(Arc<dyn Target>, usize)> {
        let (dimension, levels) = (self.dimension, self.levels as usize);
        // A spin's cell is 0 where there is none yet; a point of a grid has its own numbers.
        let (shape, shift) = match self.spins() {
            true => (Shape::Strings { letters: levels, lengths: dimension..=dimension }, 1),
            false => (Shape::Grid { dim: dimension, side: levels }, 0),
        };
        let space = Space {
            shape,
            describe: Describe::new(move |cells: &[u16]| {
                let names: Vec<String> = cells.iter().map(|cell| (cell - shift).to_string()).collect();
                names.join(" ")
            }),
            parse: &|text, cells| {
                let found: Vec<u16> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
                if found.len() != cells.len() || found.iter().any(|x| usize::from(*x) >= levels) {
                    return Err(format!("{dimension} numbers from 0 to {}", levels - 1));
                }
                cells.iter_mut().zip(found).for_each(|(cell, x)| *cell = x + shift);
                Ok(())
            },
            objects: None,
        };
        let reward = self.reward.build(&space).map_err(|error| match error {
            Error::Input(problem) if problem.place().starts_with("reward") => {
                let place = format!("target.{}", problem.place());
                Error::from((*problem).at(place))
            }
            other => other,
        })?;
        Ok((Arc::new(OfCells::new(reward, dimension, levels, shift)), dimension))
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn levels(&self) -> u32 {
        self.levels
    }

    fn image(&self) -> Option<[usize; 2]> {
        let side = self.dimension.isqrt();
        match self.reward {
            RewardRecipe::Ising { lattice: Some(LatticeName::Torus), .. }
                if side * side == self.dimension =>
            {
                Some([side, side])
            }
            _ => None,
        }
    }
}
