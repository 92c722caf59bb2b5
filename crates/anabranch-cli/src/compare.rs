//! Recipes side by side: every combination of their variants and seeds trained, and what they come to.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anabranch::data::atomic::atomic_write;
use anabranch::error::{Error, Problem, Result, quoted};
use anabranch::recipe::Plan;
use anabranch::report::{
    Better, Repeat, Summary, Variant, describe, differences, gather, known_metrics, published, repeats_csv,
    repeats_json, spread, write_comparison,
};
use anabranch::run::{Observer, Run, trust};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};

use crate::commands::{complete, unused, warned};
use crate::output::say;
use crate::progress::{Progress, Stop};
use crate::table::{table, table_of};
use crate::{Output, RecipeArgs};

/// The most runs of one comparison.
const MOST_RUNS: usize = 1000;

/// What is compared.
pub struct Comparison<'a> {
    /// Recipes' names or files, or directories of runs that are done.
    pub members: &'a [String],
    /// Values set in all recipes.
    pub set: &'a [String],
    /// `KEY=A,B,C`: every recipe with each of these values.
    pub grid: &'a [String],
    /// The first seed.
    pub seed: Option<u64>,
    /// How many seeds, from the first one on.
    pub seeds: u64,
    /// How many runs at once.
    pub jobs: Option<u64>,
    /// Whether programs of directories that were not made here may start.
    pub allow_command: bool,
}

/// A recipe's variant, or a directory.
struct Member {
    label: String,
    runs: Vec<PathBuf>,
}

/// Trains what is not trained yet, and writes tables and a page of all.
pub fn compare(what: &Comparison<'_>, out: Option<PathBuf>, output: &Output) -> Result<()> {
    let stop = Stop::listen();
    let planned = planned(what)?;
    let out = out.unwrap_or_else(|| unused("compare"));
    let mut members = Vec::new();
    let mut waiting = Vec::new();
    for entry in planned {
        match entry {
            Planned::Done(directory) => {
                let label = directory
                    .file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                members.push(Member { label, runs: vec![directory] });
            }
            Planned::Recipe { label, recipes } => {
                let mut runs = Vec::new();
                for (name, recipe) in recipes {
                    let directory = out.join(name);
                    // A directory of another run is refused, whatever is in it.
                    Run::start_or_reopen(&directory, recipe.plan()?)?;
                    if !directory.join("report.html").exists() {
                        waiting.push(directory.clone());
                    }
                    runs.push(directory);
                }
                members.push(Member { label, runs });
            }
        }
    }
    let advice = format!("the same command and --out {}", out.display());
    train(&waiting, what.jobs, output, &stop, &advice)?;
    conclude(&members, &out, output)
}

/// An argument with its variants.
enum Planned {
    /// A directory of a run.
    Done(PathBuf),
    /// A recipe's variant: its runs by the names of their directories.
    Recipe { label: String, recipes: Vec<(String, RecipeArgs)> },
}

/// All runs, every recipe checked with its data, before anything is written.
fn planned(what: &Comparison<'_>) -> Result<Vec<Planned>> {
    let axes: Vec<(String, Vec<String>)> = what.grid.iter().map(|text| axis(text)).collect::<Result<_>>()?;
    let combinations = axes.iter().map(|(_, values)| values.len()).product::<usize>();
    let count = combinations.saturating_mul(what.seeds.max(1) as usize).saturating_mul(what.members.len());
    if what.seeds == 0 || count > MOST_RUNS {
        let place = if combinations <= 1 { "--seeds" } else { "--grid" };
        let count = if what.seeds == 0 { 0 } else { count };
        return Err(Problem::new(place, format!("{count} runs"))
            .allowed(format!("from 1 to {MOST_RUNS} of them"))
            .into());
    }
    let mut planned: Vec<Planned> = Vec::new();
    for member in what.members {
        let directory = Path::new(member);
        if directory.join("recipe.toml").is_file() {
            trust::check(directory, what.allow_command)?;
            planned.push(Planned::Done(directory.to_owned()));
            continue;
        }
        for index in 0..combinations {
            planned.push(variant(member, what, &axes, index)?);
        }
    }
    let labels: Vec<String> = planned.iter().map(Planned::label).collect();
    for (index, label) in labels.iter().enumerate() {
        if labels[..index].contains(label) {
            let problem = Problem::new("compare", format!("two recipes of the name {}", quoted(label)));
            return Err(problem.allowed("recipes of different names").into());
        }
    }
    Ok(planned)
}

impl Planned {
    fn label(&self) -> String {
        match self {
            Self::Done(directory) => directory.display().to_string(),
            Self::Recipe { label, .. } => label.clone(),
        }
    }
}

