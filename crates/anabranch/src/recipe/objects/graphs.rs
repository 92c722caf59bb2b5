//! Graphs: nodes of a given one, and those that are built: directed acyclic ones and trees.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Built, Objects, rewarded};
use crate::environment::{Environment as _, ExplicitGraph, LabelledDags, Trees};
use crate::error::{Problem, Result, reason};
use crate::target::{GraphReward, RewardRecipe, Shape};

/// The nodes of a directed acyclic graph that a file gives, with their rewards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphRecipe {
    /// A CSV file with the header `parent,child,value`; the Foundations' toy graph unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The reward, if not the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<RewardRecipe>,
}

/// Directed acyclic graphs over labelled nodes, built edge by edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelledDagsRecipe {
    /// How many nodes.
    #[schemars(range(min = 1))]
    pub nodes: usize,
    /// The most parents of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_parents: Option<usize>,
    /// The reward.
    pub reward: RewardRecipe,
}

/// Rooted binary trees over labelled leaves, built by joining two trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreesRecipe {
    /// How many leaves.
    #[schemars(range(min = 2))]
    pub leaves: usize,
    /// The reward.
    pub reward: RewardRecipe,
}

impl GraphRecipe {
    fn graph(&self) -> Result<ExplicitGraph> {
        let Some(file) = &self.file else { return Ok(ExplicitGraph::toy()) };
        let text = std::fs::read_to_string(Path::new(file)).map_err(|error| {
            Problem::new("target.file", format!("{file}: {}", reason(&error)))
                .allowed("a CSV file that can be read")
        })?;
        Ok(ExplicitGraph::read(file, &text)?)
    }
}

impl Objects for GraphRecipe {
    fn space(&self) -> String {
        let file = self.file.as_deref().unwrap_or("GFlowNet Foundations, figure 2");
        format!("nodes of the graph of {file}")
    }

    fn formula(&self) -> String {
        self.reward.as_ref().map_or("what the graph gives each node".to_owned(), RewardRecipe::formula)
    }

    fn build(&self) -> Result<Built> {
        let graph = self.graph()?;
        match &self.reward {
            Some(reward) => rewarded(Ok(graph), |_| Shape::Other { cells: 1 }, reward),
            None => {
                let graph = Arc::new(graph);
                Ok(Built::Discrete((graph.clone(), Arc::new(GraphReward(graph)))))
            }
        }
    }
}

impl Objects for LabelledDagsRecipe {
    fn space(&self) -> String {
        format!("directed acyclic graphs over {} labelled nodes, by adding edges", self.nodes)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn build(&self) -> Result<Built> {
        let dags = LabelledDags::new(self.nodes).and_then(|dags| match self.most_parents {
            Some(most) => dags.with_most_parents(most),
            None => Ok(dags),
        });
        rewarded(dags, |dags| Shape::Other { cells: dags.cells() }, &self.reward)
    }
}

impl Objects for TreesRecipe {
    fn space(&self) -> String {
        format!("rooted binary trees over {} labelled leaves, by joining two trees", self.leaves)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn build(&self) -> Result<Built> {
        rewarded(Trees::new(self.leaves), |trees| Shape::Other { cells: trees.cells() }, &self.reward)
    }
}
