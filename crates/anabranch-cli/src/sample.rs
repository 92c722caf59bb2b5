//! Drawing from what was trained.

use std::path::{Path, PathBuf};

use anabranch::chain::Given;
use anabranch::data::atomic::check_writable;
use anabranch::data::zarr::{check_zarr, write_zarr};
use anabranch::data::{Format, Layout, write_lines, write_objects, write_samples};
use anabranch::error::{Error, Failure, Problem, Result, quoted};
use anabranch::estimate::paths::weighted_paths;
use anabranch::model::jump::sampling::Sampling;
use anabranch::recipe::gflownet::Task;
use anabranch::recipe::{Known, Plan, TargetData, inference_data};
use anabranch::rng::{Noise, Purpose};
use anabranch::run::{Observer, Refine, Refined, Run, trust, watched};
use anabranch::sampler::Sampler;

use crate::output::say;
use crate::progress::{Progress, Stop};

/// Lines about conditions outside of the training rows, at most.
const NOTES: usize = 5;

/// The recipe's sampler, or the one that is named, with so many steps.
fn sampler(recipe: Sampler, name: Option<&str>, steps: Option<u64>) -> Result<Sampler> {
    let own = match recipe {
        Sampler::Ancestral | Sampler::Discrete(_) => 50,
        Sampler::Ddim { steps, .. } | Sampler::Ode { steps } => steps,
    };
    let chosen = match (name, recipe) {
        (None, recipe) => recipe,
        (Some("ancestral"), _) => Sampler::Ancestral,
        (Some("ddim"), Sampler::Ddim { .. }) => recipe,
        (Some("ddim"), _) => Sampler::Ddim { steps: own, eta: 0.0 },
        (Some("ode"), _) => Sampler::Ode { steps: own },
        (Some("discrete"), Sampler::Discrete(_)) => recipe,
        (Some("discrete"), _) => Sampler::Discrete(Sampling::default()),
        (Some(name), _) => {
            return Err(Problem::new("--sampler", quoted(name))
                .choices(&["ancestral", "ddim", "ode", "discrete"])
                .into());
        }
    };
    let Some(steps) = steps else { return Ok(chosen) };
    let within =
        |least: u64| match usize::try_from(steps) {
            Ok(count) if (least..=1_000_000).contains(&steps) => Ok(count),
            _ => Err(Problem::new("--steps", steps.to_string())
                .allowed(format!("an integer from {least} to 1000000"))),
        };
    Ok(match chosen {
        Sampler::Ddim { eta, .. } => Sampler::Ddim { steps: within(2)?, eta },
        Sampler::Ode { .. } => Sampler::Ode { steps: within(1)? },
        Sampler::Discrete(sampling) => Sampler::Discrete(Sampling { steps: Some(within(1)?), ..sampling }),
        Sampler::Ancestral => {
            return Err(Problem::new("--steps", format!("{steps} with the ancestral sampler"))
                .allowed("it only with --sampler ddim, ode or discrete")
                .into());
        }
    })
}

/// How samples are drawn, as the flags say it.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    /// `--sampler`.
    pub sampler: Option<&'a str>,
    /// `--steps`.
    pub steps: Option<u64>,
    /// `--refine`.
    pub refine: Option<&'a str>,
    /// `--condition`.
    pub condition: Option<&'a str>,
    /// `--conditions`.
    pub conditions: Option<&'a Path>,
    /// `--allow-command`.
    pub allow_command: bool,
    /// `--force`.
    pub force: bool,
}

