//! Whether a table has the shape of a recipe: the published JSON Schema and the table, walked side by side.
//!
//! What the schema says of a key - its type, its choices, whether it must be there - is what a message says too, so
//! the two cannot disagree. The choices of `target.kind` tell the kinds of recipes apart. Ranges and whatever several keys
//! decide together are [`super::Recipe::check`]'s.

use serde_json::{Map, Value as Schema, json};
use toml::{Table, Value};

use super::Recipe;
use crate::error::{Problem, quoted};

/// The kinds of recipes, in the order of [`Recipe`]'s variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chain,
    GFlowNet,
}

/// Checks names, types and choices; the place of a problem is the key's path, such as `model.0.layers`. Answers of which
/// kind the recipe is.
///
/// # Errors
/// The first problem found.
pub(super) fn check(table: &Table) -> Result<Kind, Problem> {
    let root = schemars::schema_for!(Recipe).to_value();
    let walk = Walk { root: &root };
    let target = table.get("target").and_then(|target| target.get("kind")).and_then(Value::as_str);
    for (kind, schema) in [Kind::Chain, Kind::GFlowNet].into_iter().zip(walk.recipes()) {
        if target.is_some_and(|target| words_of_tag(&walk.targets(schema)).contains(&target)) {
            walk.table(schema, table, "")?;
            return Ok(kind);
        }
    }
    // Neither: what both have in common, with the targets of both, says what is missing.
    let either = walk.either();
    Walk { root: &either }.table(&either, table, "")?;
    Err(Problem::new("target.kind", "nothing"))
}

/// Whether a recipe has a key of this name at its top.
pub(super) fn has(name: &str) -> bool {
    let root = schemars::schema_for!(Recipe).to_value();
    Walk { root: &root }.recipes().iter().any(|schema| schema["properties"].get(name).is_some())
}

struct Walk<'a> {
    root: &'a Schema,
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// The alternatives of a schema that has some, without the absence of a value.
fn alternatives(schema: &Schema) -> Option<Vec<&Schema>> {
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
fn tags<'s>(variants: &[&'s Schema]) -> Option<(&'s str, Vec<&'s str>)> {
    let tag = |variant: &'s Schema| {
        let properties = variant["properties"].as_object()?;
        properties.iter().find_map(|(name, schema)| Some((name.as_str(), schema["const"].as_str()?)))
    };
    let tags: Vec<(&str, &str)> = variants.iter().map(|variant| tag(variant)).collect::<Option<_>>()?;
    let (name, _) = tags.first()?;
    Some((name, tags.iter().map(|(_, word)| *word).collect()))
}

fn words_of_tag<'s>(variants: &[&'s Schema]) -> Vec<&'s str> {
    tags(variants).map_or(Vec::new(), |(_, words)| words)
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
    fn resolve(&self, mut schema: &'a Schema) -> &'a Schema {
        while let Some(path) = schema["$ref"].as_str() {
            schema = self.root.pointer(path.trim_start_matches('#')).unwrap_or(&Schema::Null);
        }
        schema
    }

    /// The schemas of all kinds of recipes.
    fn recipes(&self) -> Vec<&'a Schema> {
        let kinds = alternatives(self.root).unwrap_or_default();
        kinds.into_iter().map(|schema| self.resolve(schema)).collect()
    }

    /// The targets that a kind of recipe can have.
    fn targets(&self, recipe: &'a Schema) -> Vec<&'a Schema> {
        alternatives(self.resolve(&recipe["properties"]["target"])).unwrap_or_default()
    }

    /// A schema for recipes of no known kind: any key of any kind, and a target of any kind.
    fn either(&self) -> Schema {
        let mut properties = Map::new();
        for recipe in self.recipes() {
            for (name, schema) in recipe["properties"].as_object().into_iter().flatten() {
                let alike = ["name", "title", "seed"].contains(&name.as_str());
                properties.entry(name).or_insert(if alike { schema.clone() } else { json!({}) });
            }
        }
        let targets: Vec<&Schema> =
            self.recipes().into_iter().flat_map(|recipe| self.targets(recipe)).collect();
        properties.insert("target".to_owned(), json!({ "oneOf": targets }));
        json!({
            "type": "object", "properties": properties, "required": ["name", "target"],
            "additionalProperties": false, "$defs": self.root["$defs"],
        })
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
            "integer" if schema["format"] == "uint32" => format!("an integer from 0 to {}", u32::MAX),
            "integer" if schema["minimum"].as_u64().is_some() => {
                format!("an integer of at least {}", schema["minimum"])
            }
            "integer" => "an integer".to_owned(),
            "number" => "a finite number".to_owned(),
            "string" => "a text in quotes".to_owned(),
            "boolean" => "true or false".to_owned(),
            "array" => {
                let each = self.allowed(&schema["items"]);
                match schema["minItems"].as_u64() {
                    Some(count) => format!("a list of {count} entries, each {each}"),
                    None => format!("a list, each entry {each}"),
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
            ("integer", Value::Integer(number)) => {
                let largest = if schema["format"] == "uint32" { i64::from(u32::MAX) } else { i64::MAX };
                (schema["minimum"].as_i64().unwrap_or(i64::MIN)..=largest).contains(number)
            }
            ("number", Value::Integer(_)) | ("string", Value::String(_)) | ("boolean", Value::Boolean(_)) => {
                true
            }
            ("number", Value::Float(number)) if schema["format"] == "float" => (*number as f32).is_finite(),
            ("number", Value::Float(number)) => number.is_finite(),
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
        let known: Vec<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        for (name, value) in table {
            let place = join(key, name);
            match schema["properties"].get(name) {
                Some(property) => self.value(property, value, &place)?,
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
