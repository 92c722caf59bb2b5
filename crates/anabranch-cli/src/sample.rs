//! Drawing from what was trained.

use std::path::{Path, PathBuf};

use anabranch::chain::Given;
use anabranch::data::atomic::check_writable;
use anabranch::data::{Format, write_lines, write_samples};
use anabranch::error::{Error, Failure, Problem, Result, quoted};
use anabranch::recipe::Plan;
use anabranch::rng::{Noise, Purpose};
use anabranch::run::{Run, watched};
use anabranch::sampler::Sampler;

use crate::output::say;
use crate::progress::{Progress, Stop};

/// The recipe's sampler, or the one that is named, with so many steps.
fn sampler(recipe: Sampler, name: Option<&str>, steps: Option<u64>) -> Result<Sampler> {
    let own = match recipe {
        Sampler::Ancestral => 50,
        Sampler::Ddim { steps, .. } | Sampler::Ode { steps } => steps,
    };
    let chosen = match (name, recipe) {
        (None, recipe) => recipe,
        (Some("ancestral"), _) => Sampler::Ancestral,
        (Some("ddim"), Sampler::Ddim { .. }) => recipe,
        (Some("ddim"), _) => Sampler::Ddim { steps: own, eta: 0.0 },
        (Some("ode"), _) => Sampler::Ode { steps: own },
        (Some(name), _) => {
            return Err(Problem::new("--sampler", quoted(name))
                .choices(&["ancestral", "ddim", "ode"])
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
        Sampler::Ancestral => {
            return Err(Problem::new("--steps", format!("{steps} with the ancestral sampler"))
                .allowed("it only with --sampler ddim or ode")
                .into());
        }
    })
}

/// Draws from a trained run into a file.
pub fn sample(
    directory: &Path,
    count: u64,
    seed: u64,
    (name, steps): (Option<&str>, Option<u64>),
    format: Option<&str>,
    out: Option<PathBuf>,
) -> Result<()> {
    let format = match (format, &out) {
        (Some(name), _) => name.parse()?,
        (None, Some(path)) => Format::of(path)?,
        (None, None) => Format::Npy,
    };
    let run = Run::open(directory)?;
    let image = run.plan.recipe().target.image();
    format.check(image, matches!(run.plan, Plan::GFlowNet(_)))?;
    let sampler = chosen(&run.plan, name, steps)?;
    let columns = run.plan.columns();
    let most = (1 << 30) / columns;
    let Some(count) = usize::try_from(count).ok().filter(|count| (1..=most).contains(count)) else {
        let allowed = format!("an integer from 1 to {most} with {columns} columns");
        return Err(Problem::new("--count", count.to_string()).allowed(allowed).into());
    };
    let place =
        out.as_ref().map_or("the run's directory".to_owned(), |out| format!("--out {}", out.display()));
    let out = out.unwrap_or_else(|| directory.join(format!("samples-{count}.{}", format.name())));
    // Hours of sampling should not end in a path that was wrong from the start.
    check_writable(&out).map_err(|error| at_output(&place, error))?;
    let progress = Progress::new(&run.plan.recipe().name, false, &Stop::listen());
    let trained = run.trained(&progress)?;
    let seen = watched(&progress, "samples", count);
    let written = match &run.plan {
        Plan::Chain(plan) => {
            let (model, noise) =
                (plan.model.with_weights(&trained.vectors), Noise::new(seed, Purpose::Source));
            let given = plan.condition.drawn(count, &noise);
            let samples = sampler.sample_observed(&model, count, &given, &noise, &seen);
            let samples = samples.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
            write_samples(&out, format, &samples, columns, image, plan.recipe.target.levels())
        }
        Plan::GFlowNet(plan) => {
            let noise = Noise::new(seed, Purpose::Choice);
            let objects = plan.sample(&trained, count, &Given::nothing(), &noise, &seen)?;
            match format {
                Format::Txt => write_lines(&out, plan.task.texts(&objects).into_iter()),
                _ => write_samples(&out, format, &objects, columns, None, 0),
            }
        }
    };
    written.map_err(|error| at_output(&place, error))?;
    say(&format!("{}\n", out.display()))
}

/// The sampler that the flags choose, where the plan leaves a choice.
fn chosen(plan: &Plan, name: Option<&str>, steps: Option<u64>) -> Result<Sampler> {
    let recipe = plan.recipe();
    let diffuses = recipe.model.iter().any(|segment| segment.part().has_ode());
    let chosen = sampler(recipe.sampler, name, steps)?;
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