/// The variant of a recipe at place `index` of the grid, the last key moving fastest.
fn variant(
    member: &str,
    what: &Comparison<'_>,
    axes: &[(String, Vec<String>)],
    mut index: usize,
) -> Result<Planned> {
    let mut set = what.set.to_vec();
    let mut words: Vec<String> = Vec::new();
    for (key, values) in axes.iter().rev() {
        let value = &values[index % values.len()];
        index /= values.len();
        set.push(format!("{key}={value}"));
        words.insert(0, format!("{}={value}", key.rsplit('.').next().unwrap_or(key)));
    }
    let recipe = |seed| RecipeArgs { recipe: member.to_owned(), set: set.clone(), seed };
    let plan: Plan = recipe(what.seed).plan()?;
    let (name, first) = (plan.recipe().name.clone(), plan.recipe().seed);
    let label = if words.is_empty() { name } else { format!("{name} {}", words.join(" ")) };
    let directory: String =
        label.chars().map(|c| if c.is_alphanumeric() || "-_.=".contains(c) { c } else { '-' }).collect();
    let recipes = (0..what.seeds).map(|offset| {
        let seed = first.saturating_add(offset);
        let name = if what.seeds == 1 { directory.clone() } else { format!("{directory}-seed-{seed}") };
        (name, recipe(if what.seeds == 1 { what.seed } else { Some(seed) }))
    });
    Ok(Planned::Recipe { label, recipes: recipes.collect() })
}

/// `KEY=A,B,C`; commas within brackets and quotes are no ends of values.
fn axis(text: &str) -> Result<(String, Vec<String>)> {
    let wrong = || Problem::new("--grid", quoted(text)).allowed("KEY=A,B,C, such as training.batch=64,256");
    let (key, list) = text.split_once('=').ok_or_else(wrong)?;
    let (mut values, mut depth, mut quote) = (vec![String::new()], 0, None);
    for c in list.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth -= 1,
            (',', None) if depth == 0 => {
                values.push(String::new());
                continue;
            }
            _ => {}
        }
        values.last_mut().expect("one at least").push(c);
    }
    let values: Vec<String> = values.iter().map(|value| value.trim().to_owned()).collect();
    if key.trim().is_empty() || values.iter().any(String::is_empty) {
        return Err(wrong().into());
    }
    Ok((key.trim().to_owned(), values))
}

/// Trains and evaluates runs: one after the other here, or several at once as processes of their own.
fn train(
    directories: &[PathBuf],
    jobs: Option<u64>,
    output: &Output,
    stop: &Stop,
    advice: &str,
) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.map_or(1, |jobs| (jobs as usize).clamp(1, cores));
    if jobs == 1 || directories.len() < 2 {
        return directories.iter().try_for_each(|directory| {
            let run = Run::reopen(directory)?;
            complete(&run, output, stop, advice).map(|_| ())
        });
    }
    let progress = Progress::new("compare", output.quiet, stop);
    progress.begin("runs", 0, directories.len() as u64);
    let mut running: Vec<(PathBuf, Child)> = Vec::new();
    let mut waiting = directories.iter();
    let ended = loop {
        while running.len() < jobs
            && let Some(directory) = waiting.next()
        {
            match start(directory, cores / jobs) {
                Ok(child) => running.push((directory.clone(), child)),
                Err(error) => return Err(end(running, error)),
            }
        }
        if progress.stop() {
            break Err(Error::Interrupted);
        }
        let mut failed = None;
        running.retain_mut(|(directory, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) if status.success() => {
                progress.advance(1);
                false
            }
            _ => {
                failed = Some(directory.clone());
                false
            }
        });
        if let Some(directory) = failed {
            let found = format!("a run that failed ({})", directory.display());
            break Err(Problem::new("compare", found)
                .allowed("runs that end; its message stands above")
                .into());
        }
        if running.is_empty() && waiting.len() == 0 {
            break Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    drop(progress);
    ended.map_err(|error| {
        if matches!(error, Error::Interrupted) {
            crate::output::tell(&format!("stopped; go on with: {advice}"));
        }
        end(running, error)
    })
}

/// A process that goes on with a run on so many threads.
fn start(directory: &Path, threads: usize) -> Result<Child> {
    let program =
        std::env::current_exe().map_err(|error| Error::io("find", Path::new("anabranch"), error))?;
    std::process::Command::new(&program)
        .args(["resume", "--quiet", "--json"])
        .arg(directory)
        .env("RAYON_NUM_THREADS", threads.max(1).to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| Error::io("start", &program, error))
}

/// Asks all that run to write their checkpoints and end, and waits for it.
fn end(running: Vec<(PathBuf, Child)>, error: Error) -> Error {
    for (_, mut child) in running {
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = child.wait();
    }
    error
}

