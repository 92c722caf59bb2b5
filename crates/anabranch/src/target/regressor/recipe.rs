//! A regressor in a recipe.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Acquisition, Missing, Regressor, RegressorSettings, ScoreTable};
use crate::data::parse_text;
use crate::error::{Problem, Result, quoted};
use crate::target::{Parse, Space, inside};

/// The words that come with the program: `data/landscape.csv` is what they are and how they were made.
const SCORES: &[u8] = include_bytes!("../../../../../data/landscape.csv");
const LANDSCAPE: &str = "landscape";

/// Which scores are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Large ones.
    #[default]
    Maximise,
    /// Small ones.
    Minimise,
}

/// A table of scores and how a regressor is fitted to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegressorRecipe {
    /// A CSV file, plain or gzipped, with a header; 500 words of DNA with their heights in a planted landscape unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The name of the column of objects, written as `anabranch sample` writes them.
    #[serde(default = "object")]
    pub object: String,
    /// The name of the column of scores.
    #[serde(default = "score")]
    pub score: String,
    /// What is done with rows that have no score.
    #[serde(default)]
    pub missing: Missing,
    /// Which scores are good.
    #[serde(default)]
    pub direction: Direction,
    /// What is made of predictions.
    #[serde(default)]
    pub acquisition: Acquisition,
    /// The power that the reward is raised to: the higher, the more it is about the best objects alone.
    #[serde(default = "six")]
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub exponent: f64,
    /// Smaller expected improvements, in standard deviations of the scores, are raised to this one.
    #[serde(default = "millionth")]
    #[schemars(range(min = 1e-300, max = 1.0))]
    pub least: f64,
    /// How many networks predict together.
    #[serde(default = "eight")]
    #[schemars(range(min = 2, max = 100))]
    pub members: usize,
    /// The widths of the hidden layers of each.
    #[serde(default = "two_layers")]
    pub hidden: Vec<usize>,
    /// What they are fitted by.
    #[serde(default)]
    pub seed: u64,
}

fn object() -> String {
    "object".to_owned()
}

fn score() -> String {
    "score".to_owned()
}

fn six() -> f64 {
    6.0
}

fn millionth() -> f64 {
    1e-6
}

fn eight() -> usize {
    8
}

fn two_layers() -> Vec<usize> {
    vec![64, 64]
}

impl RegressorRecipe {
    /// Its name and formula in one line.
    pub fn formula(&self) -> String {
        let Self { exponent, members, .. } = self;
        let file = self.source();
        let r = match self.acquisition {
            Acquisition::ExpectedImprovement {} => "a",
            _ => "exp(a)",
        };
        let turned = if self.direction == Direction::Minimise { " (small is good)" } else { "" };
        let acquisition = self.acquisition.formula();
        format!("regressor: {r}^{exponent}, {acquisition}{turned}, by {members} networks fitted to {file}")
    }

    /// The ensemble, fitted to the table; `place` is where the recipe names it.
    ///
    /// # Errors
    /// If a value is not allowed, or the table is wrong.
    pub fn build(&self, place: &str, space: &Space<'_>) -> Result<Regressor> {
        if let Some(file) = self.file.as_ref().filter(|file| !Path::new(file).exists()) {
            let problem = Problem::new("file", format!("{}, which is not there", quoted(file)));
            let allowed = format!("a CSV file with the columns {} and {}", self.object, self.score);
            return Err(inside(place, problem.allowed(allowed)).into());
        }
        let settings = RegressorSettings {
            acquisition: self.acquisition,
            direction: self.direction,
            exponent: self.exponent,
            least: self.least,
            members: self.members,
            hidden: self.hidden.clone(),
            seed: self.seed,
        };
        settings.check().map_err(|problem| inside(place, problem))?;
        let table = self.table(space.shape.cells(), space.parse)?;
        // What is wrong now is wrong with the table.
        Ok(Regressor::fit(self.source(), table, &settings, space)?)
    }

    /// The table of scores, of objects of `cells` cells.
    ///
    /// # Errors
    /// If it cannot be read, or is wrong.
    pub fn table(&self, cells: usize, parse: &Parse<'_>) -> Result<ScoreTable> {
        let names = [&*self.object, &*self.score];
        match &self.file {
            Some(file) => ScoreTable::read(Path::new(file), names, self.missing, cells, parse),
            None => {
                let text = parse_text(LANDSCAPE, SCORES.to_vec())?;
                ScoreTable::parse(LANDSCAPE, &text, names, self.missing, cells, parse)
            }
        }
    }

    /// What the table is called.
    fn source(&self) -> &str {
        self.file.as_deref().unwrap_or(LANDSCAPE)
    }
}
