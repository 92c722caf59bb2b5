//! Rows of numbers with a class each: a column of a table holds the classes `0, 1, 2, ...`, or words that stand for them in the order of
//! the alphabet.

use std::path::Path;

use super::columns::Wanted;
use super::conditioned::apart;
use super::read::read_wanted;
use super::{Column, DIGITS, EMBEDDED, Table, parse};
use crate::error::{Problem, Result, quoted};

/// The most classes.
const MOST: usize = 1000;

/// Rows of numbers, each with its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The rows, without the column of classes.
    pub table: Table,
    /// The class of each row, below `count`.
    pub classes: Vec<usize>,
    /// One more than the largest class.
    pub count: usize,
    /// The word of each class, where the file has words.
    pub words: Vec<String>,
}

/// An embedded data set with its labels: the digit that each image shows.
///
/// # Errors
/// If there is none of that name; the key `source` is named.
pub fn embedded_labelled(name: &str) -> Result<Labelled> {
    match name {
        "digits" => labelled("digits", &Column::Index(64), &[], |drop| parse("digits", DIGITS, drop)),
        _ => Err(Problem::new("source", quoted(name)).choices(&EMBEDDED).into()),
    }
}

/// The names of the embedded data of two classes each.
pub const TWO_CLASSES: [&str; 3] = ["sonar", "ionosphere", "german-credit"];

/// Embedded data of two classes: sonar echoes of rocks (0) and mines (1), bad and good radar returns, bad and good credit.
///
/// # Errors
/// If there are none of that name; the key `source` is named.
pub fn embedded_two_classes(name: &str) -> Result<Labelled> {
    let (bytes, label): (&[u8], usize) = match name {
        "sonar" => (include_bytes!("../../../../data/sonar.csv.gz"), 60),
        "ionosphere" => (include_bytes!("../../../../data/ionosphere.csv.gz"), 34),
        "german-credit" => (include_bytes!("../../../../data/german-credit.csv.gz"), 24),
        _ => return Err(Problem::new("source", quoted(name)).choices(&TWO_CLASSES).into()),
    };
    labelled(name, &Column::Index(label), &[], |drop| parse(name, bytes, drop))
}

/// Reads a file of numbers, and of columns of `words`, as [`read_words`](super::read_words) does, one of its columns being the classes,
/// without the columns to `drop`.
///
/// # Errors
/// As [`read_words`](super::read_words); the key `label` is named if there is not one such column. If classes are numbers, but no integers
/// from 0 on.
pub fn read_labelled(path: &Path, label: &Column, drop: &[Column], words: &[Column]) -> Result<Labelled> {
    labelled(&path.display().to_string(), label, drop, |left_out| {
        // Without the column of classes there is none to look for.
        let label = (left_out.len() == drop.len()).then_some(label);
        read_wanted(path, Wanted { drop: left_out, words, label })
    })
}

fn labelled(
    place: &str,
    label: &Column,
    drop: &[Column],
    read: impl Fn(&[Column]) -> Result<Table>,
) -> Result<Labelled> {
    let (table, mut labels) = apart("label", std::slice::from_ref(label), drop, read)?;
    let words = match labels.alphabets.pop() {
        Some(alphabet) => {
            let numbers = alphabet.words.iter().map(|word| word.parse::<f32>());
            match numbers.collect::<Result<Vec<f32>, _>>() {
                Ok(numbers) => {
                    labels.values.iter_mut().for_each(|code| *code = numbers[*code as usize]);
                    Vec::new()
                }
                Err(_) => alphabet.words,
            }
        }
        None => Vec::new(),
    };
    let mut classes = Vec::with_capacity(labels.rows());
    for (row, value) in labels.values.iter().enumerate() {
        if value.fract() != 0.0 || !(0.0..MOST as f32).contains(value) {
            let place = format!("{place}, row {}, {}", row + 1, labels.labels[0]);
            return Err(Problem::new(place, value.to_string())
                .allowed(format!("a class: an integer from 0 to {}", MOST - 1))
                .into());
        }
        classes.push(*value as usize);
    }
    let count = classes.iter().max().map_or(0, |most| most + 1);
    Ok(Labelled { table, classes, count, words })
}

