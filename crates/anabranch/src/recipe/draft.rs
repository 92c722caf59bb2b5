//! A recipe for a file of data: what is to be known of its columns as comments, and a model of a size that fits its rows.
//!
//! Columns of words become categories, and so do those of a few real values; whole numbers of a small range become integers. Words that
//! hardly ever come twice are names, which are left out.

use std::fmt::Write;
use std::path::Path;

use crate::data::{self, Column, MOST_INTEGERS, Table, name_of};
use crate::error::{Problem, Result, quoted};

/// Columns that are listed one by one, at most.
const LISTED: usize = 40;

/// Values of a column that are counted, at most.
const COUNTED: usize = 20;

/// Different values of a column of words, at most, and rows for each at least: else they are names.
const WORDS: usize = 100;
const ROWS_A_WORD: usize = 2;

/// Different values of a column of real numbers that are rather categories, at most.
const FEW: usize = 10;

/// Levels of integer data, at most: more of them are as good as real numbers.
const LEVELS: f32 = 256.0;

/// The families that can be asked for.
pub const FAMILIES: [&str; 3] = ["flow", "diffusion", "vae"];

/// A recipe for a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The recipe's name.
    pub name: String,
    /// Its TOML text.
    pub text: String,
}

/// A column that is left out, with what is wrong with it.
struct Left {
    column: Column,
    reason: String,
}

/// Drafts a recipe that models the rows of a file by one of [`FAMILIES`]. Columns of names, and those that are always the same, are left
/// out.
///
/// ```
/// let path = std::env::temp_dir().join(format!("anabranch-draft-{}.csv", std::process::id()));
/// let row = |row: usize| format!("{},{},{}\n", 0.1 * row as f64, row % 7, ["setosa", "virginica"][row % 2]);
/// let rows: String = (0..50).map(row).collect();
/// std::fs::write(&path, format!("width,petals,species\n{rows}"))?;
/// let draft = anabranch::recipe::draft(&path, "flow")?;
/// assert!(draft.text.contains("categories = [\"species\"]") && draft.text.contains("integers = [\"petals\"]"));
/// anabranch::recipe::read("draft", &draft.text, &[])?;
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be read, no column of it is of numbers, or there is no such family.
pub fn draft(path: &Path, family: &str) -> Result<Draft> {
    if !FAMILIES.contains(&family) {
        return Err(Problem::new("--model", quoted(family)).choices(&FAMILIES).into());
    }
    let Some(file) = path.to_str() else {
        return Err(Problem::new("anabranch new", "a path that is no UTF-8").allowed("another name").into());
    };
    let (table, mut left) = numbers(path)?;
    let columns: Vec<Summed> = (0..table.columns).map(|index| Summed::of(&table, index)).collect();
    let varied: Vec<&Summed> = columns.iter().filter(|column| column.low < column.high).collect();
    if varied.is_empty() {
        let found = "no column of numbers or categories with more than one value";
        return Err(Problem::new(file, found).allowed("a table with a row for each object").into());
    }
    let same = columns.iter().filter(|column| column.low >= column.high);
    left.extend(same.map(|column| {
        let word = column.words.as_ref().and_then(|words| words.first());
        let only = word.map_or_else(|| column.low.to_string(), |word| quoted(word));
        Left { column: column.column(), reason: format!("always {only}") }
    }));
    let name = format!("{}-{family}", stem(path));
    let levels = levels(&varied);
    let of = |kind: Kind| -> Vec<Column> {
        let columns = varied.iter().filter(|column| levels == 0 && column.drafted(table.rows()) == kind);
        columns.map(|column| column.column()).collect()
    };
    let few = [("categories", of(Kind::Category)), ("integers", of(Kind::Integer))];
    let shape = Shape {
        file,
        name: &name,
        rows: table.rows(),
        columns: varied.len(),
        levels,
        mixed: few.iter().any(|(_, columns)| !columns.is_empty()),
    };
    let mut text = heading(&shape, &columns, &left);
    text.push_str(&target(&shape, &left, &few));
    text.push_str(&model(&shape, family));
    text.push_str(&training(&shape));
    Ok(Draft { name, text })
}

