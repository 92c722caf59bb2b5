//! What each command does.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anabranch::data::atomic::check_writable;
use anabranch::error::{Error, Problem, Result};
use anabranch::recipe::{Override, Plan, Recipe, library, locate, named};
use anabranch::report::{Summary, verdict, warnings, write_report};
use anabranch::run::{Ending, Questions, Run, export, timings, trust, write_scores};
use serde_json::{Value, json};

use crate::compare::{Comparison, compare};
use crate::output::{say, tell};
use crate::progress::{Progress, Stop};
use crate::propose::propose;
use crate::sample::{How, sample};
use crate::table::table;
use crate::{Command, Output, RecipeArgs, draft, pages};

/// Runs a command.
pub fn execute(command: Command) -> Result<()> {
    match command {
        Command::New { data, model, out } => draft::new(&data, &model, out),
        Command::Run { recipe, out, output } => {
            let stop = Stop::listen();
            let plan = recipe.plan()?;
            let out = out.unwrap_or_else(|| unused(&default_name(&plan)));
            let run = Run::start(&out, plan)?;
            report(&complete(&run, &output, &stop, &resume(&out))?.0, &output)
        }
        Command::Resume { directory, set, trust: allowed, output } => {
            trust::check(&directory, allowed.allow_command)?;
            let stop = Stop::listen();
            let run = Run::lengthen(&directory, &overrides(&set)?)?;
            report(&complete(&run, &output, &stop, &resume(&directory))?.0, &output)
        }
        Command::Propose { recipe, scores, out, trust: allowed, output } => {
            propose(&recipe, scores.as_deref(), out, allowed.allow_command, &output)
        }
        Command::Sample {
            directory,
            count,
            seed,
            sampler,
            steps,
            refine,
            condition,
            conditions,
            format,
            out,
            force,
            trust: allowed,
        } => {
            let (sampler, refine, condition) = (sampler.as_deref(), refine.as_deref(), condition.as_deref());
            let how = How {
                sampler,
                steps,
                refine,
                condition,
                conditions: conditions.as_deref(),
                allow_command: allowed.allow_command,
                force,
            };
            sample(&directory, count, seed, how, format.as_deref(), out)
        }
        Command::Evaluate {
            directory,
            data,
            rows,
            checkpoint,
            set,
            from,
            to,
            that,
            between,
            trust: allowed,
            json,
        } => {
            trust::check(&directory, allowed.allow_command)?;
            let what = match (&data, &from) {
                (data, None) if data.is_some() || rows.is_some() => {
                    What::Rows { data: data.as_deref(), out: rows.as_deref() }
                }
                (_, Some(from)) => {
                    let between = match between.as_slice() {
                        [a, b] => Some([a.as_str(), b.as_str()]),
                        _ => None,
                    };
                    What::Ahead(from, Questions { to: to.as_deref(), that: that.as_deref(), between })
                }
                (_, None) => What::All,
            };
            evaluate(&directory, what, checkpoint, &overrides(&set)?, json)
        }
        Command::Export { directory, checkpoint, out } => {
            trust::check_environment(&directory, false)?;
            let run = Run::open_without_data(&directory)?;
            let out = out.unwrap_or_else(|| directory.join("weights.safetensors"));
            let progress = Progress::new(&run.plan.recipe().name, false, &Stop::listen());
            let trained = match checkpoint {
                Some(step) => run.weights_at(step)?,
                None => run.trained(&progress)?,
            };
            export(&run.plan, &trained, &out)?;
            drop(progress);
            say(&format!("{}\n", out.display()))
        }
        Command::Compare { recipes, set, grid, seed, seeds, jobs, out, trust: allowed, output } => {
            let what = Comparison {
                members: &recipes,
                set: &set,
                grid: &grid,
                seed,
                seeds,
                jobs,
                allow_command: allowed.allow_command,
            };
            compare(&what, out, &output)
        }
        Command::List { json } => list(json),
        Command::Explain { recipe } => say(&recipe.plan()?.explain()),
        Command::Cite { recipe } => say(&format!("{}\n", recipe.resolve()?.citations().join("\n\n"))),
        Command::Completions { shell } => pages::completions(&shell),
        Command::Man { directory } => pages::man(&directory),
        Command::Schema => say(&format!("{:#}\n", anabranch::recipe::schema())),
    }
}

fn overrides(set: &[String]) -> Result<Vec<Override>> {
    set.iter().map(|text| Override::parse(text)).collect()
}

impl RecipeArgs {
    /// The recipe that is named, with what was set.
    pub fn resolve(&self) -> Result<Recipe> {
        let mut recipe = named(&self.recipe, &overrides(&self.set)?)?;
        if let Some(seed) = self.seed {
            recipe.seed = seed;
        }
        Ok(recipe)
    }