/// Draws from a trained run into a file.
pub fn sample(
    directory: &Path,
    count: u64,
    seed: u64,
    How { sampler: name, steps, refine, condition, conditions, allow_command, force }: How<'_>,
    format: Option<&str>,
    out: Option<PathBuf>,
) -> Result<()> {
    let format = match (format, &out) {
        (Some(name), _) => name.parse()?,
        (None, Some(path)) => Format::of(path)?,
        (None, None) => Format::Npy,
    };
    trust::check_environment(directory, allow_command)?;
    let run = match condition.is_some() || conditions.is_some() {
        true => Run::open_without_data(directory)?,
        false => Run::open_to_draw(directory)?,
    };
    // Nothing else asks a target for its values.
    if refine.is_some() || run.plan.recipe().smc.is_some() || format == Format::Zarr {
        trust::check(directory, allow_command)?;
    }
    let image = run.plan.recipe().target.image();
    format.check(image, has_words(&run.plan))?;
    let sampler = chosen(&run.plan, name, steps)?;
    let refine = refine.map(|refine| refining(&run.plan, refine, name)).transpose()?;
    let given = given(&run.plan, condition, conditions)?;
    let outside = match (&run.plan, &given) {
        (Plan::Chain(plan), Some(given)) => plan.condition.outside(given),
        _ => Vec::new(),
    };
    let listed = given.as_ref().map_or(1, |given| given.values().len() / given.width());
    let columns = run.plan.columns();
    let most = (1 << 30) / (columns * listed * refine.map_or(1, |refine: Refine| refine.draws(1)));
    let Some(each) = usize::try_from(count).ok().filter(|count| (1..=most).contains(count)) else {
        let under = if listed > 1 { format!(" under each of {listed} conditions") } else { String::new() };
        let allowed = format!("an integer from 1 to {most} with {columns} columns{under}");
        return Err(Problem::new("--count", count.to_string()).allowed(allowed).into());
    };
    let (count, given) = (each * listed, given.map(|given| given.repeat(each)));
    let place =
        out.as_ref().map_or("the run's directory".to_owned(), |out| format!("--out {}", out.display()));
    let out = out.unwrap_or_else(|| directory.join(format!("samples-{count}.{}", format.name())));
    // Hours of sampling should not end in a path that was wrong from the start.
    let writable = if format == Format::Zarr { check_zarr(&out) } else { check_writable(&out) };
    writable.map_err(|error| at_output(&place, error))?;
    if !force && (out.is_file() || (format == Format::Zarr && out.exists())) {
        let found = format!("{} is there already", out.display());
        return Err(Problem::new(place, found).allowed("a new path, or --force to write over it").into());
    }
    let progress = Progress::new(&run.plan.recipe().name, false, &Stop::listen());
    outside.iter().take(NOTES).for_each(|line| progress.note(line));
    let trained = run.trained(&progress)?;
    let mut known = Known::default();
    let samples = match (refine, &run.plan) {
        (Some(refine), plan) => {
            let Refined { rows, note } = plan.refined(&trained, refine, count, seed, &progress)?;
            progress.note(&note);
            known.note = Some(note);
            rows
        }
        (None, Plan::Chain(plan)) => {
            let noise = Noise::new(seed, Purpose::Source);
            let given = given.unwrap_or_else(|| plan.condition.drawn(count, &noise));
            (known.conditions, known.width) = (plan.condition.in_units(&given), given.width());
            let seen = watched(&progress, "samples", count);
            match (&plan.data, sampler) {
                (TargetData::Energy(target), Sampler::Ancestral)
                    if format == Format::Zarr && plan.prior.is_none() && plan.recipe.smc.is_none() =>
                {
                    let model = plan.model.with_weights(&trained.vectors).frozen();
                    let paths = weighted_paths(&model, target.as_ref(), count, &given, &noise, &seen);
                    let paths = paths.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
                    known.log_weights = Some(paths.log_weights);
                    paths.ends
                }
                _ => plan.draw(&trained, sampler, count, &given, &noise, &seen)?,
            }
        }
        (None, Plan::GFlowNet(plan)) => {
            let seen = watched(&progress, "samples", count);
            let noise = Noise::new(seed, Purpose::Choice);
            let given = given.unwrap_or_default();
            (known.conditions, known.width) = (given.values().to_vec(), given.width());
            plan.sample(&trained, count, &given, &noise, &seen)?
        }
    };
    let written = match format {
        Format::Zarr => write_zarr(&out, &inference_data(&run.plan, &samples, seed, &known)),
        _ => write(&run.plan, &out, format, &samples, &known.conditions),
    };
    written.map_err(|error| at_output(&place, error))?;
    say(&format!("{}\n", out.display()))
}

