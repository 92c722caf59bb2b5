//! Trained weights for programs of others: one safetensors file of named, shaped arrays, and all else that densities take.
//!
//! | tensor | what |
//! |---|---|
//! | `NAME.PART` | a part of a weight vector, such as `0.1.lu.lower`, in its shape |
//! | `constants.LAYER.NAME` | a fixed array of a layer |
//! | `check.state.T`, `T = 0 .. steps` | rows of states on a path from the source, `T = 0`, to rows that the model drew, `[rows, dimension]` |
//! | `check.log_source`, `check.log_ratio` | `log mu(s_0)`, `[rows]`, and `log P_F - log P_B` of each step, `[steps, rows]`: their sum is `log p(x)` of a flow, and of others what one path says of it; f64, nats |
//!
//! The metadata's `layers` are JSON: what each layer is, from the source to the data, and how many steps it has; `recipe` is the resolved
//! recipe.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use crate::array::weights::{matrix, to_vec, to_vec_f64};
use crate::chain::{Given, double};
use crate::data::atomic::atomic_write;
use crate::error::{Error, Failure, Problem, Result, quoted};
use crate::model::Model;
use crate::recipe::{ChainPlan, Plan};
use crate::rng::{Address, Noise, Purpose};
use crate::train::Trained;

/// Rows on which a reader is checked, unless their paths are long.
const ROWS: usize = 8;

/// Numbers of all states on their paths, about.
const NUMBERS: usize = 1 << 20;

/// The entry of the file's metadata.
const ENTRY: &str = "anabranch";

/// Arrays by name: shape and little-endian numbers.
#[derive(Default)]
struct Arrays(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Arrays {
    fn put(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        self.0.push((name, Dtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()));
    }

    fn put_f64(&mut self, name: &str, shape: Vec<usize>, values: &[f64]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.push((name.to_owned(), Dtype::F64, shape, bytes));
    }
}

/// Writes the weights of a trained run with all that a reader needs.
///
/// # Errors
/// If a part of the model cannot be told, it depends on conditions, or the file cannot be written.
pub fn export(plan: &Plan, trained: &Trained, path: &Path) -> Result<()> {
    let Plan::Chain(plan) = plan else { return refused("a flow network") };
    let model = plan.model.with_weights(&trained.vectors);
    let (mut arrays, mut layers) = (Arrays::default(), Vec::new());
    if plan.condition.width() > 0 {
        return refused("a model with conditions");
    }
    if model.segments().iter().any(|segment| segment.source().is_some()) {
        return refused("a model with a source of its own");
    }
    for segment in model.segments() {
        let Some(described) = segment.described() else {
            return refused(&format!("a segment of kind {}, or with such a network", quoted(segment.kind())));
        };
        for (layer, steps) in described {
            let place = format!("constants.{}", layers.len());
            let names: Vec<String> =
                layer.constants.iter().map(|(name, ..)| format!("{place}.{name}")).collect();
            for (name, (_, shape, values)) in names.into_iter().zip(layer.constants) {
                arrays.put(name, shape, &values);
            }
            let mut settings = layer.settings;
            settings["kind"] = layer.kind.into();
            settings["steps"] = steps.into();
            layers.push(settings);
        }
    }
    for weights in model.weights() {
        let values = weights.values();
        for slot in weights.slots() {
            let name = format!("{}.{}", weights.name(), slot.name);
            arrays.put(name, slot.shape.clone(), &values[slot.range.clone()]);
        }
    }
    check(plan, &model, &mut arrays)?;
    write(plan, &layers, &arrays, path)
}

fn refused<T>(found: &str) -> Result<T> {
    let allowed = "normalizing flows, variational autoencoders and diffusions by plain stacks, with the maps around data";
    Err(Problem::new("anabranch export", found).allowed(allowed).into())
}

/// Rows that the model drew, and a path back from each.
fn check(plan: &ChainPlan, model: &Model, arrays: &mut Arrays) -> Result<()> {
    let chain = model.chain();
    let steps = chain.transitions.len();
    let widest = model.segments().iter().map(|segment| segment.widest()).max().unwrap_or(1);
    let rows = (NUMBERS / (steps * widest)).clamp(1, ROWS);
    let noise = Noise::new(plan.recipe.seed, Purpose::Choice).at(Address::SAMPLES);
    let given = Given::nothing();
    let drawn = plan.recipe.sampler.sample_observed(model, rows, &given, &noise, &|_| true);
    let drawn = drawn.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
    let mut state = matrix(drawn, plan.dimension(), &model.device());
    let mut ratios = Vec::with_capacity(steps * rows);
    let put = |arrays: &mut Arrays, at: usize, state: &crate::chain::State| {
        arrays.put(format!("check.state.{at}"), state.dims().to_vec(), &to_vec(state.clone()));
    };
    put(arrays, steps, &state);
    for (index, transition) in chain.transitions.iter().enumerate().rev() {
        let noise = noise.purpose(Purpose::Backward).step(index as u32);
        let step = transition.backward(state, &given, &noise).map_err(Failure::into_error)?;
        ratios.push(to_vec_f64(double(step.log_ratio)));
        state = step.state;
        put(arrays, index, &state);
    }
    ratios.reverse();
    let log_source = chain.source.log_density(&state, &given).map_err(Failure::into_error)?;
    arrays.put_f64("check.log_source", vec![rows], &to_vec_f64(double(log_source)));
    arrays.put_f64("check.log_ratio", vec![steps, rows], &ratios.concat());
    Ok(())
}

fn write(plan: &ChainPlan, layers: &[Value], Arrays(arrays): &Arrays, path: &Path) -> Result<()> {
    let about = json!({ "layers": layers, "recipe": plan.recipe });
    // One entry: the order of several would not be the same in every file.
    let metadata = HashMap::from([(ENTRY.into(), about.to_string())]);
    let views = arrays.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).expect("as many bytes as numbers need");
        (name.clone(), view)
    });
    let bytes = safetensors::serialize(views, Some(metadata)).expect("names are unique");
    atomic_write(path, |out| out.write_all(&bytes)).map_err(|error| at_output(path, error))
}

/// An error of writing what the user asked for.
fn at_output(path: &Path, error: Error) -> Error {
    match error {
        Error::Io { source, .. } => Error::output(&format!("--out {}", path.display()), path, source),
        other => other,
    }
}