    /// The same with its data and model; what is wrong is said with file and line, or the flag.
    pub fn plan(&self) -> Result<Plan> {
        let recipe = self.resolve()?;
        let overrides = overrides(&self.set)?;
        Plan::new(recipe).map_err(|error| locate(&self.recipe, &overrides, error))
    }
}

/// What a plan's run is called where it is not said.
fn default_name(plan: &Plan) -> String {
    format!("{}-{}", plan.recipe().name, plan.recipe().seed)
}

/// `runs/NAME`, or the first of `runs/NAME-2`, `runs/NAME-3`, ... that is not there yet.
pub fn unused(name: &str) -> PathBuf {
    let first = PathBuf::from("runs").join(name);
    let others = (2..).map(|number| PathBuf::from("runs").join(format!("{name}-{number}")));
    std::iter::once(first).chain(others).find(|path| !path.exists()).expect("numbers do not end")
}

fn resume(directory: &Path) -> String {
    format!("anabranch resume {}", directory.display())
}

/// Trains, evaluates and reports; where a signal stops that, `advice` is the command to go on with.
pub fn complete(run: &Run, output: &Output, stop: &Stop, advice: &str) -> Result<(Value, Summary)> {
    let mut progress = Progress::new(&run.plan.recipe().name, output.quiet, stop);
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
    say(&format!("{}{}{}written to {out}\n", judged(result), table(&[("", result)]), warned(result)))
}

/// What is to be measured.
enum What<'a> {
    /// What a run measures at its end.
    All,
    /// Rows, or objects: of a file, or of the split that is reported on; what is found of each goes into a file where one is named.
    Rows { data: Option<&'a Path>, out: Option<&'a Path> },
    /// What lies ahead of a state.
    Ahead(&'a str, Questions<'a>),
}

fn evaluate(
    directory: &Path,
    what: What<'_>,
    checkpoint: Option<u64>,
    set: &[Override],
    as_json: bool,
) -> Result<()> {
    let stop = Stop::listen();
    let run = match what {
        What::All | What::Rows { data: None, .. } => Run::open_with(directory, set)?,
        What::Rows { .. } | What::Ahead(..) => Run::open_without_data_with(directory, set)?,
    };
    if let What::Rows { out: Some(out), .. } = what {
        check_writable(out)?;
    }
    let start = Instant::now();
    let progress = Progress::new(&run.plan.recipe().name, false, &stop);
    let trained = match checkpoint {
        Some(step) => run.weights_at(step)?,
        None => run.trained(&progress)?,
    };
    let mut metrics = match (what, &run.plan) {
        (What::All, _) => run.evaluate_weights(&trained, &progress)?,
        (What::Rows { data, out }, plan) => {
            let scored = match (plan, data) {
                (Plan::Chain(plan), data) => plan.score(&trained, data, &progress)?,
                (Plan::GFlowNet(plan), Some(path)) => plan.score(&trained, path, &progress)?,
                (Plan::GFlowNet(_), None) => {
                    return Err(Problem::new(
                        "--rows",
                        "a file for objects of a reward, of which none are given",
                    )
                    .allowed("it with --data FILE, whose objects it is of")
                    .into());
                }
            };
            if let Some(out) = out {
                write_scores(out, &scored.rows)?;
            }
            scored.metrics
        }
        (What::Ahead(from, questions), Plan::GFlowNet(plan)) => plan.ahead(&trained, from, questions)?,
        (What::Ahead(..), Plan::Chain(_)) => {
            return Err(Problem::new("--from", "a state, for a chain over data")
                .allowed("it for runs of flow networks with `roots`")
                .into());
        }
    };
    let recipe = run.plan.recipe();
    let timings = timings(&mut metrics);
    let object = json!({
        "recipe": recipe.name,
        "seed": recipe.seed,
        "steps": checkpoint.map_or_else(|| run.steps_done(), Ok)?,
        "seconds": start.elapsed().as_secs_f64(),
        "parameters": run.plan.parameters(),
        "metrics": metrics,
        "timings": timings,
        "out": directory.display().to_string(),
    });
    drop(progress);
    say(&match as_json {
        true => format!("{object}\n"),
        false => judged(&object) + &table(&[("", &object)]) + &warned(&object),
    })
}

/// What the metrics of `result` say of the model in words, a line each.
fn judged(result: &Value) -> String {
    let metrics = result["metrics"].as_object().map(verdict).unwrap_or_default();
    metrics.iter().map(|line| format!("verdict: {line}\n")).collect()
}

/// What a reader of the metrics of `result` is to be warned of, a line each.
pub fn warned(result: &Value) -> String {
    let metrics = result["metrics"].as_object().map(warnings).unwrap_or_default();
    metrics.iter().map(|warning| format!("warning: {warning}\n")).collect()
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
