//! The fixed maps around data as recipes name them: dequantisation, standardisation, whitening and logits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Dequantise, Flow};
use crate::data::{Dataset, Latent, MOST_COLUMNS, Summary};
use crate::error::{Problem, Result, within};
use crate::kernel::bijection::{Bijection, Correlate, Logit, Standardise};
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::papers::DEQUANTISE;

/// A dequantisation segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DequantiseRecipe {}

/// A standardisation segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandardiseRecipe {}

/// A whitening segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhitenRecipe {}

/// A logit segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogitRecipe {
    /// How far the interval is widened at both ends.
    #[schemars(range(min = 1e-6, max = 0.499))]
    pub margin: f32,
}

impl Default for LogitRecipe {
    fn default() -> Self {
        Self { margin: 0.05 }
    }
}

fn size(around: &Surroundings<'_>) -> Size {
    Size { weights: 0.0, row: 2.0 * around.dimension as f64, steps: 1.0, inner: around.dimension }
}

/// Refuses a map elsewhere than next to the data: what it undoes was done to them, and not to what other segments make of them.
fn next_to_data(own: &str, place: &Place) -> Result<()> {
    if place.after.iter().all(|kind| *kind == "dequantise" || (*kind == "probit" && own != "logit")) {
        return Ok(());
    }
    let problem = place.problem("kind", format!("\"{own}\" before \"{}\"", place.after[0]));
    Err(problem.allowed("it next to the data, or with \"dequantise\" or \"probit\" alone between").into())
}

/// The data that a map is fitted to.
fn data<'a>(kind: &str, around: &Surroundings<'a>) -> Result<&'a Summary> {
    around.data.map(|data| &data.summary).ok_or_else(|| {
        let problem = around.place.problem("kind", format!("\"{kind}\" on an energy"));
        problem.allowed("it only where the target is data").into()
    })
}

impl Part for DequantiseRecipe {
    fn kind(&self) -> &'static str {
        "dequantise"
    }

    fn check(&self, place: &Place) -> Result<()> {
        match place.after.first() {
            Some(next) => {
                let problem = place.problem("kind", format!("\"dequantise\" before \"{next}\""));
                Err(problem.allowed("it as the last segment, next to the data").into())
            }
            None => Ok(()),
        }
    }

    fn formula(&self) -> &'static str {
        "log 1 - log 1 = 0: x = floor(y) against y uniform on its cell"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        vec![DEQUANTISE]
    }

    fn takes_integers(&self) -> bool {
        true
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        size(around)
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let Some(levels) = around.integers() else {
            let problem = around.place.problem("kind", "\"dequantise\" on continuous data");
            return Err(problem.allowed("it only where target.levels is above 0").into());
        };
        Ok(Box::new(Dequantise::new(around.dimension, levels)))
    }
}

impl Part for StandardiseRecipe {
    fn kind(&self) -> &'static str {
        "standardise"
    }

    fn check(&self, place: &Place) -> Result<()> {
        next_to_data(self.kind(), place)
    }

    fn formula(&self) -> &'static str {
        "sum log std, fixed"
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        size(around)
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let data = data(self.kind(), around)?;
        Ok(Box::new(Flow::new(around.dimension, vec![Box::new(standardise(data, around.levels))])))
    }
}

impl Part for WhitenRecipe {
    fn kind(&self) -> &'static str {
        "whiten"
    }

    fn check(&self, place: &Place) -> Result<()> {
        next_to_data(self.kind(), place)
    }

    fn formula(&self) -> &'static str {
        "sum log std + log |det L|, fixed"
    }

    fn fit(&self, data: &mut Dataset) {
        data.correlate();
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let squared = around.dimension.min(MOST_COLUMNS).pow(2) as f64;
        Size { weights: 2.0 * squared, ..size(around) }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let data = data(self.kind(), around)?;
        let mut layers: Vec<Box<dyn Bijection>> = Vec::new();
        if let Some(correlation) = &data.correlation {
            // What noise adds to variances goes with nothing.
            let factor = |Latent { variance, noise, .. }: &Latent| (variance / (variance + noise)).sqrt();
            let factors: Vec<f64> = latent(data, around.levels)
                .iter()
                .map(|column| if column.variance > 0.0 { factor(column) } else { 0.0 })
                .collect();
            let lower = correlation.factor(&factors).ok_or_else(|| {
                Problem::new("data.json, correlation", "numbers that are no correlations of the columns")
                    .allowed("the file as it was written")
            })?;
            layers.push(Box::new(Correlate::new(&lower, around.dimension)));
        }
        layers.push(Box::new(standardise(data, around.levels)));
        Ok(Box::new(Flow::new(around.dimension, layers)))
    }
}

/// The columns as the segment before sees them; integers come with noise that is uniform from 0 to 1.
fn latent(data: &Summary, levels: u32) -> Vec<Latent> {
    let mut columns = data.latent();
    if levels > 0 {
        columns.iter_mut().for_each(|column| (column.mean, column.noise) = (column.mean + 0.5, 1.0 / 12.0));
    }
    columns
}

/// Means and standard deviations of the training split, with those of the noise of integers.
fn standardise(data: &Summary, levels: u32) -> Standardise {
    let (mut mean, mut std) = (Vec::new(), Vec::new());
    for Latent { mean: average, variance, noise } in latent(data, levels) {
        let variance = variance + noise;
        mean.push(average as f32);
        // Of a constant column, or one that f32 hardly tells from one, rounding is all there is to scale.
        let varies = variance > 1e-12 * (average * average + variance);
        let scale = if varies { variance.sqrt() as f32 } else { 1.0 };
        std.push(if scale >= f32::MIN_POSITIVE { scale } else { 1.0 });
    }
    Standardise::new(mean, std)
}

impl Part for LogitRecipe {
    fn kind(&self) -> &'static str {
        "logit"
    }

    fn check(&self, place: &Place) -> Result<()> {
        next_to_data(self.kind(), place)?;
        within(&place.of("margin"), f64::from(self.margin), 1e-6, 0.499)
    }

    fn formula(&self) -> &'static str {
        "sum log sigmoid'(z), fixed"
    }

    fn excludes(&self, value: f32, place: &Place) -> Option<String> {
        let logit = Logit::new(self.margin);
        let [low, high] = logit.ends();
        (!logit.holds(value)).then(|| {
            format!(
                "a number between {low} and {high}, where the logit of {} ends (margin = {})",
                place.key(),
                self.margin
            )
        })
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        size(around)
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let mut ends = data(self.kind(), around)?.range.iter().flatten();
        if let (0, Some(value)) = (around.levels, ends.find(|value| !(0.0..=1.0).contains(*value))) {
            let problem = around.place.problem("kind", format!("\"logit\" on data with {value}"));
            return Err(problem.allowed("it on data with levels, or within [0, 1]").into());
        }
        let mut layers: Vec<Box<dyn Bijection>> = vec![Box::new(Logit::new(self.margin))];
        if around.levels > 0 {
            let scale = vec![around.levels as f32; around.dimension];
            layers.push(Box::new(Standardise::new(vec![0.0; around.dimension], scale)));
        }
        Ok(Box::new(Flow::new(around.dimension, layers)))
    }
}