/// The numbers of a file, and what had to be left out of them.
fn numbers(path: &Path) -> Result<(Table, Vec<Left>)> {
    let whole = match data::read(path, &[]) {
        Ok(table) => return Ok((table, Vec::new())),
        Err(error) => error,
    };
    // Each column by itself: what is neither a number nor a category is left out.
    let names = data::names(path)?.unwrap_or_default();
    let (mut left, mut words) = (Vec::new(), Vec::new());
    for (index, name) in names.iter().enumerate() {
        let others: Vec<Column> =
            (0..names.len()).filter(|other| *other != index).map(Column::Index).collect();
        if data::read(path, &others).is_ok() {
            continue;
        }
        let column = Column::Name(name.clone());
        let reason = match data::read_words(path, &others, std::slice::from_ref(&column)) {
            Ok(table) => {
                let (found, rows) =
                    (table.alphabets.first().map_or(0, |found| found.words.len()), table.rows());
                if found <= WORDS && found * ROWS_A_WORD <= rows {
                    words.push(column);
                    continue;
                }
                format!("{found} different words in {rows} rows are names")
            }
            Err(crate::error::Error::Input(problem)) => format!("has {}", problem.found()),
            Err(other) => other.to_string(),
        };
        left.push(Left { column, reason });
    }
    let drop: Vec<Column> = left.iter().map(|left| left.column.clone()).collect();
    // What else is wrong with the file is its own problem.
    if (drop.is_empty() && words.is_empty()) || drop.len() == names.len() {
        return Err(whole);
    }
    Ok((data::read_words(path, &drop, &words)?, left))
}

/// What a column is in a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Real,
    Integer,
    Category,
}

/// What is known of a column.
struct Summed {
    index: usize,
    label: String,
    low: f32,
    high: f32,
    mean: f64,
    deviation: f64,
    /// Whether all its values are whole numbers.
    whole: bool,
    /// How many values it has, if these are few.
    values: Option<usize>,
    /// The words that the numbers stand for.
    words: Option<Vec<String>>,
}

impl Summed {
    fn of(table: &Table, index: usize) -> Self {
        let values = || table.values.iter().skip(index).step_by(table.columns).copied();
        let rows = table.rows() as f64;
        let mean = values().map(f64::from).sum::<f64>() / rows;
        let variance = values().map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / rows;
        let mut seen: Vec<f32> = Vec::new();
        for value in values() {
            if !seen.contains(&value) {
                seen.push(value);
            }
            if seen.len() > COUNTED {
                break;
            }
        }
        Self {
            index,
            label: table.labels[index].clone(),
            low: values().fold(f32::INFINITY, f32::min),
            high: values().fold(f32::NEG_INFINITY, f32::max),
            mean,
            deviation: variance.sqrt(),
            whole: values().all(|value| value.fract() == 0.0),
            values: (seen.len() <= COUNTED).then_some(seen.len()),
            words: table
                .alphabets
                .iter()
                .find(|alphabet| alphabet.column == index)
                .map(|alphabet| alphabet.words.clone()),
        }
    }

    /// What it is in a recipe for so many rows.
    fn drafted(&self, rows: usize) -> Kind {
        let few = self.values.is_some_and(|values| values <= FEW && 10 * values <= rows);
        let near = self.low.abs().max(self.high.abs()) < (1 << 23) as f32
            && ((self.high - self.low) as usize) < MOST_INTEGERS;
        match (&self.words, self.whole) {
            (Some(_), _) => Kind::Category,
            (None, true) if near => Kind::Integer,
            (None, false) if few => Kind::Category,
            _ => Kind::Real,
        }
    }

    fn name(&self) -> &str {
        name_of(&self.label).unwrap_or(&self.label)
    }

    fn column(&self) -> Column {
        name_of(&self.label).map_or(Column::Index(self.index), |name| Column::Name(name.to_owned()))
    }

    fn kind(&self) -> String {
        let kind = if self.whole { "whole" } else { "real" };
        if let Some(words) = &self.words {
            return format!("words, {} values", words.len());
        }
        match self.values {
            Some(1) => "constant".to_owned(),
            Some(values) => format!("{kind}, {values} values"),
            None => kind.to_owned(),
        }
    }
}

/// How many integer levels the columns have, if they all have some: 0 for continuous data.
fn levels(columns: &[&Summed]) -> u32 {
    let high = columns.iter().map(|column| column.high).fold(0.0, f32::max);
    let integers = columns.iter().all(|column| column.whole && column.low >= 0.0 && column.words.is_none());
    if integers && high < LEVELS { high as u32 + 1 } else { 0 }
}

/// What the model has to fit.
struct Shape<'a> {
    file: &'a str,
    name: &'a str,
    rows: usize,
    columns: usize,
    levels: u32,
    /// Whether some columns have few values.
    mixed: bool,
}

impl Shape<'_> {
    /// Widths of hidden layers: few rows are soon known by heart.
    fn width(&self) -> usize {
        match self.rows {
            0..500 => 16,
            500..2000 => 32,
            2000..10_000 => 64,
            10_000..50_000 => 128,
            _ => 256,
        }
    }

    fn batch(&self) -> usize {
        (self.rows / 4).next_power_of_two().clamp(16, 256)
    }
}

