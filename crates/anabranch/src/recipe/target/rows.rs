//! Data: rows of numbers from tables and files, and exact samples of toy densities.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ListedLaw, SimulatorRecipe};
use crate::data::binary::Binary;
use crate::data::{self, Column, Dataset, Table, by_name};
use crate::error::{Error, Problem, Result, quoted, within};
use crate::math::Estimate;
use crate::papers;
use crate::target::toy;

/// Rows of numbers to learn from, as a recipe names them.
pub trait Rows {
    /// Checks every value that needs no file to be checked.
    ///
    /// # Errors
    /// The first problem found.
    fn check(&self) -> Result<()>;

    /// The rows, split in three.
    ///
    /// # Errors
    /// If they cannot be read.
    fn load(&self, seed: u64) -> Result<Dataset>;

    /// The file that they come from, if they come from one.
    fn place(&self) -> Option<String> {
        None
    }

    /// What they are, in words.
    fn describe(&self) -> String {
        "a data set".to_owned()
    }

    /// The papers that they come from, as BibTeX.
    fn papers(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// How many integer levels they have; 0 for continuous data.
    fn levels(&self) -> u32 {
        0
    }

    /// Height and width, where a row is a grey image.
    fn image(&self) -> Option<[usize; 2]> {
        None
    }

    /// The columns of a file that are left out.
    fn dropped(&self) -> &[Column] {
        &[]
    }

    /// The column of a file that holds the class of each row, if rows have one.
    fn label(&self) -> Option<Column> {
        None
    }

    /// The columns of a file that hold the numbers that each row is given.
    fn given(&self) -> Vec<Column> {
        Vec::new()
    }

    /// The columns of a file that hold words.
    fn words(&self) -> &[Column] {
        &[]
    }

    /// The simulator that made the rows, if one did: its parameters are the rows, what it simulated is their condition.
    fn simulator(&self) -> Option<&SimulatorRecipe> {
        None
    }

    /// How many states of the same kind stand before those of a row, as its condition.
    fn prefix(&self) -> usize {
        0
    }

    /// Whether states are a rest (0) and MIDI pitches (1 + pitch), which a piano roll shows.
    fn are_pitches(&self) -> bool {
        false
    }

    /// What rows picture as points of the plane, `[rows, 2]`, where they code such.
    fn in_plane(&self, _rows: &[f32]) -> Option<Vec<f32>> {
        None
    }

    /// Characters of a row in the mean over `rows`, where they are text.
    fn characters(&self, _rows: &[f32]) -> Option<f64> {
        None
    }

    /// Rows as lines, where they are text.
    fn text(&self, _rows: &[f32]) -> Option<String> {
        None
    }

    /// The couplings `J` of the law that the rows are drawn from, a symmetric matrix `[columns, columns]` where
    /// `log R(s) = s^T J s + h^T s` with spins, where that is known.
    fn couplings(&self) -> Option<Vec<f64>> {
        None
    }

    /// How what a file has is made binary, where it is.
    fn binary(&self) -> Option<Binary> {
        None
    }

    /// The law that rows are drawn from, where it is known and its states can be listed.
    fn law(&self) -> Option<ListedLaw> {
        None
    }

    /// `rows` further rows of the law that the data are drawn from, others for every `seed`, where there are some.
    fn fresh(&self, _rows: usize, _seed: u64) -> Option<Vec<f32>> {
        None
    }

    /// The negative log-likelihood of the data's own law on rows of it under the numbers that they are given, nats, where that is
    /// known: what a model's expected score cannot go below.
    fn exact_nll(&self, _rows: &[f32], _given: &[f32]) -> Option<Estimate> {
        None
    }
}

/// A data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = {"not": {"required": ["source"]}},
    "then" = {"required": ["file"]},
    "else" = {"properties": {"file": {"not": {}}, "drop": {"maxItems": 0}, "given": {"maxItems": 0}, "categories": {"maxItems": 0}, "integers": {"maxItems": 0}}}
))]
pub struct TableRecipe {
    /// The name of an embedded data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = data::EMBEDDED))]
    pub source: Option<String>,
    /// A file of numbers: CSV, NPY, NPZ, IDX or Parquet, recognised by content, plain or gzipped; `FILE.npz:NAME` is
    /// one of several arrays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Columns of the file to leave out, such as labels: indices from 0, or the names that the file gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<Column>,
    /// The column of the classes, `0, 1, 2, ...` or words, which the model is then conditioned on: its index from 0, or its name in the
    /// file; of the embedded digits "digit".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Column>,
    /// The columns of real numbers that the others are conditioned on, in the order in which a condition lists them: their indices
    /// from 0, or their names in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Column>,
    /// Columns of words, or of numbers that are no more than names: their indices from 0, or their names in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Column>,
    /// Columns of whole numbers of a small range, such as counts and years, beside real ones: their indices from 0, or their names in the
    /// file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub integers: Vec<Column>,
    /// Integer data with values `0 .. levels` in all columns; 0 for continuous data.
    #[serde(default)]
    #[schemars(range(min = 0, max = 65_536))]
    pub levels: u32,
    /// Makes the data binary: what is at least this becomes 1, the rest 0, and `levels` is 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Makes the data binary by chance: a value becomes 1 with the chance value / dynamic, afresh whenever a row is learned from and once
    /// in the rows that are not; `levels` is 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic: Option<f32>,
    /// Height and width, where a row is a grey image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<[usize; 2]>,
    /// The fraction of rows for validation.
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub validation: f64,
    /// The fraction of rows for testing.
    #[serde(default = "fifth")]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub test: f64,
    /// The seed of the split: one for all models that are to be compared.
    #[serde(default)]
    pub split_seed: u64,
}

