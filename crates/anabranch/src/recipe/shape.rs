//! Whether a table has the shape of a recipe: the published JSON Schema and the table, walked side by side.
//!
//! What the schema says of a key - its type, its range, its choices, whether it must be there, what reads it - is what a message says
//! too, so the two cannot disagree. Whatever several keys decide together is [`super::Recipe::check`]'s. [`super::schema`] makes of
//! this schema the one that is published.

use serde_json::Value as Schema;
use toml::{Table, Value};

use super::Recipe;
use crate::error::{Problem, listed, quoted};

/// Checks names, types and choices, and whether the target reads the keys that are there; then sets those that nobody set and that
/// are something else for this target than for others. The place of a problem is the key's path, such as `model.0.layers`.
///
/// # Errors
/// The first problem found.
pub(super) fn resolve(table: &mut Table) -> Result<(), Problem> {
    let root = root();
    let walk = Walk::of(&root, table);
    walk.table(&root, table, "")?;
    walk.fill(&root, table);
    Ok(())
}

/// Leaves the keys that the recipe's target reads.
pub(super) fn keep_read(table: &mut Table) {
    let root = root();
    Walk::of(&root, table).keep_read(&root, table);
}

/// Whether a recipe has a key of this name at its top.
pub(super) fn has(name: &str) -> bool {
    root()["properties"].get(name).is_some()
}

/// The schema as the types say it.
pub(super) fn root() -> Schema {
    schemars::schema_for!(Recipe).to_value()
}

/// Whose defaults are those of a table of real numbers from a file, which mostly has few rows, before those of data.
pub(super) const MEASUREMENTS: &str = "measurements";

struct Walk<'a> {
    root: &'a Schema,
    /// What the recipe is of, where its target says it.
    task: Option<&'a str>,
    /// Whether that is a table of real numbers.
    measured: bool,
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// The alternatives of a schema that has some, without the absence of a value.
pub(super) fn alternatives(schema: &Schema) -> Option<Vec<&Schema>> {
    let list = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())?;
    Some(list.iter().filter(|variant| variant["type"] != "null").collect())
}

/// The words among which a schema lets choose; empty if it is not such a choice.
fn words(schema: &Schema) -> Vec<&str> {
    let own = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    let below = alternatives(schema).into_iter().flatten().flat_map(words);
    own.filter_map(Schema::as_str).chain(below).collect()
}

/// The key that tells the variants of a tagged union apart, with each variant's word.
pub(super) fn tags<'s>(variants: &[&'s Schema]) -> Option<(&'s str, Vec<&'s str>)> {
    let tag = |variant: &'s Schema| {
        let properties = variant["properties"].as_object()?;
        properties.iter().find_map(|(name, schema)| Some((name.as_str(), schema["const"].as_str()?)))
    };
    let tags: Vec<(&str, &str)> = variants.iter().map(|variant| tag(variant)).collect::<Option<_>>()?;
    let (name, _) = tags.first()?;
    Some((name, tags.iter().map(|(_, word)| *word).collect()))
}

/// What reads a key, where not everything does.
pub(super) fn readers(property: &Schema) -> Option<Vec<&str>> {
    Some(property["x-of"].as_array()?.iter().filter_map(Schema::as_str).collect())
}

/// Whether what somebody has set beside a key excludes what it is where nobody sets it.
fn excluded(property: &Schema, table: &Table) -> bool {
    let other = |(key, value): (&String, &Schema)| table.get(key).and_then(Value::as_str) == value.as_str();
    property["x-unless"].as_object().is_some_and(|beside| beside.iter().any(other))
}

/// What stands in the table, for a message.
fn found(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Datetime(_) => format!("the date {value}"),
        Value::Float(number) => format!("{number:?}"),
        Value::Integer(_) | Value::Boolean(_) => value.to_string(),
    }
}

