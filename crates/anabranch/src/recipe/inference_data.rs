//! Draws of a run as groups that ArviZ reads: the samples, what belongs to each of them, and what they share.

use serde_json::{Map, json};

use super::{Plan, TargetData};
use crate::data::zarr::{Group, Numbers, Variable};

/// What is known of some draws besides themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// `log w` of the path of each draw, nats, where it has one.
    pub log_weights: Option<Vec<f64>>,
    /// The condition of each draw in the units of the data, `[draws, width]`, or the one that all share; empty where there is none.
    pub conditions: Vec<f32>,
    /// How many numbers a condition has.
    pub width: usize,
    /// What refining them said, where they were refined.
    pub note: Option<String>,
}

/// The groups `posterior`, `sample_stats` and `constant_data`, those that hold anything, of draws `[draws, columns]` made with `seed`:
/// one chain, with a variable for each column that the data name, or one vector `x` of all columns.
pub fn inference_data(plan: &Plan, draws: &[f32], seed: u64, known: &Known) -> Vec<Group> {
    let (columns, recipe) = (plan.columns(), plan.recipe());
    let count = draws.len() / columns;
    let names = match plan {
        Plan::Chain(plan) => match &plan.data {
            TargetData::Rows(data) => data.names(),
            TargetData::Energy(_) => None,
        },
        Plan::GFlowNet(_) => None,
    };
    let variables = match names {
        Some(names) => {
            let column = |(k, name): (usize, &String)| {
                let values = draws.iter().skip(k).step_by(columns).copied().collect();
                Variable::of_draws(name, count, None, Numbers::Single(values))
            };
            names.iter().enumerate().map(column).collect()
        }
        None => {
            let values = Numbers::Single(draws.to_vec());
            vec![Variable::of_draws("x", count, Some(("x_dim_0", columns)), values)]
        }
    };
    let mut attributes = Map::new();
    attributes.insert("inference_library".to_owned(), json!("anabranch"));
    attributes.insert("inference_library_version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    attributes.insert("sample_dims".to_owned(), json!(["chain", "draw"]));
    attributes.insert("recipe".to_owned(), json!(recipe.name));
    attributes.insert("seed".to_owned(), json!(seed));
    let mut groups = vec![Group { name: "posterior".to_owned(), attributes, variables }];
    let mut stats = Group { name: "sample_stats".to_owned(), ..Group::default() };
    if let Some(log_weights) = &known.log_weights {
        let numbers = Numbers::Double(log_weights.clone());
        stats.variables.push(Variable::of_draws("log_weight", count, None, numbers));
    }
    let condition = Numbers::Single(known.conditions.clone());
    let axis = ("condition_dim_0", known.width);
    let shared = known.conditions.len() == known.width;
    if !shared {
        stats.variables.push(Variable::of_draws("condition", count, Some(axis), condition.clone()));
    }
    if let Some(note) = &known.note {
        stats.attributes.insert("refinement".to_owned(), json!(note));
    }
    if !stats.variables.is_empty() || !stats.attributes.is_empty() {
        groups.push(stats);
    }
    if shared && known.width > 0 {
        let dimensions = vec![(axis.0.to_owned(), axis.1)];
        let variables = vec![Variable { name: "condition".to_owned(), dimensions, numbers: condition }];
        groups.push(Group { name: "constant_data".to_owned(), variables, ..Group::default() });
    }
    groups
}
