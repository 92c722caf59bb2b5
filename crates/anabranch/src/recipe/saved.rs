//! What a run directory keeps to go on from: the recipe that it was started with, sealed, and its checkpoints.

use std::path::Path;

use super::read::SEAL;
use super::{Plan, Recipe, Source};
use crate::error::{Problem, Result, reason};
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

/// The plan of an existing run.
///
/// # Errors
/// If the directory holds no run, or its recipe is damaged or wrong.
pub fn open(directory: &Path) -> Result<Plan> {
    read(directory, |source, recipe| Plan::new(recipe).map_err(|error| source.locate(error)))
}

/// The recipe of an existing run.
///
/// # Errors
/// As [`open`], but for what only its plan would tell.
pub fn recipe(directory: &Path) -> Result<Recipe> {
    read(directory, |_, recipe| Ok(recipe))
}

/// What `make` makes of the recipe of an existing run and of the text in which it stands.
fn read<T>(directory: &Path, make: impl FnOnce(&Source<'_>, Recipe) -> Result<T>) -> Result<T> {
    let path = directory.join("recipe.toml");
    let origin = path.display().to_string();
    let text = std::fs::read(&path).map_err(|error| {
        Problem::new(directory.display().to_string(), format!("no recipe.toml ({})", reason(&error)))
            .allowed("a run directory, as `anabranch run` makes it")
    })?;
    let text = String::from_utf8_lossy(&text);
    let source = Source { origin: &origin, text: &text, overrides: &[] };
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
    let mut trainer = plan.start()?;
    let passed = Checkpoints::of(directory).restore(trainer.as_mut())?;
    passed.iter().for_each(|message| note(&format!("passed over {message}")));
    Ok(trainer)
}
