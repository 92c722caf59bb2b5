//! What each command does.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anabranch::data::atomic::{atomic_write, check_writable};
use anabranch::data::{Format, write_samples};
use anabranch::error::{Error, Problem, Result, quoted};
use anabranch::estimate::likelihood::{bits_per_dim, nll_observed};
use anabranch::recipe::{Override, Plan, Recipe, citations, explain, library, locate, named};
use anabranch::report::{Summary, write_comparison, write_report};
use anabranch::rng::{Noise, Purpose};
use anabranch::run::{Ending, Run, watched};
use anabranch::sampler::Sampler;
use serde_json::{Map, Value, json};

use crate::output::{say, tell};
use crate::progress::{Progress, Stop};
use crate::{Command, Output, RecipeArgs};

/// Runs a command.
pub fn execute(command: Command) -> Result<()> {
    match command {
        Command::Run { recipe, out, output } => {
            let stop = Stop::listen();
            let plan = recipe.plan()?;
            let out = out.unwrap_or_else(|| unused(&format!("{}-{}", plan.recipe.name, plan.recipe.seed)));
            let run = Run::start(&out, plan)?;
            report(&complete(&run, &output, &stop, &resume(&out))?.0, &output)
        }
        Command::Resume { directory, output } => {
            let stop = Stop::listen();
            let run = Run::reopen(&directory)?;
            report(&complete(&run, &output, &stop, &resume(&directory))?.0, &output)
        }
        Command::Sample { directory, count, seed, sampler, steps, format, out } => {
            sample(&directory, count, seed, (sampler.as_deref(), steps), format.as_deref(), out)
        }
        Command::Evaluate { directory, data, json } => evaluate(&directory, data.as_deref(), json),
        Command::Compare { recipes, set, seed, out, output } => compare(&recipes, &set, seed, out, &output),
        Command::List { json } => list(json),
        Command::Explain { recipe } => say(&explain(&recipe.plan()?)),
        Command::Cite { recipe } => say(&format!("{}\n", citations(&recipe.resolve()?).join("\n\n"))),
        Command::Schema => say(&format!("{:#}\n", schemars::schema_for!(Recipe).to_value())),
    }
}

impl RecipeArgs {
    fn overrides(&self) -> Result<Vec<Override>> {
        self.set.iter().map(|text| Override::parse(text)).collect()
    }

    /// The recipe that is named, with what was set.
    fn resolve(&self) -> Result<Recipe> {
        let mut recipe = named(&self.recipe, &self.overrides()?)?;
        if let Some(seed) = self.seed {
            recipe.seed = seed;
        }
        Ok(recipe)
    }

    /// The same with its data and model; what is wrong is said with file and line, or the flag.
    fn plan(&self) -> Result<Plan> {
        let recipe = self.resolve()?;
        let overrides = self.overrides()?;
        Plan::new(recipe).map_err(|error| locate(&self.recipe, &overrides, error))
    }
}

/// `runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3`, ... that is not there yet.
fn unused(name: &str) -> PathBuf {
    let first = PathBuf::from("runs").join(name);
    let others = (2..).map(|number| PathBuf::from("runs").join(format!("{name}-{number}")));
    std::iter::once(first).chain(others).find(|path| !path.exists()).expect("numbers do not end")
}

fn resume(directory: &Path) -> String {
    format!("anabranch resume {}", directory.display())
}

/// Trains, evaluates and reports; where a signal stops that, `advice` is the command to go on with.
fn complete(run: &Run, output: &Output, stop: &Stop, advice: &str) -> Result<(Value, Summary)> {
    let mut progress = Progress::new(&run.plan.recipe.name, output.quiet, stop);
    let metrics = match run.train(&mut progress)? {
        Ending::Finished => run.evaluate(&progress),
        Ending::Interrupted => Err(Error::Interrupted),
    };
    drop(progress);
    if let Err(Error::Interrupted) = metrics {
        tell(&format!("stopped; go on with: {advice}"));
    }
    let result = run.result(metrics?)?;
    let summary = write_report(run, &result)?;
    Ok((result, summary))
}

