//! What is wrong with a command line, in the one line that every message of the program has.

use anabranch::error::{Problem, quoted};
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The problem that a parser of `program` met in the arguments `given`; `None` where help or the version was asked for.
pub fn problem(error: &clap::Error, mut program: clap::Command, given: &[String]) -> Option<Problem> {
    program.build();
    let named = given.iter().find_map(|argument| program.find_subcommand(argument));
    let command = named.unwrap_or(&program);
    let place = command.get_bin_name().unwrap_or(command.get_name());
    let context = |kind| error.get(kind).map(ContextValue::to_string).unwrap_or_default();
    // An argument is described as `--seed <SEED>`; the flag is its place.
    let argument = context(ContextKind::InvalidArg);
    let flag = argument.split_whitespace().next().unwrap_or_default().to_owned();
    let value = context(ContextKind::InvalidValue);
    Some(match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
        ErrorKind::InvalidSubcommand => {
            let commands: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
            let found = quoted(&context(ContextKind::InvalidSubcommand));
            Problem::new(program.get_name(), found).choices(&commands)
        }
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            Problem::new(place, quoted(&argument)).choices(&flags(command))
        }
        ErrorKind::UnknownArgument => {
            Problem::new(place, format!("{} beyond its arguments", quoted(&argument))).allowed(usage(command))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(missing)) => missing.join(" and no "),
                _ => argument,
            };
            Problem::new(place, format!("no {missing}")).allowed(usage(command))
        }
        ErrorKind::ArgumentConflict if context(ContextKind::PriorArg) == argument => {
            Problem::new(flag, "the flag more than once").allowed("it once")
        }
        ErrorKind::InvalidValue if value.is_empty() => Problem::new(flag, "no value").allowed(argument),
        ErrorKind::ValueValidation => {
            let allowed = std::error::Error::source(error).map(ToString::to_string);
            Problem::new(flag, quoted(&value)).allowed(allowed.unwrap_or_else(|| usage(command)))
        }
        ErrorKind::TooManyValues => Problem::new(flag, quoted(&value)).allowed("no value"),
        ErrorKind::InvalidUtf8 => {
            Problem::new(place, "an argument that is not UTF-8").allowed(usage(command))
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            Problem::new(place, line.trim_start_matches("error: ")).allowed(usage(command))
        }
    })
}

/// The long flags of a command.
fn flags(command: &clap::Command) -> Vec<String> {
    command.get_arguments().filter_map(clap::Arg::get_long).map(|flag| format!("--{flag}")).collect()
}

/// How a command is to be called.
fn usage(command: &clap::Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").split_whitespace().collect::<Vec<_>>().join(" ")
}