/// The conditions that the flags name, `[conditions, width]`.
fn given(plan: &Plan, condition: Option<&str>, conditions: Option<&Path>) -> Result<Option<Given>> {
    let found = match (condition, conditions, plan) {
        (None, None, _) => return Ok(None),
        (Some(text), _, Plan::Chain(plan)) => plan.condition.parse("--condition", text),
        (Some(text), _, Plan::GFlowNet(plan)) => plan.given("--condition", text),
        (None, Some(path), Plan::Chain(plan)) => plan.condition.read("--conditions", path),
        (None, Some(path), Plan::GFlowNet(plan)) => plan.read_given("--conditions", path),
    };
    found.map(Some)
}

/// Whether samples are written as words.
fn has_words(plan: &Plan) -> bool {
    match plan {
        Plan::Chain(plan) => plan.recipe.target.rows().is_some_and(|rows| rows.text(&[]).is_some()),
        Plan::GFlowNet(_) => true,
    }
}

/// Writes samples of a plan, `[count, columns]`, each under its condition. Discrete objects come in words with their log-rewards, unless
/// these are another program's, which drawing does not start.
fn write(plan: &Plan, out: &Path, format: Format, samples: &[f32], conditions: &[f32]) -> Result<()> {
    match (plan, format) {
        (Plan::Chain(plan), Format::Txt) => {
            let text = plan.recipe.target.rows().and_then(|rows| rows.text(samples)).unwrap_or_default();
            write_lines(out, text.lines().map(str::to_owned))
        }
        (Plan::Chain(plan), Format::Csv | Format::Parquet) => {
            let table = plan.table(samples, conditions);
            let (names, discrete) = (table.names.as_deref(), &table.discrete[..]);
            let levels = plan.recipe.target.levels();
            write_samples(
                out,
                format,
                &table.values,
                &Layout { levels, names, discrete, ..Layout::of(table.columns) },
            )
        }
        (Plan::Chain(plan), _) => {
            let (target, names) = (&plan.recipe.target, plan.names());
            let (image, levels) = (target.image(), target.levels());
            let (names, discrete) = (names.as_deref(), plan.discrete());
            let layout = Layout { image, levels, names, discrete, ..Layout::of(plan.dimension()) };
            write_samples(out, format, samples, &layout)
        }
        (Plan::GFlowNet(plan), Format::Txt) => write_lines(out, plan.task.texts(samples).into_iter()),
        (Plan::GFlowNet(plan), Format::Csv | Format::Parquet) if matches!(plan.task, Task::Discrete(_)) => {
            let log_rewards = match plan.recipe.programs().is_empty() && plan.recipe.roots.is_none() {
                true => plan.task.log_rewards(samples, conditions).map_err(Failure::into_error)?,
                false => None,
            };
            write_objects(out, format, &plan.task.texts(samples), log_rewards.as_deref())
        }
        (Plan::GFlowNet(plan), _) => write_samples(out, format, samples, &Layout::of(plan.task.columns())),
    }
}

/// How the flag says that samples are refined, of a plan that allows it.
fn refining(plan: &Plan, refine: &str, sampler: Option<&str>) -> Result<Refine> {
    let refine = refine.parse()?;
    plan.check_refine()?;
    match sampler {
        Some(sampler @ ("ddim" | "ode" | "discrete")) => {
            let found =
                format!("{} beside --refine, whose weights are those of the chain itself", quoted(sampler));
            Err(Problem::new("--sampler", found).allowed("ancestral").into())
        }
        _ => Ok(refine),
    }
}

/// The sampler that the flags choose, where the plan leaves a choice.
fn chosen(plan: &Plan, name: Option<&str>, steps: Option<u64>) -> Result<Sampler> {
    let recipe = plan.recipe();
    let diffuses = recipe.model.iter().any(|segment| segment.part().has_ode());
    let chosen = sampler(recipe.sampler, name, steps)?;
    if let Sampler::Discrete(sampling) = chosen {
        recipe.model.iter().try_for_each(|segment| segment.part().check_sampling(&sampling))?;
    }
    match name {
        Some(name @ ("ddim" | "ode")) if !diffuses => {
            Err(Problem::new("--sampler", format!("{} for a model without a diffusion", quoted(name)))
                .allowed("ancestral")
                .into())
        }
        _ => Ok(chosen),
    }
}

/// An error of writing to a path that the user gave.
fn at_output(place: &str, error: Error) -> Error {
    match error {
        Error::Io { path, source, .. } => Error::output(place, &path, source),
        other => other,
    }
}