fn tenth() -> f64 {
    0.1
}

fn fifth() -> f64 {
    0.2
}

/// Samples of a toy density.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToyDataRecipe {
    /// The density's name.
    #[schemars(extend("enum" = toy::NAMES))]
    pub name: String,
    /// How many samples to learn from; a tenth of it more for validation, a fifth for testing.
    #[serde(default = "toy_rows")]
    #[schemars(range(min = 10, max = 10_000_000))]
    pub rows: usize,
}

fn toy_rows() -> usize {
    100_000
}

impl Rows for TableRecipe {
    fn check(&self) -> Result<()> {
        match (&self.source, &self.file) {
            (Some(_), None) | (None, Some(_)) => {}
            (Some(_), Some(_)) => {
                return Err(Problem::new("target", "both source and file").allowed("one of them").into());
            }
            (None, None) => {
                return Err(Problem::new("target", "neither source nor file")
                    .allowed(format!(
                        "source = one of {}, or file = a CSV, NPY, NPZ, IDX or Parquet file",
                        data::EMBEDDED.join(", ")
                    ))
                    .into());
            }
        }
        if self.source.is_some() && !self.drop.is_empty() {
            return Err(Problem::new("target.drop", "columns of an embedded data set")
                .allowed("columns of a file; an embedded data set comes without its labels")
                .into());
        }
        if let Some(source) = &self.source
            && !data::EMBEDDED.contains(&source.as_str())
        {
            return Err(Problem::new("target.source", quoted(source)).choices(&data::EMBEDDED).into());
        }
        if let (Some(source), Some(label)) = (&self.source, &self.label)
            && *label != Column::Name("digit".to_owned())
        {
            let found = match label {
                Column::Index(index) => index.to_string(),
                Column::Name(name) => quoted(name),
            };
            return Err(Problem::new("target.label", found)
                .allowed(format!("\"digit\", what the images of {source} show"))
                .into());
        }
        check_given(self)?;
        check_few(self)?;
        if self.levels == 1 || self.levels > 65_536 {
            return Err(Problem::new("target.levels", self.levels.to_string())
                .allowed("0 for continuous data, or from 2 to 65536")
                .into());
        }
        for (key, value) in [("threshold", self.threshold), ("dynamic", self.dynamic)] {
            if let (Some(value), true) = (value, self.levels != 2) {
                let found = format!("{value} with levels = {}", self.levels);
                return Err(Problem::new(format!("target.{key}"), found)
                    .allowed("it with levels = 2")
                    .into());
            }
        }
        if let Some(dynamic) = self.dynamic {
            within("target.dynamic", f64::from(dynamic), f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX))?;
            let beside = [
                (self.threshold.is_some(), "a threshold"),
                (self.label.is_some(), "a label"),
                (!self.given.is_empty(), "columns that are given"),
            ];
            if let Some((_, beside)) = beside.into_iter().find(|(there, _)| *there) {
                let found = format!("it beside {beside}");
                return Err(Problem::new("target.dynamic", found).allowed("one of them").into());
            }
        }
        within("target.validation", self.validation, 0.0, 0.99)?;
        within("target.test", self.test, 0.0, 0.99)
    }

    fn load(&self, _seed: u64) -> Result<Dataset> {
        if let (Some(file), false) = (&self.file, self.given.is_empty()) {
            let mut data = data::read_conditioned(Path::new(file), &self.given, &self.drop, &self.categories)
                .map_err(of_target)?;
            binarise(file, &mut data.table, self.binary())?;
            self.fits(file, &data.table)?;
            let split = data::split_conditioned(&data, self.validation, self.test, self.split_seed)?;
            return self.with_few_values(split, &data.table, file);
        }
        let (place, mut table, mut labelled) = match (&self.source, &self.file, &self.label) {
            (Some(source), _, None) => (source, data::embedded(source)?, None),
            (None, Some(file), None) => {
                (file, data::read_words(Path::new(file), &self.drop, &self.categories)?, None)
            }
            (Some(source), _, Some(_)) => {
                let data = data::embedded_labelled(source)?;
                (source, data.table.clone(), Some(data))
            }
            (None, Some(file), Some(label)) => {
                let data = data::read_labelled(Path::new(file), label, &self.drop, &self.categories)
                    .map_err(of_target)?;
                let data = data.of_all_classes(file)?;
                (file, data.table.clone(), Some(data))
            }
            (None, None, _) => unreachable!("a checked table has a source or a file"),
        };
        let split = |table: &Table| data::split(table, self.validation, self.test, self.split_seed);
        let chances = self.dynamic.map(|white| Binary::Dynamic(white).chances(place, &table)).transpose()?;
        if let Some(chances) = chances.flatten() {
            // One draw stands in the places of rows; those to learn from are drawn again from their chances.
            let of_chances = split(&Table { values: chances, ..table.clone() })?;
            binarise(place, &mut table, self.binary())?;
            self.fits(place, &table)?;
            return Ok(Dataset { chances: Some(of_chances.train), ..split(&table)? });
        }
        binarise(place, &mut table, self.binary())?;
        for data in labelled.iter_mut() {
            binarise(place, &mut data.table, self.binary())?;
        }
        self.fits(place, &table)?;
        let split = match labelled {
            Some(data) => data::split_labelled(&data, self.validation, self.test, self.split_seed),
            None => split(&table),
        }?;
        self.with_few_values(split, &table, place)
    }

    fn place(&self) -> Option<String> {
        self.file.clone()
    }

    fn describe(&self) -> String {
        match (&self.label, &self.given[..]) {
            (Some(_), _) => "a data set, each row given its class".to_owned(),
            (None, []) => "a data set".to_owned(),
            (None, given) => format!("a data set, each row given {} numbers", given.len()),
        }
    }

    fn levels(&self) -> u32 {
        self.levels
    }

    fn image(&self) -> Option<[usize; 2]> {
        self.image
    }

    fn binary(&self) -> Option<Binary> {
        self.threshold.map(Binary::Threshold).or(self.dynamic.map(Binary::Dynamic))
    }

    fn dropped(&self) -> &[Column] {
        &self.drop
    }

    fn label(&self) -> Option<Column> {
        match (&self.source, &self.label) {
            // Of a file that is laid out as the embedded data are.
            (Some(_), Some(_)) => Some(Column::Index(64)),
            (None, label) => label.clone(),
            (Some(_), None) => None,
        }
    }

    fn given(&self) -> Vec<Column> {
        self.given.clone()
    }

    fn words(&self) -> &[Column] {
        &self.categories
    }
}

