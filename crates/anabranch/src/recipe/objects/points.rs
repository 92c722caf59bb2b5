//! Points of continuous spaces.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Built, Objects};
use crate::environment::continuous::{CartesianBox, Continuous, Domain, Hybrid, PolarBox, Walk};
use crate::error::{Error, Problem, Result};
use crate::papers::CONTINUOUS;
use crate::target::continuous::{ChartReward, OnCharts, OnPoints, PointTargetRecipe};
use crate::target::{LARGEST, LEAST, Target, inside, within};

/// Points of the unit box, built by steps away from the origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoxRecipe {
    /// How many coordinates.
    #[serde(default = "plane")]
    #[schemars(range(min = 1))]
    pub dim: usize,
    /// The least step of a coordinate, or with polar steps the length of each.
    #[serde(default = "quarter")]
    pub delta: f32,
    /// What a step is.
    #[serde(default)]
    pub steps: BoxSteps,
    /// The reward.
    #[serde(default)]
    pub reward: PointTargetRecipe,
}

/// What a step in the box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoxSteps {
    /// Every coordinate grows by at least `delta`.
    #[default]
    Cartesian,
    /// An angle, and the length `delta`: in two dimensions (Lahlou et al. 2023).
    Polar,
}

/// Points of the line, or of a space of more dimensions, reached by a walk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineRecipe {
    /// How many coordinates.
    #[serde(default = "line")]
    #[schemars(range(min = 1))]
    pub dim: usize,
    /// How many steps a walk has.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// The unit of a step.
    #[serde(default = "unit")]
    pub sigma: f32,
    /// The reward.
    pub reward: PointTargetRecipe,
}

/// Angles, reached by a walk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TorusRecipe {
    /// How many angles.
    #[serde(default = "plane")]
    #[schemars(range(min = 1))]
    pub dim: usize,
    /// How many steps a walk has.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// The reward.
    pub reward: PointTargetRecipe,
}

/// A choice of a chart, then a value for each of its axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HybridRecipe {
    /// The charts.
    pub charts: Vec<ChartRecipe>,
}

/// A chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChartRecipe {
    /// Where the value of each of its axes lives.
    #[serde(default)]
    pub axes: Vec<DomainName>,
    /// What its reward is multiplied by.
    #[serde(default = "one")]
    pub weight: f64,
    /// The reward of the values: 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<PointTargetRecipe>,
}

/// Where a value lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DomainName {
    /// (0, 1).
    Unit,
    /// The real line.
    Line,
    /// The circle, in radians.
    Circle,
}

impl From<DomainName> for Domain {
    fn from(name: DomainName) -> Self {
        match name {
            DomainName::Unit => Self::Unit,
            DomainName::Line => Self::Line,
            DomainName::Circle => Self::Circle,
        }
    }
}

fn plane() -> usize {
    2
}

fn line() -> usize {
    1
}

fn quarter() -> f32 {
    0.25
}

fn unit() -> f32 {
    1.0
}

fn one() -> f64 {
    1.0
}

/// A continuous environment and a reward of its objects.
pub type Points = (Arc<dyn Continuous>, Arc<dyn Target>);

/// Environments say `environment.KEY`, which in a recipe is `target.KEY`.
fn environment(built: Result<impl Continuous + 'static>) -> Result<Arc<dyn Continuous>> {
    built.map(|built| Arc::new(built) as Arc<dyn Continuous>).map_err(|error| match error {
        Error::Input(problem) => {
            let key = problem.place().trim_start_matches("environment.").to_owned();
            problem.at(format!("target.{key}")).into()
        }
        other => other,
    })
}

fn reward(recipe: &PointTargetRecipe, place: &str, domains: &[Domain]) -> Result<Arc<dyn Target>> {
    Ok(recipe.build(domains, place).map_err(|problem| inside(place, problem))?)
}

impl Objects for BoxRecipe {
    fn space(&self) -> String {
        let by = match self.steps {
            BoxSteps::Cartesian => "by steps that add at least",
            BoxSteps::Polar => "by steps of length",
        };
        format!("[0, 1]^{}, from 0 {by} {}", self.dim, self.delta)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![CONTINUOUS]
    }

