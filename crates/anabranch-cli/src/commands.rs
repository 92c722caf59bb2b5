//! What each command does.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anabranch::data::atomic::atomic_write;
use anabranch::error::{Error, Problem, Result, quoted};
use anabranch::recipe::{Override, Plan, Recipe, library, locate, named};
use anabranch::report::{Summary, published, warnings, write_comparison, write_report};
use anabranch::run::{Ending, Questions, Run, timings, trust};
use serde_json::{Value, json};

use crate::output::{say, tell};
use crate::progress::{Progress, Stop};
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
        Command::Resume { directory, trust: allowed, output } => {
            trust::check(&directory, allowed.allow_command)?;
            let stop = Stop::listen();
            let run = Run::reopen(&directory)?;
            report(&complete(&run, &output, &stop, &resume(&directory))?.0, &output)
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
        Command::Evaluate { directory, data, from, to, that, between, trust: allowed, json } => {
            trust::check(&directory, allowed.allow_command)?;
            let what = match (&data, &from) {
                (Some(path), _) => What::Data(path),
                (None, Some(from)) => {
                    let between = match between.as_slice() {
                        [a, b] => Some([a.as_str(), b.as_str()]),
                        _ => None,
                    };
                    What::Ahead(from, Questions { to: to.as_deref(), that: that.as_deref(), between })
                }
                (None, None) => What::All,
            };
            evaluate(&directory, what, json)
        }
        Command::Compare { recipes, set, seed, out, output } => compare(&recipes, &set, seed, out, &output),
        Command::List { json } => list(json),
        Command::Explain { recipe } => say(&recipe.plan()?.explain()),
        Command::Cite { recipe } => say(&format!("{}\n", recipe.resolve()?.citations().join("\n\n"))),
        Command::Completions { shell } => pages::completions(&shell),
        Command::Man { directory } => pages::man(&directory),
        Command::Schema => say(&format!("{:#}\n", anabranch::recipe::schema())),
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

/// What a plan's run is called where it is not said.
fn default_name(plan: &Plan) -> String {
    format!("{}-{}", plan.recipe().name, plan.recipe().seed)
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
    say(&format!("{}{}written to {out}\n", table(&[("", result)]), warned(result)))
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
        let name = &plan.recipe().name;
        if plans[..index].iter().any(|other| other.recipe().name == *name) {
            let problem = Problem::new("compare", format!("two recipes of the name {}", quoted(name)));
            return Err(problem.allowed("recipes of different names").into());
        }
    }
    let out = out.unwrap_or_else(|| unused("compare"));
    let start = |plan: Plan| Run::start_or_reopen(&out.join(&plan.recipe().name), plan);
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
    let warnings: String = columns
        .iter()
        .flat_map(|(name, result)| {
            warned(result).lines().map(|line| format!("{name}: {line}\n")).collect::<Vec<_>>()
        })
        .collect();
    let papers = published(&summaries);
    say(&format!("{}{warnings}{papers}written to {}\n", table(&columns), out.display()))
}

/// What is to be measured.
enum What<'a> {
    /// What a run measures at its end.
    All,
    /// The rows, or objects, of a file.
    Data(&'a Path),
    /// What lies ahead of a state.
    Ahead(&'a str, Questions<'a>),
}

fn evaluate(directory: &Path, what: What<'_>, as_json: bool) -> Result<()> {
    let stop = Stop::listen();
    let run = match what {
        What::All => Run::open(directory)?,
        What::Data(_) | What::Ahead(..) => Run::open_without_data(directory)?,
    };
    let start = Instant::now();
    let progress = Progress::new(&run.plan.recipe().name, false, &stop);
    let mut metrics = match (what, &run.plan) {
        (What::All, _) => run.evaluate(&progress)?,
        (What::Data(path), Plan::Chain(plan)) => plan.score(&run.trained(&progress)?, path, &progress)?,
        (What::Data(path), Plan::GFlowNet(plan)) => plan.score(&run.trained(&progress)?, path, &progress)?,
        (What::Ahead(from, questions), Plan::GFlowNet(plan)) => {
            plan.ahead(&run.trained(&progress)?, from, questions)?
        }
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
        "steps": run.steps_done()?,
        "seconds": start.elapsed().as_secs_f64(),
        "parameters": run.plan.parameters(),
        "metrics": metrics,
        "timings": timings,
        "out": directory.display().to_string(),
    });
    drop(progress);
    say(&if as_json { format!("{object}\n") } else { table(&[("", &object)]) + &warned(&object) })
}

/// What a reader of the metrics of `result` is to be warned of, a line each.
fn warned(result: &Value) -> String {
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