fn report(result: &Value, output: &Output) -> Result<()> {
    if output.json {
        return say(&format!("{result}\n"));
    }
    let out = result["out"].as_str().unwrap_or_default();
    say(&format!("{}written to {out}\n", table(&[("", result)])))
}

/// Four decimals, and where these would be zeros alone, four digits.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.3e}") } else { format!("{value:.4}") }
}

/// Metrics in rows, runs in columns, `value +- standard error`.
fn table(runs: &[(&str, &Value)]) -> String {
    let empty = Map::new();
    let metrics = |value: &'_ Value| value["metrics"].as_object().cloned().unwrap_or_else(|| empty.clone());
    let mut names: Vec<String> = Vec::new();
    for (_, value) in runs {
        names.extend(metrics(value).keys().filter(|name| !name.ends_with("_se")).cloned());
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut rows = vec![
        std::iter::once(String::new())
            .chain(runs.iter().map(|(name, _)| (*name).to_owned()))
            .collect::<Vec<_>>(),
    ];
    for name in names {
        let cells = runs.iter().map(|(_, value)| {
            let metrics = metrics(value);
            let error = metrics.get(&format!("{name}_se")).and_then(Value::as_f64);
            match (metrics.get(&name).map(Value::as_f64), error) {
                (Some(Some(value)), Some(error)) => format!("{} +- {}", number(value), number(error)),
                (Some(Some(value)), None) => number(value),
                // JSON has no number for it.
                (Some(None), _) => "not finite".to_owned(),
                (None, _) => "-".to_owned(),
            }
        });
        rows.push(std::iter::once(name.clone()).chain(cells).collect());
    }
    for key in ["parameters", "seconds"] {
        let cells = runs.iter().map(|(_, value)| number(value[key].as_f64().unwrap_or(f64::NAN)));
        rows.push(
            std::iter::once(key.to_owned())
                .chain(cells.map(|c| c.trim_end_matches(".0000").to_owned()))
                .collect(),
        );
    }
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|c| rows.iter().map(|row| row[c].len()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().skip(usize::from(runs.len() == 1)).map(line).collect()
}

fn compare(
    recipes: &[String],
    set: &[String],
    seed: Option<u64>,
    out: Option<PathBuf>,
    output: &Output,
) -> Result<()> {
    let stop = Stop::listen();
    let plan = |recipe: &String| RecipeArgs { recipe: recipe.clone(), set: set.to_vec(), seed }.plan();
    let plans: Vec<Plan> = recipes.iter().map(plan).collect::<Result<_>>()?;
    for (index, plan) in plans.iter().enumerate() {
        let name = &plan.recipe.name;
        if plans[..index].iter().any(|other| other.recipe.name == *name) {
            let problem = Problem::new("compare", format!("two recipes of the name {}", quoted(name)));
            return Err(problem.allowed("recipes of different names").into());
        }
    }
    let out = out.unwrap_or_else(|| unused("compare"));
    let start = |plan: Plan| Run::start_or_reopen(&out.join(&plan.recipe.name), plan);
    let runs: Vec<Run> = plans.into_iter().map(start).collect::<Result<_>>()?;
    let advice = format!("the same command and --out {}", out.display());
    let mut results = Vec::new();
    let mut summaries = Vec::new();
    for run in &runs {
        let (result, summary) = complete(run, output, &stop, &advice)?;
        results.push(result);
        summaries.push(summary);
    }
    let object = json!({ "runs": results, "out": out.display().to_string() });
    atomic_write(&out.join("compare.json"), |file| writeln!(file, "{object:#}"))?;
    write_comparison(&summaries, &out)?;
    if output.json {
        return say(&format!("{object}\n"));
    }
    let columns: Vec<(&str, &Value)> =
        results.iter().map(|result| (result["recipe"].as_str().unwrap_or_default(), result)).collect();
    say(&format!("{}written to {}\n", table(&columns), out.display()))
}

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

fn sample(
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
    let (image, levels) = (run.plan.recipe.target.image(), run.plan.recipe.target.levels());
    format.check(image)?;
    let sampler = sampler(run.plan.recipe.sampler, name, steps)?;
    let diffuses = run.plan.model.segments().iter().any(|segment| segment.as_diffusion().is_some());
    if let (Some(name @ ("ddim" | "ode")), false) = (name, diffuses) {
        return Err(Problem::new("--sampler", format!("{} for a model without a diffusion", quoted(name)))
            .allowed("ancestral")
            .into());
    }
    let columns = run.plan.dimension();
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
    let progress = Progress::new(&run.plan.recipe.name, false, &Stop::listen());
    let model = run.model(&progress)?;
    let seen = watched(&progress, "samples", count);
    let noise = Noise::new(seed, Purpose::Source);
    let samples = sampler.sample_observed(&model, count, &noise, &seen);
    let samples = samples.ok_or(Error::Interrupted)?;
    write_samples(&out, format, &samples, columns, image, levels)
        .map_err(|error| at_output(&place, error))?;
    say(&format!("{}\n", out.display()))
}

/// An error of writing to a path that the user gave.
fn at_output(place: &str, error: Error) -> Error {
    match error {
        Error::Io { path, source, .. } => Error::output(place, &path, source),
        other => other,
    }
}

fn evaluate(directory: &Path, data: Option<&Path>, as_json: bool) -> Result<()> {
    let stop = Stop::listen();
    let run = Run::open(directory)?;
    let start = Instant::now();
    let progress = Progress::new(&run.plan.recipe.name, false, &stop);
    let metrics = match data {
        None => run.evaluate(&progress)?,
        Some(path) => {
            let dimension = run.plan.dimension();
            let levels = run.plan.recipe.target.levels();
            let table = run.plan.recipe.target.read(path, dimension)?;
            let model = run.model(&progress)?;
            let seen = watched(&progress, "likelihood", table.rows());
            let noise = run.plan.evaluation_noise();
            let score = nll_observed(&model, &table.values, run.bound(&model), &noise, &seen)
                .ok_or(Error::Interrupted)?;
            let mut metrics = Map::new();
            metrics.insert("nll".to_owned(), json!(score.value));
            metrics.insert("nll_se".to_owned(), json!(score.error));
            if levels > 0 {
                let bits = bits_per_dim(score, dimension);
                metrics.insert("bits_per_dim".to_owned(), json!(bits.value));
                metrics.insert("bits_per_dim_se".to_owned(), json!(bits.error));
            }
            metrics
        }
    };
    let recipe = &run.plan.recipe;
    let object = json!({
        "recipe": recipe.name,
        "seed": recipe.seed,
        "steps": run.steps_done()?,
        "seconds": start.elapsed().as_secs_f64(),
        "parameters": run.plan.model.parameters(),
        "metrics": metrics,
        "out": directory.display().to_string(),
    });
    drop(progress);
    say(&if as_json { format!("{object}\n") } else { table(&[("", &object)]) })
}

fn list(as_json: bool) -> Result<()> {
    let entries: Vec<(&str, String)> = library()
        .iter()
        .map(|entry| Ok((entry.name, named(entry.name, &[])?.title)))
        .collect::<Result<_>>()?;
    if as_json {
        let recipes: Vec<Value> =
            entries.iter().map(|(name, title)| json!({ "name": name, "title": title })).collect();
        return say(&format!("{}\n", json!({ "recipes": recipes })));
    }
    say(&entries.iter().map(|(name, title)| format!("{name:<26} {title}\n")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_tell_small_lost_and_missing_numbers_apart() {
        let run = |metrics: Value| json!({ "metrics": metrics, "parameters": 12, "seconds": 0.25 });
        let first = run(json!({ "nll": 1.5, "nll_se": 0.0001, "mmd": -2.5e-6, "ess": null }));
        let second = run(json!({ "nll": -300.0, "log_z": 0.0 }));
        let expected = "\
            a                   b\n\
            nll         1.5000 +- 1.000e-4  -300.0000\n\
            mmd         -2.500e-6           -\n\
            ess         not finite          -\n\
            log_z       -                   0.0000\n\
            parameters  12                  12\n\
            seconds     0.2500              0.2500\n";
        assert_eq!(table(&[("a", &first), ("b", &second)]).trim_start(), expected);
        assert!(table(&[("", &second)]).starts_with("nll"), "one run needs no heading");
    }
}