/// A file's name as that of a recipe.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.split('.').find(|part| !part.is_empty()).unwrap_or("data");
    let fine = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    let name: String = name.chars().take(80).map(fine).collect();
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) { name } else { format!("data{name}") }
}

/// Text in a comment: one line, whatever the file calls its columns.
fn comment(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

fn heading(shape: &Shape<'_>, columns: &[Summed], left: &[Left]) -> String {
    let mut text =
        format!("# {}: {} rows of {} columns.\n#\n", comment(shape.file), shape.rows, shape.columns);
    let cells = |column: &Summed| {
        let about = match &column.words {
            Some(words) => {
                let word = |word: Option<&String>| comment(word.map_or("", |word| word));
                [word(words.first()), word(words.last()), "-".to_owned(), "-".to_owned()]
            }
            None => {
                [f64::from(column.low), f64::from(column.high), column.mean, column.deviation].map(digits)
            }
        };
        [comment(column.name()), column.kind()].into_iter().chain(about).collect::<Vec<_>>()
    };
    let mut rows = vec![["column", "kind", "least", "most", "mean", "deviation"].map(str::to_owned).to_vec()];
    rows.extend(columns.iter().take(LISTED).map(cells));
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        text.push_str("# ");
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a string does not fail.
            let _ = if at < 2 { write!(text, " {cell:<width$}") } else { write!(text, "  {cell:>width$}") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    if columns.len() > LISTED {
        let _ = writeln!(text, "#  and {} more", columns.len() - LISTED);
    }
    for Left { column, reason } in left {
        let _ = writeln!(text, "#  {} is left out: {}", comment(&words(column)), comment(reason));
    }
    let name = shape.name;
    text + &format!(
        "#\n# `anabranch explain {name}.toml` says what it means, `anabranch run {name}.toml` trains it and measures it on rows \
         that it has not seen.\n\nname = \"{name}\"\n\n"
    )
}

fn words(column: &Column) -> String {
    match column {
        Column::Index(index) => format!("column {}", index + 1),
        Column::Name(name) => name.clone(),
    }
}

/// A number of a column, short.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        1e-3..1e6 => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.2e}"),
    }
}

fn target(shape: &Shape<'_>, left: &[Left], few: &[(&str, Vec<Column>)]) -> String {
    let mut text = format!("[target]\nkind = \"table\"\nfile = {}\n", toml::Value::from(shape.file));
    let drop: Vec<Column> = left.iter().map(|left| left.column.clone()).collect();
    if shape.mixed {
        text.push_str("# Of these columns each value has a probability; the others are real numbers and have a density.\n");
    }
    for (key, columns) in few.iter().chain([&("drop", drop)]).filter(|(_, columns)| !columns.is_empty()) {
        let listed: Vec<toml::Value> = columns
            .iter()
            .map(|column| match column {
                Column::Index(index) => (*index as i64).into(),
                Column::Name(name) => name.as_str().into(),
            })
            .collect();
        let _ = writeln!(text, "{key} = {}", toml::Value::from(listed));
    }
    match shape.levels {
        0 => {}
        levels => {
            let _ = writeln!(
                text,
                "# Whole numbers from 0 to {}: likelihoods are of these, not of a density, and in bits, too.\nlevels = {levels}",
                levels - 1
            );
        }
    }
    text + "# A tenth of the rows is for validation and a fifth for testing; another split_seed chooses others.\n\
            validation = 0.1\ntest = 0.2\nsplit_seed = 0\n\n"
}

fn model(shape: &Shape<'_>, family: &str) -> String {
    let (width, discrete) = (shape.width(), shape.levels > 0);
    let segment = |kind: &str| format!("[[model]]\nkind = \"{kind}\"\n\n");
    let sized =
        "# Widths of hidden layers, by the number of rows: wider ones are soon to know few rows by heart.";
    let (own, behind) = match family {
        "flow" => {
            let (layers, bins) = if shape.rows < 2000 { (4, 4) } else { (8, 8) };
            let own = format!(
                "# Learned bijections from a Gaussian: exact likelihoods, samples in one pass.\n[[model]]\nkind = \"flow\"\n\
                 layers = {layers}\nbins = {bins}\n{sized}\nhidden = [{width}, {width}]\n\n"
            );
            (own, if discrete { vec!["standardise", "dequantise"] } else { vec!["whiten"] })
        }
        "diffusion" => {
            let fitted = match discrete {
                true => "prediction = \"levels\"\n",
                false => "prediction = \"velocity\"\nschedule = \"log-linear\"\n",
            };
            let own = format!(
                "# A chain of Gaussian kernels from noise: a bound on likelihoods, samples in many steps.\n[[model]]\n\
                 kind = \"diffusion\"\nweighting = \"bound\"\n{fitted}{sized}\nhidden = [{0}, {0}]\n\n",
                2 * width
            );
            (own, if discrete { Vec::new() } else { vec!["whiten"] })
        }
        _ => {
            let observation = if discrete { "discretised-logistic" } else { "gaussian" };
            let latent = (shape.columns / 2).clamp(1, 16);
            let own = format!(
                "# A code for each row: a bound on likelihoods, samples in one pass.\n[[model]]\nkind = \"vae\"\n\
                 latent = [{latent}]\nobservation = \"{observation}\"\n{sized}\nhidden = [{0}, {0}]\n\n",
                2 * width
            );
            (own, if discrete { Vec::new() } else { vec!["whiten"] })
        }
    };
    let told = "# Tells columns of few values by the cells that the numbers before it lie in.\n[[model]]\nkind = \"probit\"\n\n";
    own + &behind.into_iter().map(segment).collect::<String>() + if shape.mixed { told } else { "" }
}

