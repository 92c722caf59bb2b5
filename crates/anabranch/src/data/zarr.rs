//! Draws as a Zarr store, version 3, which xarray and ArviZ open as a tree of groups.
//!
//! ```text
//! DRAWS.zarr/zarr.json                     the root group, with the metadata of all that is below
//!            posterior/zarr.json           a group: {"zarr_format": 3, "node_type": "group", "attributes": {..}}
//!            posterior/x/zarr.json         an array: shape, type, one regular chunk, little-endian bytes, names of its dimensions
//!            posterior/x/c/0/0/0           its numbers
//!            posterior/chain, posterior/draw    the coordinates of the dimensions that all variables begin with
//! ```
//!
//! Groups are those of the InferenceData schema: `posterior` holds the draws, `[chain, draw]` and more dimensions, `sample_stats` what
//! belongs to each draw, `constant_data` what all share. Specifications: zarr-specs.readthedocs.io, core protocol 3.0;
//! python.arviz.org, InferenceData schema.

use std::fs::{File, create_dir_all, remove_dir_all, rename};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Problem, Result};

/// Numbers of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// f32.
    Single(Vec<f32>),
    /// f64.
    Double(Vec<f64>),
    /// i64.
    Integer(Vec<i64>),
}

/// A named array, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The name and the length of each of its dimensions.
    pub dimensions: Vec<(String, usize)>,
    /// Its numbers.
    pub numbers: Numbers,
}

/// A named group of arrays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What is said of it.
    pub attributes: Map<String, Value>,
    /// Its arrays.
    pub variables: Vec<Variable>,
}

