//! Monophonic tunes as sequences of sixteenths, given what stands before them or not.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rows;
use super::categories::labels;
use crate::data::abc::{LeftOut, STATES, tunes};
use crate::data::{self, Column, Dataset, Numbers, Table};
use crate::error::{Problem, Result, quoted, within};
use crate::papers;

/// Monophonic tunes in ABC notation: stretches of sixteenths, each a rest (0) or a MIDI pitch (1 + pitch), 129 states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TunesRecipe {
    /// ABC files, and directories of which every file `*.abc` is read.
    #[schemars(length(min = 1))]
    pub files: Vec<String>,
    /// Sixteenths of a stretch; a tune has as many as fit into it, one behind the other from its first whole bar on.
    #[serde(default = "length")]
    #[schemars(range(min = 2, max = 1024))]
    pub length: usize,
    /// How many sixteenths at the beginning of a stretch are given: a row is what comes after them, its condition they are.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1023))]
    pub prefix: usize,
    /// The fraction of tunes for validation.
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub validation: f64,
    /// The fraction of tunes for testing.
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub test: f64,
    /// The seed of the split.
    #[serde(default)]
    pub split_seed: u64,
}

fn length() -> usize {
    64
}

fn tenth() -> f64 {
    0.1
}

/// Where tunes are to be had.
const FOUND: &str = "ABC files or directories of them, such as music21/corpus/ryansMammoth, oneills1850 and airdsAirs of PyPI's music21 10.5.1 \
     (`pip download music21==10.5.1 --no-deps`, a wheel is a zip)";

impl TunesRecipe {
    /// The files that are meant, those of a directory by name.
    fn paths(&self) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            let (path, key) = (Path::new(file), format!("target.files.{index}"));
            if path.is_file() {
                all.push(path.to_owned());
                continue;
            }
            let Ok(entries) = std::fs::read_dir(path) else {
                let found = format!("no file or directory {}", quoted(file));
                return Err(Problem::new(key, found).allowed(FOUND).into());
            };
            let mut own: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            own.retain(|path| path.extension().is_some_and(|end| end == "abc"));
            if own.is_empty() {
                let found = format!("a directory without files *.abc, {}", quoted(file));
                return Err(Problem::new(key, found).allowed(FOUND).into());
            }
            own.sort();
            all.extend(own);
        }
        Ok(all)
    }

    /// The stretches of tunes, one behind the other, as prefixes and as what comes after them.
    fn stretches<'a>(&self, tunes: impl Iterator<Item = &'a Vec<u8>>) -> [Vec<f32>; 2] {
        let [mut before, mut after] = [Vec::new(), Vec::new()];
        for stretch in tunes.flat_map(|tune| tune.chunks_exact(self.length)) {
            let (prefix, rest) = stretch.split_at(self.prefix);
            before.extend(prefix.iter().copied().map(f32::from));
            after.extend(rest.iter().copied().map(f32::from));
        }
        [before, after]
    }
}

impl Rows for TunesRecipe {
    fn check(&self) -> Result<()> {
        if self.files.is_empty() {
            return Err(Problem::new("target.files", "none").allowed(FOUND).into());
        }
        within("target.length", self.length as f64, 2.0, 1024.0)?;
        within("target.prefix", self.prefix as f64, 0.0, (self.length - 1) as f64)?;
        within("target.validation", self.validation, 0.0, 0.99)?;
        within("target.test", self.test, 0.0, 0.99)
    }

