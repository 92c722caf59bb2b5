//! What shells and `man` are told of the program, made from its own description of its arguments.

use std::path::Path;

use anabranch::error::{Error, Problem, Result, quoted};
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::Program;
use crate::output::say;

/// Prints the completions of a shell.
pub fn completions(shell: &str) -> Result<()> {
    let found = Shell::from_str(shell, false).map_err(|_| {
        let names: Vec<String> = Shell::value_variants().iter().map(ToString::to_string).collect();
        Problem::new("anabranch completions", quoted(shell)).choices(&names)
    })?;
    let mut script = Vec::new();
    clap_complete::generate(found, &mut Program::command(), "anabranch", &mut script);
    say(&String::from_utf8_lossy(&script))
}

/// Writes the manual pages, one for each command, into a directory, which is made if need be.
pub fn man(directory: &Path) -> Result<()> {
    let failed = |error| Error::output(&directory.display().to_string(), directory, error);
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Program::command(), directory).map_err(failed)?;
    say(&format!("{}\n", directory.join("anabranch.1").display()))
}