    fn build(&self) -> Result<Built> {
        let space = match self.steps {
            BoxSteps::Cartesian => environment(CartesianBox::new(self.dim, self.delta))?,
            BoxSteps::Polar if self.dim == 2 => environment(PolarBox::new(self.delta))?,
            BoxSteps::Polar => {
                return Err(Problem::new("target.steps", format!("polar in {} dimensions", self.dim))
                    .allowed("cartesian; or dim = 2")
                    .into());
            }
        };
        let reward = reward(&self.reward, "target.reward", &vec![Domain::Unit; self.dim])?;
        Ok(Built::Continuous((space, reward)))
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.dim)
    }
}

/// The points that a walk of so many steps reaches.
fn walked(
    space: Result<impl Continuous + 'static>,
    recipe: &PointTargetRecipe,
    (domain, dim): (Domain, usize),
    steps: usize,
) -> Result<Built> {
    let space = environment(space)?;
    let points = reward(recipe, "target.reward", &vec![domain; dim])?;
    Ok(Built::Continuous((space, Arc::new(OnPoints::new(points, dim, vec![steps as f32])))))
}

impl Objects for LineRecipe {
    fn space(&self) -> String {
        format!("R^{}, from 0 by {} steps in units of {}", self.dim, self.steps, self.sigma)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        [CONTINUOUS].into_iter().chain(self.reward.papers()).collect()
    }

    fn build(&self) -> Result<Built> {
        let walk = Walk::euclidean(self.dim, self.steps, self.sigma);
        walked(walk, &self.reward, (Domain::Line, self.dim), self.steps)
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.dim)
    }
}

impl Objects for TorusRecipe {
    fn space(&self) -> String {
        format!("[0, 2 pi)^{}, from 0 by {} steps", self.dim, self.steps)
    }

    fn formula(&self) -> String {
        self.reward.formula()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![CONTINUOUS]
    }

    fn build(&self) -> Result<Built> {
        let walk = Walk::torus(self.dim, self.steps);
        walked(walk, &self.reward, (Domain::Circle, self.dim), self.steps)
    }

    fn coordinates(&self) -> Option<usize> {
        Some(self.dim)
    }
}

impl Objects for HybridRecipe {
    fn space(&self) -> String {
        let axes: Vec<String> = self.charts.iter().map(|chart| chart.axes.len().to_string()).collect();
        format!("a choice of {} charts, with {} axes", axes.len(), axes.join(", "))
    }

    fn formula(&self) -> String {
        let of = |chart: &ChartRecipe| {
            let own = chart.reward.as_ref().map_or("1".to_owned(), PointTargetRecipe::formula);
            format!("{} [{own}]", chart.weight)
        };
        format!("by chart: {}", self.charts.iter().map(of).collect::<Vec<_>>().join("; "))
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![CONTINUOUS]
    }

    fn build(&self) -> Result<Built> {
        let domains = |chart: &ChartRecipe| chart.axes.iter().map(|axis| Domain::from(*axis)).collect();
        let charts: Vec<Vec<Domain>> = self.charts.iter().map(domains).collect();
        let mut rewards = Vec::new();
        for (c, (chart, domains)) in self.charts.iter().zip(&charts).enumerate() {
            let place = format!("target.charts.{c}");
            within("weight", chart.weight, LEAST, LARGEST)
                .map_err(|problem| problem.at(format!("{place}.weight")))?;
            if chart.reward.is_some() && domains.is_empty() {
                return Err(Problem::new(format!("{place}.reward"), "one of no values")
                    .allowed("a weight, or axes")
                    .into());
            }
            let own = chart.reward.as_ref();
            let own = own.map(|recipe| reward(recipe, &format!("{place}.reward"), domains)).transpose()?;
            if own.as_ref().is_some_and(|reward| reward.condition_width() > 0) {
                return Err(Problem::new(format!("{place}.reward"), "one that depends on a condition")
                    .allowed("one without conditions; those of a box, a line or a torus may have them")
                    .into());
            }
            rewards.push(ChartReward { log_weight: chart.weight.ln(), axes: domains.len(), reward: own });
        }
        Ok(Built::Continuous((environment(Hybrid::new(charts))?, Arc::new(OnCharts::new(rewards)))))
    }
}