    fn load(&self, _: u64) -> Result<Dataset> {
        let (mut all, mut left_out) = (Vec::new(), LeftOut::default());
        for path in self.paths()? {
            let (found, others) = tunes(&data::read_lossy_text(&path)?);
            all.extend(found);
            left_out.add(others);
        }
        let read = all.len();
        all.retain(|tune| tune.len() >= self.length);
        if all.len() < 10 {
            let found = format!("{} tunes of at least {} sixteenths", all.len(), self.length);
            return Err(Problem::new("target.files", found).allowed(format!("at least 10: {FOUND}")).into());
        }
        // Tunes are split, and not their stretches, which resemble each other.
        let numbers = (0..all.len()).map(|tune| tune as f32).collect();
        let table =
            Table { columns: 1, values: numbers, labels: vec!["tune".to_owned()], alphabets: Vec::new() };
        let split = data::split(&table, self.validation, self.test, self.split_seed)?;
        let parts = [&split.train, &split.validation, &split.test];
        let parts = parts.map(|part| self.stretches(part.iter().map(|tune| &all[*tune as usize])));
        let names = labels(self.length);
        let (given, own) = names.split_at(self.prefix);
        let [before, after] = [0, 1].map(|which| parts.each_ref().map(|part| part[which].clone()));
        let data = Dataset::new(own.to_vec(), after);
        let data = match self.prefix {
            0 => data,
            _ => data.with_numbers(Numbers::states(given.to_vec(), before, STATES)),
        };
        let LeftOut { polyphonic, short_notes, unread } = left_out;
        let remark = format!(
            "tunes: {} in use; left out: {polyphonic} with chords or voices, {short_notes} with notes too short for sixteenths, {unread} \
             unreadable, {} shorter than a stretch",
            all.len(),
            read - all.len()
        );
        Ok(Dataset { remarks: vec![remark], ..data })
    }

    fn place(&self) -> Option<String> {
        self.files.first().cloned()
    }

    fn describe(&self) -> String {
        let given = match self.prefix {
            0 => String::new(),
            prefix => format!(", given the {prefix} before them"),
        };
        format!("{} sixteenths of monophonic tunes, rests and 128 pitches{given}", self.length - self.prefix)
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![papers::HOLLOW]
    }

    fn levels(&self) -> u32 {
        STATES
    }

    fn given(&self) -> Vec<Column> {
        (0..self.prefix).map(Column::Index).collect()
    }

    fn prefix(&self) -> usize {
        self.prefix
    }

    fn are_pitches(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve tunes of two bars, each on a note of its own, one that does not fit and one that is short.
    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("tunes-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for (index, note) in "CDEFGABcdefg".chars().enumerate() {
            let text = format!("X:1\nM:4/4\nL:1/4\nK:C\n{note}4|z4|\n");
            std::fs::write(directory.join(format!("{index:02}.abc")), text).unwrap();
        }
        let others = "X:1\nL:1/8\nK:C\n[CE]4|\n\nX:2\nL:1/8\nK:C\nCD|\n";
        std::fs::write(directory.join("others.abc"), others).unwrap();
        std::fs::write(directory.join("readme.txt"), "X:1\nK:C\nCCCC").unwrap();
        directory
    }

    #[test]
    fn rows_are_what_comes_after_their_prefix() {
        let directory = directory("rows");
        let recipe = |prefix| TunesRecipe {
            files: vec![directory.display().to_string()],
            length: 16,
            prefix,
            validation: 0.25,
            test: 0.25,
            split_seed: 1,
        };
        let whole = recipe(0).load(0).unwrap();
        assert_eq!((whole.columns, whole.train.len(), whole.test.len()), (16, 6 * 2 * 16, 3 * 2 * 16));
        assert!(whole.numbers.is_none());
        let remark = &whole.remarks[0];
        assert!(remark.starts_with("tunes: 12 in use; left out: 1 with chords"), "{remark}");
        assert!(remark.ends_with("1 shorter than a stretch"), "{remark}");
        let data = recipe(4).load(0).unwrap();
        let numbers = data.numbers.as_ref().unwrap();
        assert_eq!((data.columns, numbers.columns(), numbers.levels), (12, 4, STATES));
        assert_eq!((data.labels[0].as_str(), numbers.labels[3].as_str()), ("column 5", "column 4"));
        for (rows, given) in [(&data.train, &numbers.train), (&data.test, &numbers.test)] {
            for (row, given) in rows.chunks(12).zip(given.chunks(4)) {
                assert!(row.iter().all(|state| *state == given[0]), "{given:?} {row:?}");
            }
        }
        // Both stretches of a tune, its note and its rest, stand in one part.
        let notes = |rows: &[f32]| rows.iter().filter(|state| **state > 0.0).count() * 2 == rows.len();
        assert!([&whole.train, &whole.validation, &whole.test].into_iter().all(|part| notes(part)));
        std::fs::remove_dir_all(&directory).unwrap();
        let missing = recipe(0).load(0).unwrap_err().to_string();
        assert!(missing.starts_with("target.files.0: found no file or directory"), "{missing}");
        assert!(missing.contains("music21 10.5.1"), "{missing}");
        assert!(recipe(16).check().unwrap_err().to_string().starts_with("target.prefix"));
    }
}