impl Labelled {
    /// The same, if every class has a row: what can be learned from.
    ///
    /// # Errors
    /// If a class below the largest has none.
    pub fn of_all_classes(self, place: &str) -> Result<Self> {
        let mut met = vec![false; self.count];
        self.classes.iter().for_each(|class| met[*class] = true);
        if let Some(absent) = met.iter().position(|met| !met) {
            let found = format!("no row of class {absent}, of {}", self.count);
            return Err(Problem::new(place, found).allowed("classes 0, 1, 2, ... without a gap").into());
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_their_labels() {
        let digits = embedded_labelled("digits").unwrap();
        assert_eq!((digits.table.columns, digits.table.rows(), digits.count), (64, 1797, 10));
        assert_eq!(digits.table, super::super::embedded("digits").unwrap());
        assert_eq!(digits.classes[..4], [0, 1, 2, 3]);
        assert!(embedded_labelled("digit").unwrap_err().to_string().contains("did you mean \"digits\"?"));
    }

    #[test]
    fn files_and_their_errors() {
        let path = std::env::temp_dir().join(format!("labelled-{}.csv", std::process::id()));
        let found = |text: &str, label: Column| {
            std::fs::write(&path, text).unwrap();
            read_labelled(&path, &label, &[], &[])
        };
        let message = |text: &str, label: Column| found(text, label).unwrap_err().to_string();
        let kind = || Column::Name("kind".to_owned());
        let read = found("x,kind,y\n1.5,1,2\n3,0,4\n", kind()).unwrap();
        assert_eq!((read.table.values, read.classes, read.count), (vec![1.5, 2.0, 3.0, 4.0], vec![1, 0], 2));
        let named = found("x,kind,y\n1.5,oak,2\n3,ash,4\n5,oak,6\n", kind()).unwrap();
        assert_eq!(
            (named.classes, named.count, named.words.join(" ")),
            (vec![1, 0, 1], 2, "ash oak".to_owned())
        );
        assert_eq!(named.table.values, [1.5, 2.0, 3.0, 4.0, 5.0, 6.0]);
        // Numbers are classes however they are written, and beside a word they are words.
        let numbers = found("x,kind\n1,1.0\n2,0\n3,1\n", kind()).unwrap();
        assert_eq!((numbers.classes, numbers.count, numbers.words), (vec![1, 0, 1], 2, Vec::new()));
        assert_eq!(found("x,kind\n1,2\n2,none\n3,10\n", kind()).unwrap().words.join(" "), "10 2 none");
        assert!(
            message("x,kind\n1,a\n2,\n", kind()).contains("line 3, column \"kind\": found an empty cell")
        );
        assert_eq!(found("1,5,0\n2,6,1\n", Column::Index(2)).unwrap().classes, [0, 1]);
        let missing = message("x,kinds\n1,0\n", kind());
        assert!(missing.starts_with("label: found \"kind\"; allowed: x, kinds"), "{missing}");
        assert!(message("x,kind\n1,0\n2,0.5\n", kind()).contains("row 2, column \"kind\": found 0.5"));
        let gap = found("x,kind\n1,0\n2,2\n", kind()).unwrap().of_all_classes("f.csv").unwrap_err();
        assert!(gap.to_string().contains("f.csv: found no row of class 1, of 3"), "{gap}");
        std::fs::write(&path, "x,kind\n1,0\n2,1\n").unwrap();
        let dropped = read_labelled(&path, &kind(), &[kind()], &[]).unwrap_err().to_string();
        assert!(dropped.starts_with("label: found 0 such columns"), "{dropped}");
        std::fs::remove_file(&path).unwrap();
    }
}
