//! Collecting what a report shows from a run and its files.

use std::path::Path;

use serde_json::{Map, Value};

use super::pictures::square;
use super::rolls::Rolls;
use super::{Density, Frame, ImageShape, Logged, Reference, Stages, Summary, candidates, flow, particles};
use crate::array::weights::to_vec;
use crate::chain::Given;
use crate::error::{Error, Failure, Problem, Result};
use crate::model::Segment;
use crate::objective::ForwardKl;
use crate::plot::Point;
use crate::policy::ContinuousActions;
use crate::recipe::gflownet::{FlowTask, Task};
use crate::recipe::{ChainPlan, Condition, GFlowNetPlan, ObjectiveRecipe, Plan, TargetData};
use crate::rng::{Address, Noise, Purpose};
use crate::run::{Run, Silent};
use crate::target::Target;

/// Rows of samples and of data in a report.
const ROWS: usize = 20_000;

/// Places of the chain at which paths are shown, and how many paths.
const PLACES: usize = 11;
const PATHS: usize = 400;

/// Cells of a density along each axis.
const CELLS: usize = 120;

/// All that a report shows of a run that was evaluated, with `result` as [`Run::result`] answers it.
///
/// # Errors
/// If no checkpoint is whole, or `samples.npy` cannot be read.
pub fn gather(run: &Run, result: &Value) -> Result<Summary> {
    match &run.plan {
        Plan::Chain(plan) => chain(run, plan, result),
        Plan::GFlowNet(plan) => gflownet(run, plan, result),
    }
}

/// What reports of both kinds of runs show.
fn common(run: &Run, result: &Value) -> Result<Summary> {
    let (plan, recipe) = (&run.plan, run.plan.recipe());
    Ok(Summary {
        name: recipe.name.clone(),
        title: recipe.title.clone(),
        seed: recipe.seed,
        steps: result["steps"].as_u64().unwrap_or(recipe.training.steps),
        seconds: result["seconds"].as_f64().unwrap_or(f64::NAN),
        parameters: plan.parameters() as u64,
        facts: plan.explain(),
        metrics: result["metrics"].as_object().cloned().unwrap_or_default(),
        timings: result["timings"].as_object().cloned().unwrap_or_default(),
        log: read_log(&run.directory.join("metrics.jsonl"))?,
        validation: if plan.score() == "nll" { "nats per row" } else { "\u{2212}ELBO, nats" }.to_owned(),
        recipe: recipe.to_toml(),
        citations: recipe.citations().into_iter().map(str::to_owned).collect(),
        ..Summary::default()
    })
}

fn gflownet(run: &Run, plan: &GFlowNetPlan, result: &Value) -> Result<Summary> {
    let columns = plan.task.columns();
    let mut samples = read_samples(&run.directory.join("samples.npy"), columns)?;
    samples.truncate(ROWS * columns);
    let target = serde_json::to_string(&plan.recipe.target).expect("a target is plain values");
    let summary = Summary { target, dimension: columns, samples, ..common(run, result)? };
    match &plan.task {
        Task::Discrete(task) => {
            let trained = run.trained(&Silent)?;
            let flow = flow::gather(plan, task, &trained, &summary.samples)?;
            let proposals = candidates::gather(plan, task, &trained)?;
            Ok(Summary { flow: Some(flow), proposals, ..summary })
        }
        Task::Continuous(task) => points(plan, task, summary),
    }
}

