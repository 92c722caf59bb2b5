//! What a run directory keeps to go on from: the recipe that it was started with, sealed, a summary of its data, and its checkpoints.

use std::collections::BTreeMap;
use std::path::Path;

use super::read::SEAL;
use super::{Override, Plan, Recipe, Source, TargetData};
use crate::data::Summary;
use crate::error::{Error, Problem, Result, reason};
use crate::train::Training;
use crate::train::checkpoint::Checkpoints;

/// The text of `recipe.toml`: a damaged one is told by the checksum in its first line.
pub fn sealed(recipe: &Recipe) -> String {
    let text = recipe.to_toml();
    format!("{SEAL}{:08x}\n{text}", crc32c::crc32c(text.as_bytes()))
}

/// Whether a text is as [`sealed`] made it.
fn is_whole(text: &str) -> bool {
    let sealed = text.strip_prefix(SEAL).and_then(|rest| rest.split_once('\n'));
    sealed.is_some_and(|(sum, rest)| sum == format!("{:08x}", crc32c::crc32c(rest.as_bytes())))
}

/// What a run writes beside its recipe: a directory that holds some of it is none for a new run.
pub const OWNED: [&str; 12] = [
    "checkpoints",
    MEASURED,
    "metrics.jsonl",
    "tensorboard",
    "samples.npy",
    "given.npy",
    "candidates.csv",
    SCORES,
    RUNS,
    "result.json",
    "timings.json",
    "report.html",
];

/// What is known already of a run that is being measured, in its directory.
pub const MEASURED: &str = "measured.safetensors";

/// How likely each row is that a run reports on, in its directory.
pub const SCORES: &str = "scores.csv";

/// The summary of a run's data, in its directory.
pub const SUMMARY: &str = "data.json";

/// The runs that a run's recipe names, each with a checksum of what it had learned, in the directory of the one that names them.
pub const RUNS: &str = "runs.json";

/// The text of [`RUNS`], of a recipe that names some.
///
/// # Errors
/// If one of them cannot be read.
pub fn runs(recipe: &Recipe) -> Result<Option<String>> {
    let named = recipe.runs();
    if named.is_empty() {
        return Ok(None);
    }
    let found: Result<BTreeMap<String, String>> =
        named.into_iter().map(|run| Ok((run.clone(), fingerprint(Path::new(&run))?))).collect();
    Ok(Some(serde_json::to_string_pretty(&found?).expect("words") + "\n"))
}

/// A checksum of a run's recipe and checkpoints.
fn fingerprint(directory: &Path) -> Result<String> {
    let checkpoints = directory.join("checkpoints");
    let listed = std::fs::read_dir(&checkpoints).map_err(|error| Error::io("read", &checkpoints, error))?;
    let mut files: Vec<_> = listed.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut sum = 0;
    for file in [directory.join("recipe.toml")].into_iter().chain(files) {
        let bytes = std::fs::read(&file).map_err(|error| Error::io("read", &file, error))?;
        sum = crc32c::crc32c_append(sum, &bytes);
    }
    Ok(format!("{sum:08x}"))
}

/// Refuses a run whose recipe names others that have learned something else since it began.
fn check_runs(directory: &Path, recipe: &Recipe) -> Result<()> {
    let path = directory.join(RUNS);
    let (Ok(kept), Some(found)) = (std::fs::read_to_string(&path), runs(recipe)?) else { return Ok(()) };
    if kept == found {
        return Ok(());
    }
    Err(Problem::new(
        path.display().to_string(),
        "a run that has learned something else since this one began",
    )
    .allowed("the runs that its recipe names as they were")
    .into())
}

/// The text of [`SUMMARY`], of a plan that learns from rows.
pub fn summary(plan: &Plan) -> Option<String> {
    let data = rows(plan)?;
    Some(serde_json::to_string_pretty(data).expect("plain values") + "\n")
}

/// What is left of a plan's rows, if it learns from some.
fn rows(plan: &Plan) -> Option<&Summary> {
    match plan {
        Plan::Chain(plan) => match &plan.data {
            TargetData::Rows(data) => Some(&data.summary),
            TargetData::Energy(_) => None,
        },
        Plan::GFlowNet(_) => None,
    }
}

/// The summary that a run keeps, where it learned from rows.
fn kept(directory: &Path) -> Result<Option<Summary>> {
    let path = directory.join(SUMMARY);
    match std::fs::read(&path) {
        Ok(text) => Summary::parse(&path.display().to_string(), &String::from_utf8_lossy(&text)).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Io { action: "read", path, source: error }),
    }
}

/// The plan of an existing run, with its data.
///
/// # Errors
/// If the directory holds no run, its recipe is damaged or wrong, or its data cannot be read or are not those that it began with.
pub fn open(directory: &Path) -> Result<Plan> {
    open_with(directory, &[])
}

