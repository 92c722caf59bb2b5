//! A reward by a table: one row per object in a CSV file, plain or gzipped.
//!
//! The header line is `object,reward` or `object,log_reward`, in either order; an object is written as its environment
//! writes it, in quotation marks where that has a comma: `"(0, 1)",0.5`. With y the value of a row, and on request,
//!
//! ```text
//! v(x) = max(y(x), floor)^exponent,     R(x) = max(scale v(x) / max_x v(x), least)
//! ```
//!
//! the division only with a `scale`. TFBind8 is `exponent = 3, scale = 10, least = 1e-3`, QM9 is `floor = 1e-3,
//! exponent = 5, scale = 100` (Shen et al. 2023). `log Z` is the sum over all rows, where these are known to be all objects.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{Describe, Failure, LARGEST, LEAST, Space, Target, within};
use crate::data::{read_text, records};
use crate::environment::Cell;
use crate::error::{Problem, Result, quoted};
use crate::math::log_sum_exp;

/// What is made of the values in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform {
    /// Smaller values are taken for this one.
    pub floor: Option<f64>,
    /// The power that values are raised to.
    pub exponent: f64,
    /// What the largest reward becomes, where the file's scale is not kept.
    pub scale: Option<f64>,
    /// Smaller rewards are raised to this one, last.
    pub least: Option<f64>,
}

impl Default for Transform {
    /// The values as they are.
    fn default() -> Self {
        Self { floor: None, exponent: 1.0, scale: None, least: None }
    }
}

impl Transform {
    pub(super) fn check(&self) -> Result<(), Problem> {
        within("exponent", self.exponent, LEAST, LARGEST)?;
        let optional = [("floor", self.floor), ("scale", self.scale), ("least", self.least)];
        let given = optional.into_iter().filter_map(|(key, value)| value.map(|value| (key, value)));
        given.into_iter().try_for_each(|(key, value)| within(key, value, LEAST, LARGEST))
    }

    /// `log R` of every `log y`.
    fn apply(&self, values: &mut [f64]) {
        let floor = self.floor.map_or(f64::NEG_INFINITY, f64::ln);
        values.iter_mut().for_each(|value| *value = self.exponent * value.max(floor));
        if let Some(scale) = self.scale {
            let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let more = if largest.is_finite() { scale.ln() - largest } else { 0.0 };
            values.iter_mut().for_each(|value| *value += more);
        }
        let least = self.least.map_or(f64::NEG_INFINITY, f64::ln);
        values.iter_mut().for_each(|value| *value = value.max(least));
    }
}

/// A reward that a file lists.
#[derive(Debug)]
pub struct TableReward {
    log_rewards: HashMap<Box<[Cell]>, f64>,
    describe: Describe,
    place: String,
    /// Where the rows are all objects.
    complete: bool,
}

/// A row of the file.
struct Row {
    line: u64,
    object: Box<[Cell]>,
    text: String,
    /// `ln y`.
    value: f64,
}

impl TableReward {
    /// Reads the table of the objects of a space.
    ///
    /// # Errors
    /// If the file cannot be read, lacks a column or has another one; if an object is unknown or stands twice, or a reward is
    /// no positive finite number, with the line; if the objects can be enumerated and one has no row.
    pub fn read(path: &Path, transform: Transform, space: &Space) -> Result<Self> {
        transform.check()?;
        let place = path.display().to_string();
        let rows = read_rows(&place, &read_text(path)?, transform.floor.is_some(), space)?;
        let mut values: Vec<f64> = rows.iter().map(|row| row.value).collect();
        transform.apply(&mut values);
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let Row { line, text, .. } = &rows[at];
            let found = format!("a reward of 0 for {}", quoted(text));
            return Err(Problem::new(format!("{place}, line {line}"), found)
                .allowed("a positive reward, or any with a `floor` or a `least`")
                .into());
        }
        let log_rewards = rows.into_iter().map(|row| row.object).zip(values).collect();
        let table =
            Self { log_rewards, describe: space.describe.clone(), place, complete: space.objects.is_some() };
        space.objects.map_or(Ok(()), |objects| table.check_complete(objects, space))?;
        Ok(table)
    }

    fn check_complete(&self, objects: &[Cell], space: &Space) -> Result<()> {
        let cells = space.shape.cells();
        let total = objects.len() / cells;
        let missing: Vec<&[Cell]> =
            objects.chunks_exact(cells).filter(|object| !self.log_rewards.contains_key(*object)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = missing.iter().take(5).map(|object| self.describe.name(object)).collect();
        let more = if missing.len() > names.len() { ", ..." } else { "" };
        let found = format!("no row for {} of {total} objects: {}{more}", missing.len(), names.join(", "));
        Err(Problem::new(&*self.place, found).allowed("a row for every object").into())
    }
}