impl<'a> Walk<'a> {
    /// Of a recipe, whose target says what it is of.
    fn of(root: &'a Schema, recipe: &Table) -> Self {
        let walk = Self { root, task: None, measured: false };
        let target = |key: &str| recipe.get("target").and_then(|target| target.get(key));
        let kind = target("kind").and_then(Value::as_str);
        let integers = target("levels").is_some_and(|levels| *levels != Value::Integer(0));
        let measured = kind == Some("table") && !integers && target("threshold").is_none();
        let targets = alternatives(walk.resolve(&root["properties"]["target"])).unwrap_or_default();
        let task = tags(&targets)
            .and_then(|(_, words)| words.iter().position(|word| Some(*word) == kind))
            .and_then(|index| readers(targets[index])?.into_iter().next());
        Self { task, measured, ..walk }
    }

    /// What a key is where nobody sets it, if that is something else for this target than for others.
    fn default(&self, property: &Schema) -> Option<Value> {
        let defaults = property.get("x-default")?;
        let own = defaults.get(MEASUREMENTS).filter(|_| self.measured);
        Value::try_from(own.or_else(|| defaults.get(self.task?))?).ok()
    }

    fn reads(&self, property: &Schema) -> bool {
        let Some(task) = self.task else { return true };
        readers(property).is_none_or(|readers| readers.contains(&task))
    }

