//! The published JSON Schema: what [`super::shape`] reads recipes by, made so that an editor marks what is wrong where it stands.
//!
//! A validator that tries the alternatives of a choice one by one can only say that none fits. Here a choice names its tag first
//! (`kind`, one of so many words), and the rest of a table is held to the alternative that its tag names; alternatives of other JSON
//! types are told apart by their type. What only some targets read is refused where another is named, and a default that depends on
//! the target stands beside the target.

use serde_json::{Map, Value, json};

use super::shape::{MEASUREMENTS, alternatives, readers, root, tags};

/// Where the schema is to be found; also its name.
const ID: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/recipe.schema.json");

/// The JSON Schema (draft 2020-12) of recipes.
pub fn schema() -> Value {
    let root = root();
    let mut published = root.clone();
    let mut by_target: Vec<Value> = ["data", "energies", "objects"].map(|task| of_target(&root, task)).into();
    by_target.push(of_measurements(&root));
    publish(&root, &mut published);
    let mut all =
        Map::from_iter([("$schema".to_owned(), published["$schema"].clone()), ("$id".to_owned(), json!(ID))]);
    all.extend(std::mem::take(published.as_object_mut().expect("a recipe is an object")));
    all.insert("allOf".to_owned(), by_target.into());
    all.into()
}

fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(path) = schema["$ref"].as_str() {
        schema = root.pointer(path.trim_start_matches('#')).unwrap_or(&Value::Null);
    }
    schema
}

/// What holds where the target is one of `task`.
fn of_target(root: &Value, task: &str) -> Value {
    let targets = alternatives(resolved(root, &root["properties"]["target"])).unwrap_or_default();
    let (tag, words) = tags(&targets).expect("targets are told apart by a tag");
    let reads = |target: &Value| readers(target).is_some_and(|readers| readers.contains(&task));
    let kinds: Vec<&str> =
        words.into_iter().zip(&targets).filter(|(_, target)| reads(target)).map(|(word, _)| word).collect();
    let mut then = json!({ "properties": special(root, root, task, true) });
    if task == "data" {
        then["required"] = json!(["model"]);
    }
    json!({
        "if": {
            "properties": { "target": { "properties": { tag: { "enum": kinds } }, "required": [tag] } },
            "required": ["target"],
        },
        "then": then,
    })
}

/// What holds of a table of real numbers.
fn of_measurements(root: &Value) -> Value {
    let table = json!({ "kind": { "const": "table" }, "levels": { "const": 0 }, "threshold": { "not": {} } });
    json!({
        "if": { "properties": { "target": { "properties": table, "required": ["kind"] } }, "required": ["target"] },
        "then": { "properties": special(root, root, MEASUREMENTS, false) },
    })
}

/// The keys for which `task` has another default, or which, where that is asked, it does not read.
fn special(root: &Value, schema: &Value, task: &str, refuses: bool) -> Map<String, Value> {
    let mut found = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let below = resolved(root, property);
        if refuses && readers(property).is_some_and(|readers| !readers.contains(&task)) {
            // As good as `false`, of which not every validator says where it stood.
            found.insert(name.clone(), json!({ "not": {} }));
        } else if let Some(default) = property["x-default"].get(task) {
            found.insert(name.clone(), json!({ "default": default }));
        } else if alternatives(below).is_none() {
            let own = special(root, below, task, refuses);
            if !own.is_empty() {
                found.insert(name.clone(), json!({ "properties": own }));
            }
        }
    }
    found
}