/// Reads the rows; negative values are for a floor to raise, and refused without.
fn read_rows(place: &str, text: &str, raised: bool, space: &Space) -> Result<Vec<Row>> {
    let cells = space.shape.cells();
    let objects: Option<HashSet<&[Cell]>> = space.objects.map(|all| all.chunks_exact(cells).collect());
    let mut columns: Option<Columns> = None;
    let mut rows: Vec<Row> = Vec::new();
    let mut lines: HashMap<Box<[Cell]>, u64> = HashMap::new();
    records(place, text, |line, record| {
        let Some(columns) = &columns else {
            columns = Some(Columns::of(place, line, &record.iter().collect::<Vec<_>>())?);
            return Ok(());
        };
        let wrong = |found: String, allowed: &str| {
            Err(Problem::new(format!("{place}, line {line}"), found).allowed(allowed).into())
        };
        let name = &record[columns.object];
        let mut object: Box<[Cell]> = vec![0; cells].into();
        if let Err(message) = (space.parse)(name, &mut object) {
            let (found, allowed) = message.split_once("; allowed: ").unwrap_or((&message, "an object"));
            return wrong(format!("{} as an object: {found}", quoted(name)), allowed);
        }
        if objects.as_ref().is_some_and(|objects| !objects.contains(&*object)) {
            return wrong(format!("{}, which is no object", quoted(name)), "an object of the environment");
        }
        if let Some(before) = lines.insert(object.clone(), line) {
            return wrong(format!("{} again, after line {before}", quoted(name)), "one row per object");
        }
        let cell = &record[columns.value];
        let value = match cell.parse::<f64>() {
            Ok(value) if value.is_finite() => value,
            _ => {
                return wrong(
                    format!("{} as the reward of {}", quoted(cell), quoted(name)),
                    "a finite number",
                );
            }
        };
        if !columns.is_log && value < 0.0 && !raised {
            return wrong(
                format!("a reward of {value} for {}", quoted(name)),
                "a positive one, or a `floor`",
            );
        }
        let value = if columns.is_log { value } else { value.max(0.0).ln() };
        rows.push(Row { line, object, text: name.to_owned(), value });
        Ok(())
    })?;
    if rows.is_empty() {
        return Err(Problem::new(place, "no rows").allowed("a row for every object").into());
    }
    Ok(rows)
}

/// Where the file has what.
struct Columns {
    object: usize,
    value: usize,
    is_log: bool,
}

impl Columns {
    fn of(place: &str, line: u64, names: &[&str]) -> Result<Self> {
        let find = |name: &str| names.iter().position(|known| *known == name);
        let (reward, log_reward) = (find("reward"), find("log_reward"));
        match (find("object"), reward.or(log_reward), names.len()) {
            (Some(object), Some(value), 2) => Ok(Self { object, value, is_log: log_reward.is_some() }),
            _ => Err(Problem::new(format!("{place}, line {line}"), quoted(&names.join(",")))
                .allowed("the header object,reward or object,log_reward")
                .into()),
        }
    }
}

