//! What a reader of exported weights must know of a part of a model besides its trainable numbers.

use serde_json::Value;

/// A part in words and numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// What it is.
    pub kind: &'static str,
    /// Its settings by their names, an object.
    pub settings: Value,
    /// Fixed arrays: name, shape and numbers, row-major.
    pub constants: Vec<(&'static str, Vec<usize>, Vec<f32>)>,
}

impl Described {
    /// A part with settings and no fixed arrays.
    pub fn new(kind: &'static str, settings: Value) -> Self {
        Self { kind, settings, constants: Vec::new() }
    }

    /// With a fixed array.
    pub fn with(mut self, name: &'static str, shape: Vec<usize>, values: Vec<f32>) -> Self {
        self.constants.push((name, shape, values));
        self
    }
}
