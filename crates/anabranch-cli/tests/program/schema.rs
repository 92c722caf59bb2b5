//! The published JSON Schema: what the program refuses is marked at its place, what it ships is valid. `tests/wrong/check.py` asks
//! the same of an independent validator.

use serde_json::Value;

use crate::support::Place;

/// A validator of the keywords that the schema has, and of no others.
struct Validator<'a>(&'a Value);

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn holds_type(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("no type of recipes: {other}"),
    }
}

impl Validator<'_> {
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut marks = Vec::new();
        self.marks(schema, value, "", &mut marks);
        marks.is_empty()
    }

    /// Where an editor marks what does not fit: a key that is too much or missing, or a value.
    fn marks(&self, schema: &Value, value: &Value, at: &str, marks: &mut Vec<String>) {
        let Value::Object(keywords) = schema else {
            if schema == false {
                marks.push(at.to_owned());
            }
            return;
        };
        let has = |name: &str| keywords.get("properties").and_then(|properties| properties.get(name));
        for (keyword, said) in keywords {
            let list = || said.as_array().expect("a list");
            let bound = said.as_f64().unwrap_or(f64::NAN);
            let number = value.as_f64();
            let fine = match keyword.as_str() {
                "$ref" => {
                    let path = said.as_str().expect("a path").trim_start_matches('#');
                    self.marks(self.0.pointer(path).expect("a definition"), value, at, marks);
                    true
                }
                "allOf" => {
                    list().iter().for_each(|part| self.marks(part, value, at, marks));
                    true
                }
                "if" => {
                    let next = if self.fits(said, value) { "then" } else { "else" };
                    if let Some(next) = keywords.get(next) {
                        self.marks(next, value, at, marks);
                    }
                    true
                }
                "anyOf" => list().iter().any(|part| self.fits(part, value)),
                "oneOf" => list().iter().filter(|part| self.fits(part, value)).count() == 1,
                "not" => !self.fits(said, value),
                "properties" => {
                    for (name, part) in said.as_object().expect("a table") {
                        if let Some(value) = value.get(name) {
                            self.marks(part, value, &join(at, name), marks);
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    assert_eq!(said, false);
                    let names = value.as_object().into_iter().flatten().map(|(name, _)| name);
                    marks.extend(names.filter(|name| has(name).is_none()).map(|name| join(at, name)));
                    true
                }
                "required" => {
                    let names = list().iter().filter_map(Value::as_str);
                    let missing = names.filter(|name| value.is_object() && value.get(name).is_none());
                    marks.extend(missing.map(|name| join(at, name)));
                    true
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.marks(said, item, &join(at, &index.to_string()), marks);
                    }
                    true
                }
                "type" if said.is_array() => {
                    list().iter().any(|kind| holds_type(kind.as_str().expect("a word"), value))
                }
                "type" => holds_type(said.as_str().expect("a word"), value),
                "enum" => list().contains(value),
                // A number is the same with a point and without.
                "const" => said == value || (number.is_some() && number == said.as_f64()),
                "minimum" => number.is_none_or(|number| number >= bound),
                "exclusiveMinimum" => number.is_none_or(|number| number > bound),
                "maximum" => number.is_none_or(|number| number <= bound),
                "minItems" => value.as_array().is_none_or(|items| items.len() as f64 >= bound),
                "maxItems" => value.as_array().is_none_or(|items| items.len() as f64 <= bound),
                "pattern" => {
                    assert_eq!(said, "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$");
                    let word = value.as_str().unwrap_or_default();
                    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                    word.starts_with(|c: char| c.is_ascii_alphanumeric())
                        && word.len() <= 100
                        && word.chars().all(fine)
                }
                "then" | "else" | "$schema" | "$id" | "$defs" | "title" | "description" | "default" => true,
                other => panic!("a keyword that editors may not know: {other}"),
            };
            if !fine {
                marks.push(at.to_owned());
            }
        }
    }
}

pub fn schema() -> Value {
    serde_json::from_str(&Place::new().run("schema").done().stdout).expect("JSON")
}

pub fn marked(schema: &Value, recipe: &str) -> Vec<String> {
    let recipe: Value = toml::from_str(recipe).expect("TOML");
    let mut marks = Vec::new();
    Validator(schema).marks(schema, &recipe, "", &mut marks);
    marks
}

fn files(directory: &str) -> Vec<(String, String)> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path());
    let recipes = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    recipes
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).expect("a text")))
        .collect()
}

#[test]
fn what_the_program_refuses_is_marked_where_it_stands() {
    let (schema, place) = (schema(), Place::new());
    let wrong = files("tests/wrong");
    assert!(wrong.len() >= 20);
    for (name, text) in wrong {
        let at = text.lines().next().and_then(|line| line.strip_prefix("# at: ")).expect("where it is wrong");
        assert_eq!(marked(&schema, &text), [at], "{name}");
        place.write("wrong.toml", &text);
        place.run("explain wrong.toml").refused(2);
    }
}

#[test]
fn recipes_that_come_with_the_program_are_valid() {
    let schema = schema();
    let recipes = files("../../recipes");
    assert!(recipes.len() >= 60);
    for (name, text) in recipes {
        assert_eq!(marked(&schema, &text), [""; 0], "{name}");
    }
}

/// A choice between tables says first by which word, and nothing is left that only Rust or this project knows.
#[test]
fn the_schema_is_one_that_editors_know() {
    fn walk(schema: &Value, properties: bool, found: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                for (name, part) in object {
                    if !properties {
                        found.push(name.clone());
                    }
                    if !["default", "const", "enum", "required"].contains(&name.as_str()) || properties {
                        walk(part, !properties && ["properties", "$defs"].contains(&name.as_str()), found);
                    }
                }
            }
            Value::Array(parts) => parts.iter().for_each(|part| walk(part, false, found)),
            _ => {}
        }
    }
    let schema = schema();
    assert!(schema["$id"].as_str().is_some_and(|id| id.starts_with("https://")));
    let kinds = schema["$defs"]["SegmentRecipe"]["properties"]["kind"]["oneOf"].as_array().expect("a choice");
    assert!(kinds.iter().any(|kind| kind["const"] == "flow" && kind["description"].is_string()));
    let mut found = Vec::new();
    walk(&schema, false, &mut found);
    assert!(found.iter().all(|name| !name.starts_with("x-") && name != "format"), "{found:?}");
    // Whatever has a value where nobody sets it says so.
    for section in ["TrainingRecipe", "OptimizerRecipe", "EvaluationRecipe"] {
        for (name, key) in schema["$defs"][section]["properties"].as_object().expect("keys") {
            let absent = ["trajectories", "candidates"].contains(&name.as_str());
            assert!(key.get("default").is_some() || absent, "{section}.{name}");
        }
    }
}
