//! Reading recipes: TOML text, overrides, and messages that name file, line and key.

use super::Recipe;
use crate::error::{Problem, Result};

/// One `key.path=value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    path: Vec<String>,
    value: toml::Value,
}

impl Override {
    /// Parses `key.path=value`; a value that is no TOML is a string.
    ///
    /// # Errors
    /// If there is no `=` or the key is empty.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((path, value)) = text.split_once('=') else {
            return Err(Problem::new("--set", format!("\"{text}\"")).allowed("key.path=value").into());
        };
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(Problem::new("--set", format!("\"{text}\"")).allowed("key.path=value").into());
        }
        let parsed = toml::from_str::<toml::Table>(&format!("value = {}", value.trim()));
        let value = match parsed {
            Ok(mut table) => {
                table.remove("value").unwrap_or_else(|| toml::Value::String(value.trim().to_owned()))
            }
            Err(_) => toml::Value::String(value.trim().to_owned()),
        };
        Ok(Self { path, value })
    }

    fn apply(&self, table: &mut toml::Table) -> Result<()> {
        let place = format!("--set {}", self.path.join("."));
        let (last, parents) = self.path.split_last().expect("a parsed override has a key");
        let mut root = toml::Value::Table(std::mem::take(table));
        let mut node = &mut root;
        for key in parents {
            node = child(node, key, &place)?;
        }
        match node {
            toml::Value::Table(table) => {
                table.insert(last.clone(), self.value.clone());
            }
            toml::Value::Array(_) => *child(node, last, &place)? = self.value.clone(),
            other => {
                return Err(Problem::new(place, other.type_str()).allowed("a key within a table").into());
            }
        }
        if let toml::Value::Table(filled) = root {
            *table = filled;
        }
        Ok(())
    }
}

fn child<'a>(node: &'a mut toml::Value, key: &str, place: &str) -> Result<&'a mut toml::Value> {
    match node {
        toml::Value::Table(table) => {
            Ok(table.entry(key.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new())))
        }
        toml::Value::Array(items) => {
            let count = items.len();
            let index = key.parse::<usize>().ok().filter(|index| *index < count);
            match index {
                Some(index) => Ok(&mut items[index]),
                None => {
                    let allowed = format!("an index from 0 to {}", count.saturating_sub(1));
                    Err(Problem::new(place, format!("\"{key}\"")).allowed(allowed).into())
                }
            }
        }
        other => Err(Problem::new(place, other.type_str()).allowed("a table or a list on the way").into()),
    }
}

/// Reads a recipe from TOML; `origin` (a file or a recipe's name) is named in messages.
///
/// # Errors
/// If the text is no TOML, a key or value is wrong, or a check fails.
pub fn read(origin: &str, text: &str, overrides: &[Override]) -> Result<Recipe> {
    let mut table = toml::from_str::<toml::Table>(text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Problem::new(format!("{origin}, line {line}"), error.message().to_owned()).allowed("TOML")
    })?;
    for change in overrides {
        change.apply(&mut table)?;
    }
    let recipe: Recipe = serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let path = error.path().to_string().replace('[', ".").replace(']', "");
        describe(origin, text, &path, error.inner().message())
    })?;
    recipe.check()?;
    Ok(recipe)
}

/// Turns a deserialiser's message into place, finding, and what is allowed.
fn describe(origin: &str, text: &str, path: &str, message: &str) -> Problem {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let key = match (message.starts_with("unknown field"), quoted.first()) {
        (true, Some(field)) if !path.ends_with(field) => format!("{path}.{field}"),
        _ => path.to_owned(),
    };
    let key = key.trim_start_matches("..").trim_start_matches('.').to_owned();
    let leaf = key.rsplit('.').next().unwrap_or(&key);
    let line = text.lines().position(|line| line.trim_start().starts_with(leaf)).map(|index| index + 1);
    let place = line
        .map_or_else(|| format!("{origin}, key {key}"), |line| format!("{origin}, line {line}, key {key}"));
    match quoted.split_first() {
        Some((found, choices)) if unknown && !choices.is_empty() => {
            Problem::new(place, format!("\"{found}\"")).choices(choices)
        }
        _ => match message.split_once(", expected ") {
            Some((found, expected)) => {
                Problem::new(place, found.to_owned()).allowed(expected.trim().to_owned())
            }
            None => Problem::new(place, message.trim().to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"t\"\n[target]\nkind = \"toy\"\nname = \"moons\"\n[[model]]\nkind = \"flow\"\n[training]\nsteps = 10\n";

    fn message(text: &str, sets: &[&str]) -> String {
        let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
        read("t.toml", text, &overrides).unwrap_err().to_string()
    }

    #[test]
    fn overrides_reach_tables_and_lists() {
        let sets = ["training.steps=3", "model.0.layers=2", "optimizer.kind=adamw", "seed=9"];
        let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
        let recipe = read("t.toml", TEXT, &overrides).unwrap();
        assert_eq!((recipe.training.steps, recipe.seed), (3, 9));
        assert_eq!(read("again", &recipe.to_toml(), &[]).unwrap(), recipe);
    }

    #[test]
    fn messages_name_place_finding_and_choice() {
        let unknown = message(&TEXT.replace("steps", "stepz"), &[]);
        assert!(
            unknown.starts_with("t.toml, line 8, key training.stepz: found \"stepz\"; allowed: steps, batch"),
            "{unknown}"
        );
        assert!(unknown.ends_with("did you mean \"steps\"?"), "{unknown}");
        let kind = message(TEXT, &["model.0.kind=flaw"]);
        assert!(kind.contains("found \"flaw\"") && kind.ends_with("did you mean \"flow\"?"), "{kind}");
        let wrong = message(TEXT, &["training.steps=many"]);
        assert!(
            wrong.contains("training.steps: found invalid type: string \"many\"; allowed: u64"),
            "{wrong}"
        );
        assert_eq!(
            message(TEXT, &["training.batch=0"]),
            "training.batch: found 0; allowed: an integer of at least 1"
        );
        assert!(message("name = ", &[]).starts_with("t.toml, line 1: found"));
        assert!(message(TEXT, &["target.name=moon"]).ends_with("did you mean \"moons\"?"));
        assert!(Override::parse("training.steps").unwrap_err().is_input());
        assert!(message(TEXT, &["model.7.layers=2"]).contains("an index from 0 to 0"));
    }
}