impl TableRecipe {
    /// Tells a split table, read from `place`, which of its columns have few values.
    fn with_few_values(&self, split: Dataset, table: &Table, place: &str) -> Result<Dataset> {
        if table.alphabets.len() != self.categories.len() {
            let found = format!("{} of {} columns of {place}", table.alphabets.len(), self.categories.len());
            return Err(Problem::new("target.categories", found)
                .allowed("each column once, and none that is dropped or a condition")
                .into());
        }
        let names = match self.integers.is_empty() {
            true => None,
            false => data::names(Path::new(place))?,
        };
        let mut integers = Vec::new();
        for column in &self.integers {
            let label = match (column, &names) {
                (Column::Name(name), _) => by_name(name),
                (Column::Index(index), Some(names)) => {
                    names.get(*index).map_or(String::new(), |name| by_name(name))
                }
                (Column::Index(index), None) => format!("column {}", index + 1),
            };
            if !table.labels.contains(&label) {
                let found = match column {
                    Column::Index(index) => index.to_string(),
                    Column::Name(name) => quoted(name),
                };
                let known: Vec<&str> = table.labels.iter().filter_map(|label| data::name_of(label)).collect();
                let problem = Problem::new("target.integers", found);
                return Err(match known.is_empty() {
                    true => problem.allowed("the index of a column that is modelled").into(),
                    false => problem.choices(&known).into(),
                });
            }
            integers.push(label);
        }
        if let Some(words) =
            table.alphabets.iter().find(|words| integers.contains(&table.labels[words.column]))
        {
            return Err(Problem::new(
                "target.integers",
                format!("{}, which is one of words", table.labels[words.column]),
            )
            .allowed("columns of one kind each")
            .into());
        }
        split.with_discrete(&table.alphabets, &integers)
    }