    /// The keys below a property that is one table, without a choice.
    fn below(&self, property: &'a Schema) -> Option<&'a Schema> {
        let schema = self.resolve(property);
        (kind(schema) == "object" && alternatives(schema).is_none()).then_some(schema)
    }

    fn fill(&self, schema: &'a Schema, table: &mut Table) {
        if self.task.is_none() {
            return;
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if !self.reads(property) {
                continue;
            }
            if let Some(default) = self.default(property).filter(|_| !excluded(property, table)) {
                table.entry(name.as_str()).or_insert(default);
            }
            if let Some(below) = self.below(property) {
                let mut own = Table::new();
                match table.get_mut(name) {
                    Some(Value::Table(own)) => self.fill(below, own),
                    _ => self.fill(below, &mut own),
                }
                if !own.is_empty() {
                    table.insert(name.clone(), Value::Table(own));
                }
            }
            if let Some(Value::Array(items)) = table.get_mut(name) {
                let variants = alternatives(self.resolve(&property["items"])).unwrap_or_default();
                let variants = variants.into_iter().map(|variant| self.resolve(variant)).collect();
                items
                    .iter_mut()
                    .filter_map(Value::as_table_mut)
                    .for_each(|item| self.fill_variant(&variants, item));
            }
        }
    }

    /// The same of one of several kinds of table.
    fn fill_variant(&self, variants: &Vec<&'a Schema>, table: &mut Table) {
        let Some((tag, words)) = tags(variants) else { return };
        let kind = table.get(tag).and_then(Value::as_str);
        if let Some(index) = words.iter().position(|word| Some(*word) == kind) {
            self.fill(variants[index], table);
        }
    }

    fn keep_read(&self, schema: &'a Schema, table: &mut Table) {
        let property = |name: &str| schema["properties"].get(name);
        table.retain(|name, _| property(name).is_none_or(|property| self.reads(property)));
        for (name, value) in table.iter_mut() {
            if let (Value::Table(own), Some(below)) = (value, property(name).and_then(|p| self.below(p))) {
                self.keep_read(below, own);
            }
        }
        // A table of which nothing is read is not read either.
        table.retain(|name, value| {
            let below = property(name).and_then(|property| self.below(property));
            below.is_none() || value.as_table().is_none_or(|own| !own.is_empty())
        });
    }

    fn resolve(&self, mut schema: &'a Schema) -> &'a Schema {
        while let Some(path) = schema["$ref"].as_str() {
            schema = self.root.pointer(path.trim_start_matches('#')).unwrap_or(&Schema::Null);
        }
        schema
    }

    /// What a schema allows, in words.
    fn allowed(&self, schema: &'a Schema) -> String {
        let schema = self.resolve(schema);
        let words = words(schema);
        if !words.is_empty() {
            return words.join(", ");
        }
        if let Some(variants) = alternatives(schema) {
            return match tags(&variants) {
                Some((tag, words)) => format!("a table whose {tag} is one of {}", words.join(", ")),
                None => variants.iter().map(|v| self.allowed(v)).collect::<Vec<_>>().join(", or "),
            };
        }
        match kind(schema) {
            "integer" => Range::of(schema).allowed("an integer"),
            "number" => Range::of(schema).allowed("a finite number"),
            "string" => "a text in quotes".to_owned(),
            "boolean" => "true or false".to_owned(),
            "array" => {
                let each = self.allowed(&schema["items"]);
                match (schema["minItems"].as_u64(), schema["maxItems"].as_u64()) {
                    (Some(least), Some(most)) if least < most => {
                        format!("a list of {least} to {most} entries, each {each}")
                    }
                    (Some(count), _) => format!("a list of {count} entries, each {each}"),
                    (None, _) => format!("a list, each entry {each}"),
                }
            }
            _ => "a table".to_owned(),
        }
    }

    fn value(&self, schema: &'a Schema, value: &Value, key: &str) -> Result<(), Problem> {
        let schema = self.resolve(schema);
        let wrong = || Problem::new(key, found(value));
        let words = words(schema);
        if !words.is_empty() {
            return match value {
                Value::String(word) if words.contains(&word.as_str()) => Ok(()),
                _ => Err(wrong().choices(&words)),
            };
        }
        if let Some(variants) = alternatives(schema) {
            return self.variant(schema, &variants, value, key);
        }
        let fits = match (kind(schema), value) {
            ("object", Value::Table(table)) => return self.table(schema, table, key),
            ("array", Value::Array(items)) => return self.list(schema, items, key),
            ("integer" | "number", Value::Integer(number)) => Range::of(schema).holds(*number as f64),
            ("string", Value::String(_)) | ("boolean", Value::Boolean(_)) => true,
            // What is no number of its kind says so, before its range does.
            ("number", Value::Float(number)) if !finite(schema, *number) => {
                return Err(wrong().allowed("a finite number"));
            }
            ("number", Value::Float(number)) => Range::of(schema).holds(*number),
            // Nothing that recipes are made of: left to the deserialiser.
            ("", _) => true,
            _ => false,
        };
        if fits { Ok(()) } else { Err(wrong().allowed(self.allowed(schema))) }
    }

    fn variant(
        &self,
        schema: &'a Schema,
        variants: &[&'a Schema],
        value: &Value,
        key: &str,
    ) -> Result<(), Problem> {
        let Some((tag, words)) = tags(variants) else {
            let results: Vec<_> = variants.iter().map(|variant| self.value(variant, value, key)).collect();
            return match &results[..] {
                [only] => only.clone(),
                _ if results.iter().any(Result::is_ok) => Ok(()),
                _ => Err(Problem::new(key, found(value)).allowed(self.allowed(schema))),
            };
        };
        let Value::Table(table) = value else {
            return Err(Problem::new(key, found(value)).allowed(self.allowed(schema)));
        };
        let chosen = match table.get(tag) {
            Some(Value::String(word)) => words.iter().position(|known| known == word),
            _ => None,
        };
        match chosen {
            Some(index) => self.table(variants[index], table, key),
            None => {
                let found = table.get(tag).map_or("nothing".to_owned(), found);
                Err(Problem::new(join(key, tag), found).choices(&words))
            }
        }
    }

    fn table(&self, schema: &'a Schema, table: &Table, key: &str) -> Result<(), Problem> {
        let properties = schema["properties"].as_object();
        let read = properties.into_iter().flatten().filter(|(_, property)| self.reads(property));
        let known: Vec<&str> = read.map(|(name, _)| name.as_str()).collect();
        for (name, value) in table {
            let place = join(key, name);
            match schema["properties"].get(name) {
                Some(property) if self.reads(property) => self.value(property, value, &place)?,
                Some(property) => return Err(self.unread(name, property, &known).at(place)),
                None if schema["additionalProperties"] == false => {
                    return Err(Problem::new(place, quoted(name)).choices(&known));
                }
                None => {}
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str) {
            if !table.contains_key(name) {
                let allowed = self.allowed(&schema["properties"][name]);
                return Err(Problem::new(join(key, name), "nothing").allowed(allowed));
            }
        }
        Ok(())
    }

    /// The problem with a key that this recipe's target does not read.
    fn unread(&self, name: &str, property: &Schema, known: &[&str]) -> Problem {
        let readers = listed(&readers(property).unwrap_or_default(), "and");
        let found =
            format!("{}, which is of {readers} and not of {}", quoted(name), self.task.unwrap_or_default());
        Problem::new(name, found).allowed(known.join(", "))
    }

    fn list(&self, schema: &'a Schema, items: &[Value], key: &str) -> Result<(), Problem> {
        let count = items.len() as u64;
        let bound = |name: &str, otherwise| schema[name].as_u64().unwrap_or(otherwise);
        if !(bound("minItems", 0)..=bound("maxItems", u64::MAX)).contains(&count) {
            return Err(Problem::new(key, format!("{count} entries")).allowed(self.allowed(schema)));
        }
        items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| self.value(&schema["items"], item, &join(key, &index.to_string())))
    }
}

fn finite(schema: &Schema, number: f64) -> bool {
    if schema["format"] == "float" { (number as f32).is_finite() } else { number.is_finite() }
}

/// A bound without a row of zeros.
fn short(bound: f64) -> String {
    let plain = bound == 0.0 || (1e-4..1e13).contains(&bound.abs());
    if plain { bound.to_string() } else { format!("{bound:e}") }
}

/// What a schema says of a number's size.
struct Range {
    least: Option<f64>,
    above: Option<f64>,
    most: Option<f64>,
}

impl Range {
    fn of(schema: &Schema) -> Self {
        let most = schema["maximum"].as_f64();
        let most = most.or((schema["format"] == "uint32").then_some(f64::from(u32::MAX)));
        Self { least: schema["minimum"].as_f64(), above: schema["exclusiveMinimum"].as_f64(), most }
    }

    fn holds(&self, number: f64) -> bool {
        self.least.is_none_or(|least| number >= least)
            && self.above.is_none_or(|above| number > above)
            && self.most.is_none_or(|most| number <= most)
    }

    /// What is allowed of `what`.
    fn allowed(&self, what: &str) -> String {
        let what = if self.least.or(self.above).or(self.most).is_some() {
            what.replace("finite ", "")
        } else {
            what.to_owned()
        };
        let most = |word: &str| self.most.map(|most| format!(" {word} {}", short(most))).unwrap_or_default();
        match (self.above, self.least, self.most) {
            (Some(0.0), ..) => format!("{}{}", what.replacen("a ", "a positive ", 1), most("up to")),
            (Some(above), ..) => format!("{what} above {}{}", short(above), most("up to")),
            (_, Some(least), Some(most)) => format!("{what} from {} to {}", short(least), short(most)),
            (_, Some(least), None) => format!("{what} of at least {}", short(least)),
            (_, None, Some(most)) => format!("{what} of at most {}", short(most)),
            (_, None, None) => what,
        }
    }
}

/// A schema's type; of an optional value, that of the value. Empty if it names none.
fn kind(schema: &Schema) -> &str {
    match &schema["type"] {
        Schema::String(kind) => kind,
        Schema::Array(kinds) => {
            kinds.iter().filter_map(Schema::as_str).find(|kind| *kind != "null").unwrap_or("")
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readers of keys, and those for whom a key is something else, are named by words that targets bear: a slip would leave a key unread.
    #[test]
    fn readers_are_those_that_targets_bear() {
        fn words_below<'s>(schema: &'s Schema, found: &mut Vec<&'s str>) {
            found.extend(readers(schema).unwrap_or_default());
            found
                .extend(schema["x-default"].as_object().into_iter().flatten().map(|(word, _)| word.as_str()));
            match schema {
                Schema::Object(entries) => entries.values().for_each(|entry| words_below(entry, found)),
                Schema::Array(entries) => entries.iter().for_each(|entry| words_below(entry, found)),
                _ => {}
            }
        }
        let root = root();
        let walk = Walk { root: &root, task: None, measured: false };
        let targets = alternatives(walk.resolve(&root["properties"]["target"])).expect("a choice");
        let mut tasks: Vec<&str> =
            targets.iter().flat_map(|target| readers(target).expect("a word")).collect();
        tasks.sort_unstable();
        tasks.dedup();
        assert_eq!(tasks, ["data", "energies", "objects"]);
        let mut found = Vec::new();
        words_below(&root, &mut found);
        tasks.push(MEASUREMENTS);
        assert!(found.len() > targets.len() && found.iter().all(|word| tasks.contains(word)), "{found:?}");
    }
}
