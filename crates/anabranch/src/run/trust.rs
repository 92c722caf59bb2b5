//! Whose programs start: a recipe may name a program that answers rewards, and a run directory may come from anybody.
//!
//! A run whose recipe names one is signed when it is made: a random token goes into its directory, and with the directory's path into a
//! list of this user's own, `$XDG_STATE_HOME/anabranch/runs` or `~/.local/state/anabranch/runs`. A program of a directory that is not
//! in the list starts only where the user allows it. A recipe that is given as a file is the user's own word, and asks for nothing.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Problem, Result, listed, quoted};
use crate::recipe::{Recipe, TargetRecipe, saved};

/// The file of a run's token, in its directory.
const TOKEN: &str = "origin";

/// Refuses a run whose recipe names a program, in a directory that this user did not make; `allowed` says that its program may start.
///
/// # Errors
/// If the directory holds no run, or its program must not start.
pub fn check(directory: &Path, allowed: bool) -> Result<()> {
    let recipe = saved::recipe(directory)?;
    let programs = recipe.programs();
    if programs.is_empty() || allowed || made_here(directory) {
        return Ok(());
    }
    let programs: Vec<String> = programs.iter().map(|command| quoted(&command.join(" "))).collect();
    let found = format!("a run that was not made here, whose recipe starts {}", listed(&programs, "and"));
    let without = match recipe.target {
        TargetRecipe::Process(_) => "nothing can be drawn without it",
        _ => "`anabranch sample` without --refine starts none",
    };
    Err(Problem::new(directory.display().to_string(), found)
        .allowed(format!("it with --allow-command, if you trust that program; {without}"))
        .into())
}

/// The same where the environment itself is a program, which nothing can be drawn without.
///
/// # Errors
/// As [`check`].
pub fn check_environment(directory: &Path, allowed: bool) -> Result<()> {
    match saved::recipe(directory)?.target {
        TargetRecipe::Process(_) => check(directory, allowed),
        _ => Ok(()),
    }
}

/// Signs a new run, where its recipe names a program. A list that cannot be written only means that it is not trusted later.
pub(super) fn sign(directory: &Path, recipe: &Recipe) {
    if recipe.programs().is_empty() {
        return;
    }
    let token: String = (0u8..2).map(|half| format!("{:016x}", RandomState::new().hash_one(half))).collect();
    let Some((list, line)) = list().zip(line(directory, &token)) else { return };
    let signed = || -> std::io::Result<()> {
        if let Some(parent) = list.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(directory.join(TOKEN), format!("{token}\n"))?;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&list)?;
        file.write_all(format!("{line}\n").as_bytes())
    };
    let _ = signed();
}

/// Whether this user made the run in a directory.
fn made_here(directory: &Path) -> bool {
    let token = std::fs::read_to_string(directory.join(TOKEN)).unwrap_or_default();
    let token = token.trim();
    let known = list().and_then(|list| std::fs::read_to_string(list).ok()).unwrap_or_default();
    token.len() == 32 && line(directory, token).is_some_and(|line| known.lines().any(|known| known == line))
}

/// What the list says of a directory.
fn line(directory: &Path, token: &str) -> Option<String> {
    let path = std::fs::canonicalize(directory).ok()?;
    Some(format!("{token} {}", path.display().to_string().escape_debug()))
}

fn list() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("anabranch/runs"))
}
