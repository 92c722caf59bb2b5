//! Recipes whose reward is fitted to a table of scores: the same one with another table, or another reward of the same objects.

use std::path::Path;

use serde_json::{Value, json};

use super::{Recipe, TargetRecipe};
use crate::error::{Problem, Result};
use crate::target::{RegressorRecipe, RewardRecipe};

/// The first table below `part` whose `kind` is `kind`.
fn of_kind<'a>(part: &'a mut Value, kind: &str) -> Option<&'a mut Value> {
    if part.get("kind").and_then(Value::as_str) == Some(kind) {
        return Some(part);
    }
    match part {
        Value::Object(table) => table.values_mut().find_map(|part| of_kind(part, kind)),
        Value::Array(parts) => parts.iter_mut().find_map(|part| of_kind(part, kind)),
        _ => None,
    }
}

impl Recipe {
    /// The target as plain values, and with them changed again.
    fn with_target(&self, change: impl FnOnce(&mut Value) -> Option<()>) -> Result<Self> {
        let mut target = serde_json::to_value(&self.target).expect("a target is plain values");
        let changed = change(&mut target).and_then(|()| serde_json::from_value::<TargetRecipe>(target).ok());
        match changed {
            Some(target) => Ok(Self { target, ..self.clone() }),
            None => Err(Problem::new("target.reward.kind", "a reward that no scores are learned for")
                .allowed("regressor, of objects")
                .into()),
        }
    }

    /// The regressor that the reward is, or is made of.
    pub fn regressor(&self) -> Option<RegressorRecipe> {
        let mut target = serde_json::to_value(&self.target).ok()?;
        match serde_json::from_value(of_kind(&mut target, "regressor")?.take()).ok()? {
            RewardRecipe::Regressor(regressor) => Some(regressor),
            _ => None,
        }
    }

    /// The recipe with its regressor fitted to the table in another file, whose header is `object,score`.
    ///
    /// # Errors
    /// If its reward has no regressor.
    pub fn with_scores(&self, path: &Path) -> Result<Self> {
        self.with_target(|target| {
            let regressor = of_kind(target, "regressor")?;
            regressor["file"] = json!(path.display().to_string());
            regressor["object"] = json!("object");
            regressor["score"] = json!("score");
            regressor["missing"] = json!("refuse");
            Some(())
        })
    }

    /// The recipe with its regressor fitted to another table, with the same columns.
    ///
    /// # Errors
    /// If its reward has no regressor.
    pub fn with_table(&self, path: &Path) -> Result<Self> {
        self.with_target(|target| {
            of_kind(target, "regressor")?["file"] = json!(path.display().to_string());
            Some(())
        })
    }

    /// The recipe with another reward of the same objects.
    ///
    /// # Errors
    /// If its target has no reward.
    pub fn with_reward(&self, reward: &RewardRecipe) -> Result<Self> {
        self.with_target(|target| {
            *target.get_mut("reward")? = serde_json::to_value(reward).ok()?;
            Some(())
        })
    }
}

impl TargetRecipe {
    /// Whether any values of its cells that are there are one of its objects together, or a check tells: cells do not say where others are.
    pub(crate) fn has_cells_apart(&self) -> bool {
        matches!(
            self,
            Self::Strings(_)
                | Self::Bits(_)
                | Self::Spins(_)
                | Self::Hypergrid(_)
                | Self::Sets(_)
                | Self::Multisets(_)
        )
    }
}