    /// Checks that a table has the levels and the image's size that are said.
    fn fits(&self, place: &str, table: &Table) -> Result<()> {
        check_levels(place, table, self.levels)?;
        match self.image {
            Some([height, width]) if height.checked_mul(width) != Some(table.columns) => {
                Err(Problem::new("target.image", format!("{height} x {width}"))
                    .allowed(format!(
                        "a height and a width whose product is the number of columns, {}",
                        table.columns
                    ))
                    .into())
            }
            _ => Ok(()),
        }
    }
}

/// Checks the columns of few values, as far as no file is needed.
fn check_few(table: &TableRecipe) -> Result<()> {
    let named = [("target.categories", &table.categories), ("target.integers", &table.integers)];
    for (key, columns) in named.into_iter().filter(|(_, columns)| !columns.is_empty()) {
        let problem = |found: &str| Problem::new(key, found);
        if table.source.is_some() {
            return Err(problem("columns of an embedded data set").allowed("columns of a file").into());
        }
        if table.levels > 0 || table.threshold.is_some() {
            let allowed =
                "one of them: `levels` of all columns, or `categories` and `integers` beside real ones";
            return Err(problem("columns of few values beside levels").allowed(allowed).into());
        }
        if table.image.is_some() {
            return Err(problem("columns of few values in an image")
                .allowed("`levels`; or no `image`")
                .into());
        }
        let others = table.drop.iter().chain(&table.given).chain(&table.label);
        let others = others.chain(if key == "target.integers" { &table.categories[..] } else { &[] });
        if let Some(twice) = others.into_iter().find(|other| columns.contains(other)) {
            let name = match twice {
                Column::Index(index) => format!("column {index}"),
                Column::Name(name) => quoted(name),
            };
            return Err(problem(&format!("{name}, which is dropped, a condition or the other kind, too"))
                .allowed("columns that are modelled, each of one kind")
                .into());
        }
    }
    Ok(())
}