/// Rewrites a schema and all below it.
fn publish(root: &Value, schema: &mut Value) {
    match schema {
        Value::Array(parts) => parts.iter_mut().for_each(|part| publish(root, part)),
        Value::Object(_) => {
            without_null(schema);
            let told = told_apart(root, schema);
            let object = schema.as_object_mut().expect("it was one");
            if let Some((keyword, told)) = told {
                object.remove(keyword);
                object.extend(told);
            }
            object.retain(|keyword, _| !keyword.starts_with("x-"));
            bounded(object);
            empty_lists(object);
            for (keyword, part) in object {
                match (keyword.as_str(), part) {
                    ("properties" | "$defs", Value::Object(named)) => {
                        named.values_mut().for_each(|part| publish(root, part));
                    }
                    ("items" | "if" | "then" | "else" | "not" | "allOf" | "anyOf" | "oneOf", part) => {
                        publish(root, part)
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// TOML has no null: a key without a value is left out.
fn without_null(schema: &mut Value) {
    let object = schema.as_object_mut().expect("a schema");
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = &types[..] {
            object["type"] = only.clone();
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(variants)) = object.get_mut("anyOf") {
        variants.retain(|variant| variant["type"] != "null");
        if let [Value::Object(only)] = &mut variants[..] {
            let only = std::mem::take(only);
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

/// The keyword of a choice, and what stands for it: its alternatives, each behind the word or the type that tells it apart.
fn told_apart(root: &Value, schema: &Value) -> Option<(&'static str, Map<String, Value>)> {
    let keyword = ["oneOf", "anyOf"].into_iter().find(|keyword| schema.get(keyword).is_some())?;
    let variants: Vec<&Value> = schema[keyword].as_array()?.iter().collect();
    let told = match tags(&variants) {
        Some((tag, words)) => {
            let about = |(word, variant): (&&str, &&Value)| match variant.get("description") {
                Some(description) => json!({ "const": word, "description": description }),
                None => json!({ "const": word }),
            };
            let choice: Vec<Value> = words.iter().zip(&variants).map(about).collect();
            let branch = |(word, variant): (&&str, &&Value)| json!({ "if": { "properties": { tag: { "const": word } }, "required": [tag] }, "then": variant });
            let branches: Vec<Value> = words.iter().zip(&variants).map(branch).collect();
            json!({ "type": "object", "required": [tag], "properties": { tag: { "oneOf": choice } }, "allOf": branches })
        }
        None => {
            let types: Vec<&str> =
                variants.iter().map(|variant| json_type(root, variant)).collect::<Option<_>>()?;
            let distinct = (1..types.len()).all(|at| !types[..at].contains(&types[at]));
            if !distinct || types.len() < 2 {
                return None;
            }
            let branch =
                |(kind, variant): (&&str, &&Value)| json!({ "if": { "type": kind }, "then": variant });
            let branches: Vec<Value> = types.iter().zip(&variants).map(branch).collect();
            json!({ "type": types, "allOf": branches })
        }
    };
    match told {
        Value::Object(told) => Some((keyword, told)),
        _ => None,
    }
}

/// The JSON type of what a schema holds for, if it is one.
fn json_type<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a str> {
    let schema = resolved(root, schema);
    match &schema["type"] {
        Value::String(kind) => Some(kind),
        Value::Null if tags(&alternatives(schema)?).is_some() => Some("object"),
        Value::Null => json_type(root, alternatives(schema)?.first()?),
        _ => None,
    }
}

/// Formats that only Rust knows, as ranges.
fn bounded(object: &mut Map<String, Value>) {
    let (least, most) = match object.remove("format").as_ref().and_then(Value::as_str) {
        Some("uint32") => (json!(0), json!(u32::MAX)),
        // What TOML can hold.
        Some("uint" | "uint64") => (json!(0), json!(i64::MAX)),
        Some("float") => (json!(-3.4e38), json!(3.4e38)),
        _ => return,
    };
    if !object.contains_key("exclusiveMinimum") {
        object.entry("minimum").or_insert(least);
    }
    object.entry("maximum").or_insert(most);
}

/// Lists that need not be there are empty then.
fn empty_lists(object: &mut Map<String, Value>) {
    let required = object.get("required").cloned().unwrap_or_default();
    let required =
        |name: &str| required.as_array().is_some_and(|names| names.iter().any(|other| other == name));
    let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !required(name)) {
        if property["type"] == "array" && property.get("default").is_none() {
            property["default"] = json!([]);
        }
    }
}