impl Target<Cell> for TableReward {
    fn log_rewards(&self, objects: &[Cell], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let cells = objects.len() / out.len().max(1);
        for (out, object) in out.iter_mut().zip(objects.chunks_exact(cells.max(1))) {
            *out = *self.log_rewards.get(object).ok_or_else(|| {
                let found = format!("no row for {}", quoted(&self.describe.name(object)));
                Problem::new(&*self.place, found).allowed("a row for every object")
            })?;
        }
        Ok(())
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        self.complete.then(|| {
            let mut values: Vec<f64> = self.log_rewards.values().map(|value| beta * value).collect();
            // The same sum whatever the order of the map.
            values.sort_unstable_by(f64::total_cmp);
            log_sum_exp(&values)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::target::Shape;

    /// Words of two letters a, b, c, whose text is the word.
    fn space(objects: Option<&[Cell]>) -> Space<'_> {
        Space {
            shape: Shape::Strings { letters: 3, lengths: 2..=2 },
            describe: Describe::new(|word| {
                word.iter().map(|cell| char::from(b'a' + *cell as u8 - 1)).collect()
            }),
            parse: &|text, word| {
                let letters = text.bytes().all(|c| (b'a'..=b'c').contains(&c));
                if !letters || text.len() != 2 {
                    return Err("another word; allowed: two of a, b, c".to_owned());
                }
                word.iter_mut().zip(text.bytes()).for_each(|(cell, c)| *cell = Cell::from(c - b'a') + 1);
                Ok(())
            },
            objects,
        }
    }

    const ALL: [Cell; 18] = [1, 1, 1, 2, 1, 3, 2, 1, 2, 2, 2, 3, 3, 1, 3, 2, 3, 3];

    fn read(name: &str, bytes: &[u8], transform: Transform, objects: Option<&[Cell]>) -> Result<TableReward> {
        let path = std::env::temp_dir().join(format!("anabranch-table-{}-{name}.csv", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let table = TableReward::read(&path, transform, &space(objects));
        std::fs::remove_file(&path).unwrap();
        table
    }

    fn rewards(table: &TableReward, objects: &[Cell]) -> Vec<f64> {
        let mut out = vec![0.0; objects.len() / 2];
        table.log_rewards(objects, &[], &mut out).unwrap();
        out.iter().map(|value| value.exp()).collect()
    }

    const NINE: &str = "object,reward\naa,1\nab,2\nac,3\nba,4\nbb,5\nbc,6\nca,7\ncb,8\ncc,9\n";

    #[test]
    fn rows_are_rewards() {
        let table = read("plain", NINE.as_bytes(), Transform::default(), Some(&ALL)).unwrap();
        let found = rewards(&table, &[3, 1, 1, 2]);
        assert!((found[0] - 7.0).abs() < 1e-14 && (found[1] - 2.0).abs() < 1e-15);
        assert!((table.log_z(&[]).unwrap() - 45f64.ln()).abs() < 1e-14);
        assert!((table.log_z_tempered(2.0, &[]).unwrap() - 285f64.ln()).abs() < 1e-14);
        // The logarithms, the columns turned round, gzipped.
        let text = "log_reward,object\n-0.5,ab\n1e-3,\"ba\"\n";
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        let table = read("packed", &packer.finish().unwrap(), Transform::default(), None).unwrap();
        let mut out = [0.0; 2];
        table.log_rewards(&[2, 1, 1, 2], &[], &mut out).unwrap();
        assert_eq!((out, table.log_z(&[])), ([1e-3, -0.5], None));
        let Err(Failure::Stop(error)) = table.log_rewards(&[1, 1, 1, 2], &[], &mut out) else { panic!() };
        assert!(error.to_string().contains(": found no row for \"aa\"; allowed: a row for every object"));
    }

    #[test]
    fn published_transforms() {
        let text = "object,reward\naa,0\nab,0.0005\nba,0.2\nbb,0.8\n";
        let (y, objects) = ([0.0f64, 0.0005, 0.2, 0.8], [1, 1, 1, 2, 2, 1, 2, 2]);
        let tf_bind = Transform { exponent: 3.0, scale: Some(10.0), least: Some(1e-3), floor: None };
        let found = rewards(&read("tfbind", text.as_bytes(), tf_bind, None).unwrap(), &objects);
        for (found, y) in found.iter().zip(y) {
            let exact = (10.0 * y.powi(3) / 0.8f64.powi(3)).max(1e-3);
            assert!((found - exact).abs() < 1e-13 * exact, "{found}, {exact}");
        }
        let qm9 = Transform { floor: Some(1e-3), exponent: 5.0, scale: Some(100.0), least: None };
        let (text, y) = (text.replace("aa,0", "aa,-0.3"), [-0.3f64, 0.0005, 0.2, 0.8]);
        let found = rewards(&read("qm9", text.as_bytes(), qm9, None).unwrap(), &objects);
        for (found, y) in found.iter().zip(y) {
            let exact = 100.0 * y.max(1e-3).powi(5) / 0.8f64.powi(5);
            assert!((found - exact).abs() < 1e-13 * exact, "{found}, {exact}");
        }
    }

    #[test]
    fn wrong_files_name_the_line() {
        let message = |name: &str, text: &str, objects| {
            let error = read(name, text.as_bytes(), Transform::default(), objects).unwrap_err();
            assert!(error.is_input());
            let text = error.to_string();
            text[text.find(".csv").unwrap() + 4..].to_owned()
        };
        assert_eq!(
            message("few", "object,reward\nab,1\ncc,2\n", Some(&ALL)),
            ": found no row for 7 of 9 objects: aa, ac, ba, bb, bc, ...; allowed: a row for every object"
        );
        assert_eq!(
            message("one", &NINE.replace("bc,6\n", ""), Some(&ALL)),
            ": found no row for 1 of 9 objects: bc; allowed: a row for every object"
        );
        assert_eq!(
            message("twice", "object,reward\nab,1\n\nba,2\nab,1\n", None),
            ", line 5: found \"ab\" again, after line 2; allowed: one row per object"
        );
        assert_eq!(
            message("unknown", "object,reward\nab,1\nxy,1\n", None),
            ", line 3: found \"xy\" as an object: another word; allowed: two of a, b, c"
        );
        assert_eq!(
            message("outside", "object,reward\ncc,1\n", Some(&ALL[..16])),
            ", line 2: found \"cc\", which is no object; allowed: an object of the environment"
        );
        assert_eq!(
            message("negative", "object,reward\nab,-1\n", None),
            ", line 2: found a reward of -1 for \"ab\"; allowed: a positive one, or a `floor`"
        );
        for bad in ["NaN", "inf", "much", ""] {
            let text = message("number", &format!("object,reward\nab,{bad}\n"), None);
            assert_eq!(
                text,
                format!(", line 2: found \"{bad}\" as the reward of \"ab\"; allowed: a finite number")
            );
        }
        assert_eq!(
            message("zero", "object,reward\nab,1\nba,0\n", None),
            ", line 3: found a reward of 0 for \"ba\"; allowed: a positive reward, or any with a `floor` or a `least`"
        );
        for header in ["object,rewards", "object", "object,reward,log_reward", "ab,1", "reward,log_reward"] {
            let text = message("header", &format!("{header}\n"), None);
            assert!(text.contains("; allowed: the header object,reward or object,log_reward"), "{text}");
        }
        assert!(message("empty", "", None).starts_with(": found no rows"));
        assert!(message("headed", "object,reward\n", None).starts_with(": found no rows"));
        assert!(message("ragged", "object,reward\nab,1,2\n", None).starts_with(", line 2: found 3 cells"));
        let wrong = Transform { exponent: -1.0, ..Transform::default() };
        assert!(
            read("power", NINE.as_bytes(), wrong, None)
                .unwrap_err()
                .to_string()
                .starts_with("exponent: found -1")
        );
    }
}
