//! A classifier of rows of numbers as a recipe names it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{Column, EMBEDDED, Labelled, embedded_labelled, read_labelled};
use crate::environment::continuous::Domain;
use crate::error::{Error, Problem};
use crate::papers::CLASSIFIER_GUIDANCE;
use crate::target::continuous::entry::{self, Built, Entry, problem, shared};
use crate::target::recipe::{millionth, one, sixty_four};
use crate::target::{RowClassifier, RowClassifierSettings};

/// A classifier of rows of numbers in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifierRecipe {
    /// The name of an embedded data set with labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A file of numbers, one of whose columns holds the classes: 0, 1, 2, ..., or words, which count in the order of the alphabet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The column of the classes in the file: its index from 0, or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Column>,
    /// The class whose probability it is.
    pub class: usize,
    /// The width of its hidden layer.
    #[serde(default = "sixty_four")]
    pub width: usize,
    /// The power of the probability.
    #[serde(default = "one")]
    pub beta: f64,
    /// Smaller probabilities are raised to this one.
    #[serde(default = "millionth")]
    pub least: f64,
    /// What it is trained by.
    #[serde(default)]
    pub seed: u64,
}

impl ClassifierRecipe {
    fn settings(&self) -> RowClassifierSettings {
        let Self { class, width, beta, least, seed, .. } = *self;
        RowClassifierSettings { class, width, beta, least, seed }
    }

    /// The rows that it is trained on.
    fn data(&self) -> Result<Labelled, Problem> {
        self.check()?;
        let data = match (&self.source, &self.file, &self.label) {
            (Some(source), ..) => embedded_labelled(source),
            (None, Some(file), Some(label)) => {
                read_labelled(Path::new(file), label, &[], &[]).and_then(|data| data.of_all_classes(file))
            }
            _ => unreachable!("a checked classifier has data"),
        };
        data.map_err(|error| match error {
            Error::Input(problem) if ["source", "label"].contains(&problem.place()) => *problem,
            error => Problem::new("file", error.to_string()),
        })
    }
}

impl Entry for ClassifierRecipe {
    fn formula(&self) -> String {
        let Self { class, beta, least, .. } = self;
        let data = self.source.as_deref().or(self.file.as_deref()).unwrap_or_default();
        format!("classifier: max(p(class {class} | x), {least})^{beta}, trained on {data}")
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![CLASSIFIER_GUIDANCE]
    }

    fn dimension(&self) -> Option<usize> {
        self.data().ok().map(|data| data.table.columns)
    }

    fn check(&self) -> entry::Result<()> {
        self.settings().check()?;
        match (&self.source, &self.file, &self.label) {
            (Some(source), None, None) if EMBEDDED.contains(&source.as_str()) => Ok(()),
            (Some(source), None, None) => {
                Err(Problem::new("source", format!("\"{source}\"")).choices(&EMBEDDED))
            }
            (None, Some(_), Some(_)) => Ok(()),
            (Some(_), None, Some(_)) => Err(Problem::new("label", "a column of an embedded data set")
                .allowed("one of a file; an embedded data set has labels of its own")),
            (None, Some(_), None) => Err(Problem::new("label", "none").allowed("the column of the classes")),
            (source, _, _) => {
                let found = if source.is_some() { "both source and file" } else { "neither source nor file" };
                let embedded = EMBEDDED.join(", ");
                Err(Problem::new("", found).allowed(format!(
                    "source = one of {embedded}, or file with label, the column of the classes"
                )))
            }
        }
    }

    fn over(&self, domains: &[Domain]) -> entry::Result<()> {
        let dimension = self.data()?.table.columns;
        if dimension == domains.len() {
            return Ok(());
        }
        let found = format!("a classifier of {dimension} columns for {} coordinates", domains.len());
        problem("kind", found, "one of as many columns")
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(RowClassifier::train(&self.data()?, &self.settings())?)
    }

    /// It is trained.
    fn is_costly(&self) -> bool {
        true
    }

    fn readable(&self) -> entry::Result<()> {
        self.data().map(|_| ())
    }
}
