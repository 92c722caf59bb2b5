//! What each command does.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anabranch::data::atomic::atomic_write;
use anabranch::data::{Format, write_samples};
use anabranch::error::{Problem, Result};
use anabranch::estimate::likelihood::{Bound, bits_per_dim, nll};
use anabranch::recipe::{Override, Plan, Recipe, citations, explain, library, named};
use anabranch::rng::{Noise, Purpose};
use anabranch::run::{Ending, Run};
use serde_json::{Map, Value, json};

use crate::progress::Progress;
use crate::{Command, Output, RecipeArgs};

/// Runs a command.
pub fn execute(command: Command) -> Result<()> {
    match command {
        Command::Run { recipe, out, output } => {
            let recipe = resolve(&recipe)?;
            let out = out.unwrap_or_else(|| unused(&format!("{}-{}", recipe.name, recipe.seed)));
            let run = Run::create(&out, recipe)?;
            report(complete(&run, &output)?.as_ref(), &output);
            Ok(())
        }
        Command::Resume { directory, output } => {
            let run = Run::open(&directory)?;
            report(complete(&run, &output)?.as_ref(), &output);
            Ok(())
        }
        Command::Sample { directory, count, seed, format, out } => {
            sample(&directory, count, seed, format.as_deref(), out)
        }
        Command::Evaluate { directory, data, json } => evaluate(&directory, data.as_deref(), json),
        Command::Compare { recipes, set, seed, out, output } => compare(&recipes, &set, seed, out, &output),
        Command::List { json } => list(json),
        Command::Explain { recipe } => {
            print!("{}", explain(&Plan::new(resolve(&recipe)?)?));
            Ok(())
        }
        Command::Cite { recipe } => {
            println!("{}", citations(&resolve(&recipe)?).join("\n\n"));
            Ok(())
        }
        Command::Schema => {
            println!("{:#}", schemars::schema_for!(Recipe).to_value());
            Ok(())
        }
    }
}

fn resolve(args: &RecipeArgs) -> Result<Recipe> {
    resolve_named(&args.recipe, &args.set, args.seed)
}

fn resolve_named(name: &str, set: &[String], seed: Option<u64>) -> Result<Recipe> {
    let overrides: Vec<Override> = set.iter().map(|text| Override::parse(text)).collect::<Result<_>>()?;
    let mut recipe = named(name, &overrides)?;
    if let Some(seed) = seed {
        recipe.seed = seed;
    }
    Ok(recipe)
}

/// `runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3`, ... that is not there yet.
fn unused(name: &str) -> PathBuf {
    let first = PathBuf::from("runs").join(name);
    let others = (2..).map(|number| PathBuf::from("runs").join(format!("{name}-{number}")));
    std::iter::once(first).chain(others).find(|path| !path.exists()).expect("numbers do not end")
}

/// Trains and evaluates; `None` where a signal stopped the training.
fn complete(run: &Run, output: &Output) -> Result<Option<Value>> {
    let start = Instant::now();
    let mut progress = Progress::new(&run.plan.recipe.name, run.plan.recipe.training.steps, output.quiet);
    let ending = run.train(&mut progress)?;
    progress.finish();
    if ending == Ending::Interrupted {
        eprintln!("stopped; go on with: anabranch resume {}", run.directory.display());
        return Ok(None);
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Some(run.result(run.evaluate()?, seconds)?))
}