fn training(shape: &Shape<'_>) -> String {
    format!(
        "[optimizer]\nkind = \"adamw\"\nlearning_rate = 3e-4\nweight_decay = 0.1\n\n\
         [training]\nsteps = 10000\nbatch = {}\n\
         # The weights that score best on the validation rows are kept; training ends when forty scores were no better.\n\
         evaluate_every = 25\npatience = 40\n",
        shape.batch()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Plan, read};

    fn drafted(name: &str, text: &str, family: &str) -> Draft {
        let directory = std::env::temp_dir().join(format!("anabranch-draft-{}-{family}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        let draft = draft(&path, family).unwrap_or_else(|error| panic!("{name}: {error}"));
        let recipe =
            read("draft", &draft.text, &[]).unwrap_or_else(|error| panic!("{error}\n{}", draft.text));
        Plan::new(recipe).unwrap_or_else(|error| panic!("{error}\n{}", draft.text));
        draft
    }

    #[test]
    fn every_family_fits_real_and_whole_numbers() {
        let real: String = (0..60).map(|i| format!("{},{}\n", (f64::from(i) * 0.7).sin(), i * i)).collect();
        let whole: String = (0..60).map(|i| format!("{},{},1\n", i % 4, i % 3)).collect();
        for family in FAMILIES {
            let text = drafted("real.csv", &format!("wave,square\n{real}"), family).text;
            assert!(!text.contains("levels =") && text.contains("whiten"), "{text}");
            assert!(text.contains("#  wave   real ") && text.contains("#  square whole "), "{text}");
            assert!(text.contains("integers = [\"square\"]") && text.contains("kind = \"probit\""), "{text}");
            let draft = drafted("4 whole.csv", &whole, family);
            assert!(
                draft.text.contains("levels = 4\n") && draft.text.contains("drop = [2]"),
                "{}",
                draft.text
            );
            assert_eq!(draft.name, format!("4-whole-{family}"));
        }
    }

    #[test]
    fn words_holes_and_control_characters_do_no_harm() {
        let rows: String = (0..40).map(|i| format!("{},{},\"a\nb\",\n", i, f64::from(i).sqrt())).collect();
        let text = drafted("odd.csv", &format!("n,\"x\u{1b}\n# \",word,hole\n{rows}"), "flow").text;
        assert!(text.contains("drop = [\"hole\", \"word\"]"), "{text}");
        assert!(text.contains("hole is left out: has an empty cell") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("word is left out: always \"a"), "{text}");
    }

    #[test]
    fn words_are_categories_unless_they_are_names() {
        let row = |i: i32| {
            format!(
                "{},{},{},n{i},{}\n",
                f64::from(i).sin(),
                ["x", "y y", "z"][i as usize % 3],
                1990 + i % 9,
                0.5 * f64::from(i % 2)
            )
        };
        let rows: String = (0..60).map(row).collect();
        for family in FAMILIES {
            let text = drafted("mixed.csv", &format!("size,kind,year,name,half\n{rows}"), family).text;
            for expected in [
                "categories = [\"kind\", \"half\"]\nintegers = [\"year\"]\ndrop = [\"name\"]\n",
                "#  name is left out: 60 different words in 60 rows are names\n",
                "# kind words, 3 values x z - -\n",
            ] {
                let single: String = text
                    .lines()
                    .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
                    .collect();
                assert!(text.contains(expected) || single.contains(expected), "{expected}: {text}");
            }
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let none = |family: &str| draft(Path::new("nowhere.csv"), family).unwrap_err().to_string();
        assert_eq!(
            none("flaw"),
            "--model: found \"flaw\"; allowed: flow, diffusion, vae; did you mean \"flow\"?"
        );
        assert!(none("flow").starts_with("nowhere.csv: found no such file"));
    }
}