/// Reads what all runs came to, and writes tables and page.
fn conclude(members: &[Member], out: &Path, output: &Output) -> Result<()> {
    let (mut results, mut summaries, mut variants) = (Vec::new(), Vec::<Summary>::new(), Vec::new());
    for member in members {
        let mut repeats = Vec::new();
        for (index, directory) in member.runs.iter().enumerate() {
            let result = result(directory)?;
            repeats.push(Repeat::read(directory, &result)?);
            if index == 0 {
                let run = Run::open(directory)?;
                summaries.push(Summary { name: member.label.clone(), ..gather(&run, &result)? });
            }
            results.push(result);
        }
        variants.push(Variant { label: member.label.clone(), runs: repeats });
    }
    std::fs::create_dir_all(out).map_err(|error| Error::output("--out", out, error))?;
    let object = json!({
        "runs": results,
        "variants": repeats_json(&variants),
        "out": out.display().to_string(),
    });
    atomic_write(&out.join("compare.json"), |file| writeln!(file, "{object:#}"))?;
    let csv = repeats_csv(&variants);
    atomic_write(&out.join("compare.csv"), |file| file.write_all(csv.as_bytes()))?;
    write_comparison(&summaries, &variants, out)?;
    if output.json {
        return say(&format!("{object}\n"));
    }
    let mut warnings = String::new();
    let mut firsts = results.iter();
    let mut columns: Vec<(&str, &Value)> = Vec::new();
    for member in members {
        for (index, result) in firsts.by_ref().take(member.runs.len()).enumerate() {
            if index == 0 {
                columns.push((&member.label, result));
            }
            warned(result).lines().for_each(|line| warnings += &format!("{}: {line}\n", member.label));
        }
    }
    let numbers = match members.iter().any(|member| member.runs.len() > 1) {
        _ if members.len() > COLUMNS => many(&variants),
        true => over_seeds(&variants),
        false => table(&columns),
    };
    let pairs: String = differences(&variants).iter().map(|line| format!("{line}\n")).collect();
    let papers = published(&summaries);
    say(&format!("{numbers}{pairs}{warnings}{papers}written to {}\n", out.display()))
}

/// Means over seeds, with the standard deviation of single runs.
fn over_seeds(variants: &[Variant]) -> String {
    let heads: Vec<String> =
        variants.iter().map(|variant| format!("{} ({} seeds)", variant.label, variant.runs.len())).collect();
    let labels: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut names: Vec<String> = Vec::new();
    for name in variants.iter().flat_map(|variant| &variant.runs).flat_map(|run| run.metrics.keys()) {
        if !name.ends_with("_se") && !names.contains(name) {
            names.push(name.clone());
        }
    }
    let found = |name: &str, column: usize| spread(&variants[column], name);
    format!("mean +- standard deviation over seeds\n{}", table_of(&labels, &names, &found))
}

/// The most columns that stand side by side in a terminal, and the most metrics of which a line of many variants consists.
const COLUMNS: usize = 4;
const METRICS: usize = 6;

/// Many variants, a line each: of the metrics that are better or worse, the first ones.
fn many(variants: &[Variant]) -> String {
    let mut names: Vec<&str> = known_metrics()
        .filter(|name| describe(name).better != Better::Neither)
        .filter(|name| variants.iter().any(|variant| spread(variant, name).is_some()))
        .collect();
    names.truncate(METRICS);
    let labels: Vec<String> = variants.iter().map(|variant| variant.label.clone()).collect();
    let found = |label: &str, column: usize| {
        let variant = variants.iter().find(|variant| variant.label == label)?;
        let (mean, sd) = spread(variant, names[column])?;
        let alone = variant.runs[0].metrics.get(&format!("{}_se", names[column])).and_then(Value::as_f64);
        Some((mean, if variant.runs.len() > 1 { sd } else { alone }))
    };
    let sign = match variants.iter().any(|variant| variant.runs.len() > 1) {
        true => "mean +- standard deviation over seeds",
        false => "value +- standard error",
    };
    format!("{sign}; all metrics are in compare.csv\n{}", table_of(&names, &labels, &found))
}

/// What a run came to, as its directory has it.
fn result(directory: &Path) -> Result<Value> {
    let read = |name: &str| -> Result<Option<Map<String, Value>>> {
        let path = directory.join(name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        let damaged =
            || Problem::new(path.display().to_string(), "a damaged file").allowed("it as the run wrote it");
        serde_json::from_str(&text).map(Some).map_err(|_| damaged().into())
    };
    let Some(result) = read("result.json")? else {
        let problem = Problem::new(directory.display().to_string(), "a run that is not done");
        let allowed = format!("one that is; `anabranch resume {}` goes on", directory.display());
        return Err(problem.allowed(allowed).into());
    };
    let timings = read("timings.json")?.unwrap_or_default();
    // In the order in which a run says it.
    let names = ["recipe", "seed", "steps", "seconds", "parameters", "metrics", "timings"];
    let found = |name: &str| Some((name.to_owned(), result.get(name).or_else(|| timings.get(name))?.clone()));
    let mut result: Map<String, Value> = names.into_iter().filter_map(found).collect();
    result.insert("out".to_owned(), json!(directory.display().to_string()));
    Ok(Value::Object(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_keep_lists_and_texts_whole() {
        let values = |text: &str| axis(text).map(|(key, values)| (key, values.join("|")));
        assert_eq!(
            values("training.batch=64, 256").unwrap(),
            ("training.batch".to_owned(), "64|256".to_owned())
        );
        assert_eq!(values("model.0.hidden=[8,8],[16]").unwrap().1, "[8,8]|[16]");
        assert_eq!(values("title=\"a,b\",'c'").unwrap().1, "\"a,b\"|'c'");
        for wrong in ["training.batch", "=1,2", "a=", "a=1,,2"] {
            assert!(axis(wrong).unwrap_err().to_string().contains("KEY=A,B,C"), "{wrong}");
        }
    }
}