impl Numbers {
    fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Integer(values) => values.len(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Single(_) => "float32",
            Self::Double(_) => "float64",
            Self::Integer(_) => "int64",
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Single(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Double(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Integer(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

impl Variable {
    /// Numbers of `draws` draws of one chain, `[chain, draw, ..]` with the dimensions `rest` behind.
    pub fn of_draws(name: &str, draws: usize, rest: Option<(&str, usize)>, numbers: Numbers) -> Self {
        let leading = [("chain", 1), ("draw", draws)].into_iter().chain(rest);
        let dimensions = leading.map(|(name, length)| (name.to_owned(), length)).collect();
        Self { name: name.to_owned(), dimensions, numbers }
    }

    /// A coordinate: the numbers from 0 on along the dimension of its name.
    fn coordinate(name: &str, length: usize) -> Self {
        let numbers = Numbers::Integer((0..length as i64).collect());
        Self { name: name.to_owned(), dimensions: vec![(name.to_owned(), length)], numbers }
    }

    fn metadata(&self) -> Value {
        let shape: Vec<usize> = self.dimensions.iter().map(|(_, length)| *length).collect();
        let names: Vec<&String> = self.dimensions.iter().map(|(name, _)| name).collect();
        let fill = if let Numbers::Integer(_) = self.numbers { json!(0) } else { json!("NaN") };
        json!({
            "zarr_format": 3,
            "node_type": "array",
            "shape": shape,
            "data_type": self.numbers.kind(),
            "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": shape } },
            "chunk_key_encoding": { "name": "default", "configuration": { "separator": "/" } },
            "fill_value": fill,
            "codecs": [{ "name": "bytes", "configuration": { "endian": "little" } }],
            "attributes": {},
            "dimension_names": names,
        })
    }

    /// Where its only chunk stands.
    fn chunk(&self, group: &Path) -> PathBuf {
        let zeros = self.dimensions.iter().map(|_| "0");
        [self.name.as_str(), "c"]
            .into_iter()
            .chain(zeros)
            .fold(group.to_owned(), |path, part| path.join(part))
    }
}

impl Group {
    /// Its arrays and the coordinates of their dimensions.
    fn arrays(&self) -> Vec<Variable> {
        let mut all = self.variables.clone();
        let dimensions: Vec<(String, usize)> =
            self.variables.iter().flat_map(|variable| variable.dimensions.clone()).collect();
        for (name, length) in dimensions {
            if !all.iter().any(|known| known.name == name) {
                all.push(Variable::coordinate(&name, length));
            }
        }
        all
    }

    fn metadata(&self) -> Value {
        json!({ "zarr_format": 3, "node_type": "group", "attributes": self.attributes })
    }
}

/// Writes a store, which takes the place of another one at `path` only when all of it is on disk.
///
/// # Errors
/// If it cannot be written, or what is at `path` is no Zarr store.
///
/// # Panics
/// If an array does not have as many numbers as its dimensions say.
pub fn write_zarr(path: &Path, groups: &[Group]) -> Result<()> {
    check_zarr(path)?;
    let beside = |kind: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.{kind}", std::process::id()));
        path.with_file_name(name)
    };
    let (temporary, old) = (beside("part"), beside("old"));
    let attempt = || -> std::io::Result<()> {
        write_tree(&temporary, groups)?;
        if path.exists() {
            rename(path, &old)?;
        }
        rename(&temporary, path)
    };
    let written = attempt();
    if written.is_err() && old.exists() && !path.exists() {
        // What was there before is put back; if that fails too, it stays beside.
        let _ = rename(&old, path);
    }
    // Neither is in anybody's way if it cannot be removed.
    let _ = remove_dir_all(&temporary);
    let _ = remove_dir_all(&old);
    written.map_err(|error| Error::io("write", path, error))
}

/// Whether [`write_zarr`] could write to `path`, as far as that can be told before.
///
/// # Errors
/// If what is at `path` is no Zarr store, or its directory is none that can be written to.
pub fn check_zarr(path: &Path) -> Result<()> {
    if path.exists() && !path.join("zarr.json").is_file() {
        return Err(Problem::new(path.display().to_string(), "something that is no Zarr store")
            .allowed("a new path, or a Zarr store to replace")
            .into());
    }
    super::atomic::check_writable(&path.with_extension("zarr-test"))
}

fn write_tree(root: &Path, groups: &[Group]) -> std::io::Result<()> {
    let mut all = Map::new();
    for group in groups {
        let directory = root.join(&group.name);
        all.insert(group.name.clone(), group.metadata());
        write_json(&directory, &group.metadata())?;
        for array in group.arrays() {
            let length: usize = array.dimensions.iter().map(|(_, length)| length).product();
            assert_eq!(array.numbers.len(), length, "the numbers of {}", array.name);
            let metadata = array.metadata();
            write_json(&directory.join(&array.name), &metadata)?;
            all.insert(format!("{}/{}", group.name, array.name), metadata);
            let chunk = array.chunk(&directory);
            create_dir_all(chunk.parent().unwrap_or(&directory))?;
            let mut file = File::create(chunk)?;
            file.write_all(&array.numbers.bytes())?;
            file.sync_all()?;
        }
    }
    let consolidated = json!({ "kind": "inline", "must_understand": false, "metadata": all });
    let root_group = json!({
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {},
        "consolidated_metadata": consolidated,
    });
    write_json(root, &root_group)
}

fn write_json(directory: &Path, value: &Value) -> std::io::Result<()> {
    create_dir_all(directory)?;
    let mut file = File::create(directory.join("zarr.json"))?;
    writeln!(file, "{value:#}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<Group> {
        let x = Numbers::Single(vec![1.0, 2.0, 3.0, 4.0]);
        let log_weights = Numbers::Double(vec![-0.5, f64::NEG_INFINITY]);
        let mut attributes = Map::new();
        attributes.insert("inference_library".to_owned(), json!("anabranch"));
        vec![
            Group {
                name: "posterior".to_owned(),
                attributes,
                variables: vec![Variable::of_draws("x", 2, Some(("x_dim_0", 2)), x)],
            },
            Group {
                name: "sample_stats".to_owned(),
                variables: vec![Variable::of_draws("log_weight", 2, None, log_weights)],
                ..Group::default()
            },
        ]
    }

    /// The layout that xarray 2026.9 with zarr 3.4 opens as a tree, and ArviZ 1.3 summarises, without options or warnings.
    #[test]
    fn the_layout_is_pinned() {
        let directory = std::env::temp_dir().join(format!("anabranch-zarr-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("draws.zarr");
        write_zarr(&path, &groups()).unwrap();
        // Once more, in place of the first.
        write_zarr(&path, &groups()).unwrap();
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        let json = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(path.join(name)).unwrap()).unwrap()
        };
        assert_eq!(
            json("posterior/zarr.json"),
            json!({ "zarr_format": 3, "node_type": "group", "attributes": { "inference_library": "anabranch" } })
        );
        let array = json!({
            "zarr_format": 3,
            "node_type": "array",
            "shape": [1, 2, 2],
            "data_type": "float32",
            "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": [1, 2, 2] } },
            "chunk_key_encoding": { "name": "default", "configuration": { "separator": "/" } },
            "fill_value": "NaN",
            "codecs": [{ "name": "bytes", "configuration": { "endian": "little" } }],
            "attributes": {},
            "dimension_names": ["chain", "draw", "x_dim_0"],
        });
        assert_eq!(json("posterior/x/zarr.json"), array);
        let root = json("zarr.json");
        assert_eq!(root["consolidated_metadata"]["metadata"]["posterior/x"], array);
        let names: Vec<&String> =
            root["consolidated_metadata"]["metadata"].as_object().unwrap().keys().collect();
        let expected = [
            "posterior",
            "posterior/x",
            "posterior/chain",
            "posterior/draw",
            "posterior/x_dim_0",
            "sample_stats",
            "sample_stats/log_weight",
            "sample_stats/chain",
            "sample_stats/draw",
        ];
        let mut sorted = names.clone();
        sorted.sort();
        let mut wanted: Vec<&str> = expected.to_vec();
        wanted.sort_unstable();
        assert_eq!(sorted, wanted);
        let bytes = |name: &str| std::fs::read(path.join(name)).unwrap();
        assert_eq!(bytes("posterior/x/c/0/0/0")[4..8], 2f32.to_le_bytes());
        assert_eq!(bytes("sample_stats/log_weight/c/0/0")[8..], f64::NEG_INFINITY.to_le_bytes());
        assert_eq!(bytes("posterior/draw/c/0")[8..], 1i64.to_le_bytes());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_no_store_is_left_alone() {
        let path = std::env::temp_dir().join(format!("anabranch-no-zarr-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("thesis"), "mine").unwrap();
        let message = write_zarr(&path, &groups()).unwrap_err().to_string();
        assert!(message.contains("found something that is no Zarr store"), "{message}");
        assert!(path.join("thesis").exists());
        std::fs::remove_dir_all(&path).unwrap();
    }
}