/// Samples of points beside exact ones and, in the plane, the reward.
fn points(plan: &GFlowNetPlan, task: &FlowTask<ContinuousActions>, summary: Summary) -> Result<Summary> {
    let columns = summary.dimension;
    let dimension = plan.recipe.objects().coordinates().unwrap_or(columns);
    let kept = |rows: &[f32]| -> Vec<f32> {
        rows.chunks_exact(columns).flat_map(|row| row[..dimension].iter().copied()).collect()
    };
    let noise = Noise::new(plan.recipe.seed, Purpose::Target).at(Address::FITTED);
    let exact = task.reward.draw(summary.samples.len() / columns, &noise);
    let reference = exact.map(|rows| Reference { name: "Exact samples".to_owned(), rows: kept(&rows) });
    let samples = kept(&summary.samples);
    let rest = summary.samples.get(dimension..columns).unwrap_or_default().to_vec();
    let depends = task.reward.condition_width() > 0;
    let density = if dimension == 2 && plan.recipe.objects().coordinates().is_some() && !depends {
        let mut shown = samples.clone();
        shown.extend(reference.iter().flat_map(|reference| &reference.rows));
        let log_reward = |points: &[f32]| {
            let states: Vec<f32> =
                points.chunks_exact(2).flat_map(|point| point.iter().chain(&rest).copied()).collect();
            let mut out = vec![f64::NEG_INFINITY; points.len() / 2];
            task.reward.log_rewards(&states, &[], &mut out).map_err(Failure::into_error)?;
            Ok(out)
        };
        Some(density(log_reward, &shown)?)
    } else {
        None
    };
    Ok(Summary { dimension, samples, reference, density, ..summary })
}

/// Whether the loss of a step is what the validation score is, of other rows or paths.
fn same_loss(plan: &ChainPlan) -> bool {
    let segments = plan.model.segments();
    let own = |segment: &dyn Segment| {
        segment.is_local() && !segment.is_exact()
            || segment.as_energy().is_some()
            || segment.as_flow_network().is_some()
    };
    match plan.recipe.objective {
        ObjectiveRecipe::ForwardKl(objective) => {
            objective == ForwardKl::default() && !segments.iter().any(|segment| own(segment.as_ref()))
        }
        ObjectiveRecipe::ReverseKl(_) => true,
        _ => false,
    }
}