/// [`open`], with other values of what is measured at the end.
///
/// # Errors
/// As [`open`], or if something else is to be changed.
pub fn open_with(directory: &Path, changes: &[Override]) -> Result<Plan> {
    only(changes, |key| key.starts_with("evaluation."), "keys of `evaluation`")?;
    let kept = kept(directory)?;
    read(directory, changes, |source, recipe| {
        let plan = Plan::new(recipe).map_err(|error| source.locate(error))?;
        if let (Some(kept), Some(found)) = (&kept, rows(&plan)) {
            let target = plan.recipe().target.rows();
            let place = target.and_then(|target| target.place()).unwrap_or_else(|| "target".to_owned());
            kept.check(&place, found)?;
        }
        check_runs(directory, plan.recipe())?;
        Ok(plan)
    })
}

/// The plan of an existing run without the rows of its data, of which its directory keeps a summary: enough to draw, or to score other
/// rows. As [`open`] where there is no summary.
///
/// # Errors
/// If the directory holds no run, or its recipe is damaged or wrong.
pub fn remembered(directory: &Path) -> Result<Plan> {
    remembered_with(directory, &[])
}

/// [`remembered`], with other values of what is measured at the end.
///
/// # Errors
/// As [`remembered`], or if something else is to be changed.
pub fn remembered_with(directory: &Path, changes: &[Override]) -> Result<Plan> {
    only(changes, |key| key.starts_with("evaluation."), "keys of `evaluation`")?;
    match kept(directory)? {
        Some(kept) => read(directory, changes, |source, recipe| {
            let plan = Plan::remembered(recipe, &kept).map_err(|error| source.locate(error))?;
            check_runs(directory, plan.recipe())?;
            Ok(plan)
        }),
        None => open_with(directory, changes),
    }
}

/// The recipe of an existing run with another length of its training.
///
/// # Errors
/// As [`recipe`], or if something else is to be changed.
pub fn lengthened(directory: &Path, changes: &[Override]) -> Result<Recipe> {
    let length = |key: &str| matches!(key, "training.steps" | "training.trajectories");
    only(changes, length, "`training.steps`: all else of a run stays as it began")?;
    read(directory, changes, |_, recipe| Ok(recipe))
}

/// Refuses changes of other keys than a run lets change.
fn only(changes: &[Override], allowed: impl Fn(&str) -> bool, words: &str) -> Result<()> {
    match changes.iter().map(Override::key).find(|key| !allowed(key)) {
        Some(key) => {
            Err(Problem::new(format!("--set {key}"), "a key that the run began with").allowed(words).into())
        }
        None => Ok(()),
    }
}

/// The recipe of an existing run.
///
/// # Errors
/// As [`open`], but for what only its plan would tell.
pub fn recipe(directory: &Path) -> Result<Recipe> {
    read(directory, &[], |_, recipe| Ok(recipe))
}

/// Refuses a run's directory that somebody else could have made a trap of: a pipe in it would be waited for without end, and what is
/// written through a link lies outside.
fn check_plain(directory: &Path) -> Result<()> {
    for part in [directory.to_owned(), directory.join("checkpoints"), directory.join("tensorboard")] {
        for entry in std::fs::read_dir(&part).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if !kind.is_file() && !kind.is_dir() {
                let found = if kind.is_symlink() { "a link" } else { "a pipe, a socket or a device" };
                let place = entry.path().display().to_string();
                return Err(Problem::new(place, found)
                    .allowed("files and directories: a run's are its own")
                    .into());
            }
        }
    }
    Ok(())
}

/// What `make` makes of the recipe of an existing run, with changes, and of the text in which it stands.
fn read<T>(
    directory: &Path,
    overrides: &[Override],
    make: impl FnOnce(&Source<'_>, Recipe) -> Result<T>,
) -> Result<T> {
    check_plain(directory)?;
    let path = directory.join("recipe.toml");
    let origin = path.display().to_string();
    let text = std::fs::read(&path).map_err(|error| {
        Problem::new(directory.display().to_string(), format!("no recipe.toml ({})", reason(&error)))
            .allowed("a run directory, as `anabranch run` makes it")
    })?;
    let text = String::from_utf8_lossy(&text);
    let source = Source { origin: &origin, text: &text, overrides };
    let recipe = source.read();
    if !is_whole(&text) {
        let problem = Problem::new(
            &*origin,
            match &recipe {
                Ok(_) => "a recipe that is not the one the run was started with".to_owned(),
                Err(error) => format!("a damaged recipe ({error})"),
            },
        );
        return Err(problem
            .allowed("the file as it was written; to train with other values, start another run")
            .into());
    }
    make(&source, recipe?)
}

/// The newest whole state of a run of `plan`; `note` is told of checkpoints that were passed over.
///
/// # Errors
/// If no checkpoint is whole.
pub fn newest<'a>(plan: &'a Plan, directory: &Path, note: &dyn Fn(&str)) -> Result<Box<dyn Training + 'a>> {
    let mut trainer = plan.blank()?;
    let passed = Checkpoints::of(directory).restore(trainer.as_mut())?;
    passed.iter().for_each(|message| note(&format!("passed over {message}")));
    Ok(trainer)
}