fn report(result: Option<&Value>, output: &Output) {
    let Some(result) = result else { return };
    if output.json {
        println!("{result}");
    } else {
        print!("{}", table(&[("", result)]));
        println!("written to {}", result["out"].as_str().unwrap_or_default());
    }
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
            match (
                metrics.get(&name).and_then(Value::as_f64),
                metrics.get(&format!("{name}_se")).and_then(Value::as_f64),
            ) {
                (Some(value), Some(error)) => format!("{value:.4} +- {error:.4}"),
                (Some(value), None) => format!("{value:.4}"),
                _ => "-".to_owned(),
            }
        });
        rows.push(std::iter::once(name.clone()).chain(cells).collect());
    }
    for key in ["parameters", "seconds"] {
        let cells = runs.iter().map(|(_, value)| format!("{:.4}", value[key].as_f64().unwrap_or(f64::NAN)));
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
    let out = out.unwrap_or_else(|| unused("compare"));
    let resolved: Vec<Recipe> =
        recipes.iter().map(|name| resolve_named(name, set, seed)).collect::<Result<_>>()?;
    let runs: Vec<Run> = resolved
        .into_iter()
        .map(|recipe| Run::create(&out.join(&recipe.name), recipe))
        .collect::<Result<_>>()?;
    let mut results = Vec::new();
    for run in &runs {
        match complete(run, output)? {
            Some(result) => results.push(result),
            None => return Ok(()),
        }
    }
    let object = json!({ "runs": results, "out": out.display().to_string() });
    atomic_write(&out.join("compare.json"), |file| writeln!(file, "{object:#}"))?;
    if output.json {
        println!("{object}");
    } else {
        let columns: Vec<(&str, &Value)> =
            results.iter().map(|result| (result["recipe"].as_str().unwrap_or_default(), result)).collect();
        print!("{}", table(&columns));
        println!("written to {}", out.display());
    }
    Ok(())
}

fn sample(
    directory: &Path,
    count: usize,
    seed: u64,
    format: Option<&str>,
    out: Option<PathBuf>,
) -> Result<()> {
    if count == 0 {
        return Err(Problem::new("--count", "0").allowed("an integer of at least 1").into());
    }
    let format = match (format, &out) {
        (Some(name), _) => name.parse()?,
        (None, Some(path)) => Format::of(path)?,
        (None, None) => Format::Npy,
    };
    let run = Run::open(directory)?;
    let (image, levels) = (run.plan.recipe.target.image(), run.plan.recipe.target.levels());
    format.check(image)?;
    let model = run.model()?;
    let samples = run.plan.recipe.sampler.sample(&model, count, &Noise::new(seed, Purpose::Source));
    let out = out.unwrap_or_else(|| directory.join(format!("samples-{count}.{}", format.name())));
    write_samples(&out, format, &samples, model.dimension(), image, levels)?;
    println!("{}", out.display());
    Ok(())
}

fn evaluate(directory: &Path, data: Option<&Path>, as_json: bool) -> Result<()> {
    let run = Run::open(directory)?;
    let start = Instant::now();
    let metrics = match data {
        None => run.evaluate()?,
        Some(path) => {
            let dimension = run.plan.dimension();
            let levels = run.plan.recipe.target.levels();
            let table = run.plan.recipe.target.read(path, dimension)?;
            let model = run.model()?;
            let bound = if model.chain_offset() < 100 {
                Bound::Path
            } else {
                Bound::Lower(run.plan.recipe.evaluation.draws)
            };
            let score = nll(&model, &table.values, bound, &run.plan.evaluation_noise());
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
        "steps": recipe.training.steps,
        "seconds": start.elapsed().as_secs_f64(),
        "parameters": run.plan.model.parameters(),
        "metrics": metrics,
        "out": directory.display().to_string(),
    });
    if as_json {
        println!("{object}");
    } else {
        print!("{}", table(&[("", &object)]));
    }
    Ok(())
}

fn list(as_json: bool) -> Result<()> {
    let entries: Vec<(&str, String)> = library()
        .iter()
        .map(|entry| Ok((entry.name, named(entry.name, &[])?.title)))
        .collect::<Result<_>>()?;
    if as_json {
        let recipes: Vec<Value> =
            entries.iter().map(|(name, title)| json!({ "name": name, "title": title })).collect();
        println!("{}", json!({ "recipes": recipes }));
    } else {
        entries.iter().for_each(|(name, title)| println!("{name:<26} {title}"));
    }
    Ok(())
}