fn chain(run: &Run, plan: &ChainPlan, result: &Value) -> Result<Summary> {
    let recipe = &plan.recipe;
    let dimension = plan.dimension();
    let mut samples = read_samples(&run.directory.join("samples.npy"), dimension)?;
    let mut classes = Vec::new();
    if let Condition::Class { classes: known, .. } = &plan.condition {
        // Samples are in the order of their classes: some of each are shown.
        let given = read_samples(&run.directory.join("given.npy"), known.count)?;
        let class = |row: &[f32]| row.iter().position(|there| *there == 1.0).unwrap_or(0);
        let all: Vec<usize> = given.chunks_exact(known.count).map(class).collect();
        let step = all.len().div_ceil(ROWS).max(1);
        classes = all.into_iter().step_by(step).collect();
        samples = samples.chunks_exact(dimension).step_by(step).flatten().copied().collect();
    }
    samples.truncate(ROWS * dimension);
    let rows = samples.len() / dimension;
    let reference = match &plan.data {
        TargetData::Rows(data) => {
            let (name, source) = if data.test.is_empty() {
                ("Training data", &data.train)
            } else {
                ("Held-out data", &data.test)
            };
            let kept = source.len().min(rows.max(64) * dimension);
            Some(Reference { name: name.to_owned(), rows: source[..kept].to_vec() })
        }
        // Exact samples of a likelihood are none of the posterior.
        TargetData::Energy(_) if plan.prior.is_some() => None,
        TargetData::Energy(energy) => {
            let exact = energy.draw(rows, &Noise::new(recipe.seed, Purpose::Target).at(Address::FITTED));
            exact.map(|rows| Reference { name: "Exact samples".to_owned(), rows })
        }
    };
    let plane = |rows: &[f32]| recipe.target.rows().and_then(|target| target.in_plane(rows));
    let image = recipe.target.image().map(|[height, width]| {
        let (low, high) = match recipe.target.levels() {
            0 => range(reference.iter().flat_map(|reference| &reference.rows)),
            levels => (0.0, (levels - 1) as f32),
        };
        ImageShape { height, width, low, high, fixed: false }
    });
    let density = match &plan.data {
        TargetData::Energy(energy)
            if dimension == 2 && plan.condition.width() == 0 && plan.prior.is_none() =>
        {
            let mut shown = samples.clone();
            shown.extend(reference.iter().flat_map(|reference| &reference.rows));
            Some(density(of_energy(energy.as_ref()), &shown)?)
        }
        _ => None,
    };
    let model = plan.model.with_weights(&run.trained(&Silent)?.vectors);
    let noise = plan.sampling_noise();
    let given = plan.condition.of_samples(PATHS, &noise);
    let frames = recipe.sampler.trajectory(&model, PATHS, PLACES, &given, &noise);
    let frames = frames.map_err(Failure::into_error)?;
    let rolls = recipe.target.rows().filter(|rows| rows.are_pitches()).map(|_| {
        let shown = reference.iter().flat_map(|reference| &reference.rows);
        let given = plan.condition.of_test().values();
        Rolls::over(shown.chain(given), [plan.condition.width(), dimension], recipe.target.levels() as usize)
    });
    let image = rolls.as_ref().map(Rolls::shape).or(image);
    // What states picture, where that is something else than they are.
    let pictured = |rows: &[f32], given: &Given| match &rolls {
        Some(rolls) => Some(rolls.pictures(rows, given.values())),
        None => plane(rows),
    };
    let size = rolls.as_ref().map_or(2, |rolls| rolls.shape().height * rolls.shape().width);
    let trajectory = frames.into_iter().map(|(place, state)| {
        let dimension = state.dims()[1];
        let values = to_vec(state);
        match pictured(&values, &given) {
            Some(values) => Frame { place, dimension: size, values },
            None => Frame { place, dimension, values },
        }
    });
    let trajectory: Vec<Frame> = trajectory.collect();
    let (dimension, samples, reference) = match pictured(&samples, &given) {
        Some(samples) => {
            let shown = |Reference { name, rows }| {
                let rows = pictured(&rows, plan.condition.of_test()).unwrap_or_default();
                Reference { name, rows }
            };
            (size, samples, reference.map(shown))
        }
        None => (dimension, samples, reference),
    };
    Ok(Summary {
        target: serde_json::to_string(&recipe.target).expect("a target is plain values"),
        columns: if dimension == plan.dimension() { plan.names().unwrap_or_default() } else { Vec::new() },
        words: plan.discrete().iter().map(|found| (found.column, found.words.clone())).collect(),
        dimension,
        image,
        samples,
        classes,
        reference,
        density,
        trajectory,
        stages: stages(&run.directory.join("smc.csv"))?,
        same_loss: same_loss(plan),
        ..common(run, result)?
    })
}