/// Checks the columns that rows are given, as far as no file is needed.
fn check_given(table: &TableRecipe) -> Result<()> {
    let problem = |found: String| Problem::new("target.given", found);
    if table.given.is_empty() {
        return Ok(());
    }
    if table.source.is_some() {
        let allowed = "columns of a file; of the embedded digits `label = \"digit\"`";
        return Err(problem("columns of an embedded data set".to_owned()).allowed(allowed).into());
    }
    if table.label.is_some() {
        let allowed = "one of them: classes as `label`, or numbers as `given`";
        return Err(problem("numbers beside a label".to_owned()).allowed(allowed).into());
    }
    if let Some(twice) = (1..table.given.len()).find(|k| table.given[..*k].contains(&table.given[*k])) {
        let found = match &table.given[twice] {
            Column::Index(index) => format!("column {index} twice"),
            Column::Name(name) => format!("{} twice", quoted(name)),
        };
        return Err(problem(found).allowed("each column once").into());
    }
    Ok(())
}

impl Rows for ToyDataRecipe {
    fn check(&self) -> Result<()> {
        if !toy::NAMES.contains(&self.name.as_str()) {
            return Err(Problem::new("target.name", quoted(&self.name)).choices(&toy::NAMES).into());
        }
        within("target.rows", self.rows as f64, 10.0, 1e7)
    }

    fn load(&self, seed: u64) -> Result<Dataset> {
        let (validation, test) = (self.rows.div_ceil(10), self.rows.div_ceil(5));
        let all = toy::sample(&self.name, self.rows + validation + test, seed);
        let (train, rest) = all.split_at(2 * self.rows);
        let (validation, test) = rest.split_at(2 * validation);
        let labels = vec!["column 1".to_owned(), "column 2".to_owned()];
        Ok(Dataset::new(labels, [train, validation, test].map(<[f32]>::to_vec)))
    }

    fn describe(&self) -> String {
        format!("a data set: exact samples of the toy density {}, log-density known", self.name)
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![papers::toy(&self.name)]
    }

    fn exact_nll(&self, rows: &[f32], _given: &[f32]) -> Option<Estimate> {
        let surprise: Vec<f64> = toy::log_density(&self.name, rows).iter().map(|value| -value).collect();
        Some(Estimate::mean(&surprise))
    }
}

/// An error in the columns of conditions, which are keys of the target.
pub(super) fn of_target(error: Error) -> Error {
    match error {
        Error::Input(problem) if problem.place() == "label" => problem.at("target.label").into(),
        Error::Input(problem) if problem.place() == "given" => problem.at("target.given").into(),
        other => other,
    }
}

/// Makes a table binary, where it is to be.
pub(super) fn binarise(place: &str, table: &mut Table, binary: Option<Binary>) -> Result<()> {
    binary.map_or(Ok(()), |binary| binary.apply(place, table))
}

/// Checks that integer data are integers below `levels`; 0 is continuous data, of which any will do.
pub(super) fn check_levels(place: &str, table: &Table, levels: u32) -> Result<()> {
    let wrong = |value: &f32| value.fract() != 0.0 || !(0.0..levels as f32).contains(value);
    let Some(index) = table.values.iter().position(wrong).filter(|_| levels > 0) else { return Ok(()) };
    let (row, label) = (index / table.columns + 1, &table.labels[index % table.columns]);
    Err(Problem::new(format!("{place}, row {row}, {label}"), table.values[index].to_string())
        .allowed(format!("an integer from 0 to {} (target.levels = {levels})", levels - 1))
        .into())
}