fn range<'a>(values: impl Iterator<Item = &'a f32>) -> (f32, f32) {
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// An energy of two dimensions on a grid around some points.
/// The log-density of points of the plane.
fn of_energy(energy: &dyn Target) -> impl Fn(&[f32]) -> Result<Vec<f64>> {
    |points| {
        let mut out = vec![f64::NEG_INFINITY; points.len() / 2];
        energy.log_rewards(points, &[], &mut out).map_err(Failure::into_error)?;
        Ok(out)
    }
}

fn density(log_density: impl Fn(&[f32]) -> Result<Vec<f64>>, rows: &[f32]) -> Result<Density> {
    let points: Vec<Point> = rows.chunks_exact(2).map(|row| (f64::from(row[0]), f64::from(row[1]))).collect();
    let (x, y) = square(&points, ["", ""]);
    let middle =
        |low: f64, high: f64, k: usize| (low + (high - low) * (k as f64 + 0.5) / CELLS as f64) as f32;
    let grid = (0..CELLS * CELLS)
        .flat_map(|cell| [middle(x.low, x.high, cell % CELLS), middle(y.low, y.high, cell / CELLS)]);
    let log_density = log_density(&grid.collect::<Vec<f32>>())?;
    let largest = log_density.iter().copied().filter(|v| v.is_finite()).fold(f64::NEG_INFINITY, f64::max);
    Ok(Density {
        low: [x.low, y.low],
        high: [x.high, y.high],
        cells: CELLS,
        values: log_density.iter().map(|value| (value - largest).exp()).collect(),
    })
}

/// The columns of `smc.csv`; a run without one has none.
fn stages(path: &Path) -> Result<Stages> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(particles::read(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Stages::new()),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// The lines of `metrics.jsonl` that are whole; a run without one has none.
pub(super) fn read_log(path: &Path) -> Result<Vec<Logged>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
    Ok(lines.filter_map(|fields| Some(Logged { step: fields.get("step")?.as_u64()?, fields })).collect())
}

/// The numbers of a run's own `samples.npy`.
fn read_samples(path: &Path, columns: usize) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let damaged = || -> Error {
        Problem::new(path.display().to_string(), "no samples of this run")
            .allowed(format!("the file that the run's evaluation wrote, with {columns} columns of f32"))
            .into()
    };
    let values = bytes
        .strip_prefix(b"\x93NUMPY\x01\x00")
        .and_then(|rest| rest.split_first_chunk::<2>())
        .and_then(|(length, rest)| rest.get(usize::from(u16::from_le_bytes(*length))..))
        .ok_or_else(damaged)?;
    let (numbers, rest) = values.as_chunks::<4>();
    if !rest.is_empty() || !numbers.len().is_multiple_of(columns.max(1)) {
        return Err(damaged());
    }
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Format, Layout, write_samples};
    use crate::target::{DiagonalGaussian, Target};

    fn temporary(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("anabranch-report-{}-{name}", std::process::id()))
    }

    #[test]
    fn samples_are_read_as_they_were_written() {
        let path = temporary("samples");
        write_samples(&path, Format::Npy, &[1.0, -2.5, 3.0, f32::MAX, 0.0, 7.0], &Layout::of(3)).unwrap();
        assert_eq!(read_samples(&path, 3).unwrap(), [1.0, -2.5, 3.0, f32::MAX, 0.0, 7.0]);
        assert!(read_samples(&path, 4).unwrap_err().is_input());
        for damage in [&b""[..], b"\x93NUMPY\x01\x00\xff\xff", b"something else"] {
            std::fs::write(&path, damage).unwrap();
            assert!(read_samples(&path, 3).unwrap_err().is_input());
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn torn_lines_of_a_log_are_left_out() {
        let path = temporary("log");
        assert_eq!(read_log(&path).unwrap(), []);
        std::fs::write(&path, "{\"step\":1,\"loss\":2.0}\n\n{\"loss\":1}\n{\"step\":2,\"lo").unwrap();
        let log = read_log(&path).unwrap();
        assert_eq!((log.len(), log[0].step, log[0].fields["loss"].as_f64()), (1, 1, Some(2.0)));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn densities_peak_where_the_energy_does() {
        let energy = DiagonalGaussian { mean: vec![1.0, -2.0], std: vec![0.5, 1.5], log_z: 7.0 };
        let rows = energy.draw(2000, &Noise::new(1, Purpose::Target)).unwrap();
        let found = density(of_energy(&energy), &rows).unwrap();
        let peak = found.values.iter().position(|value| *value == 1.0).unwrap();
        let cell = (found.high[0] - found.low[0]) / CELLS as f64;
        let at = |k: usize, index: usize| found.low[k] + cell * (index as f64 + 0.5);
        assert!((at(0, peak % CELLS) - 1.0).abs() <= cell && (at(1, peak / CELLS) + 2.0).abs() <= cell);
        // The mass on the grid is that of the Gaussian, whose peak is 1: 2 pi times the standard deviations.
        let mass = found.values.iter().sum::<f64>() * cell * cell;
        assert!((mass / (std::f64::consts::TAU * 0.75) - 1.0).abs() < 0.02, "{mass}");
    }
}
