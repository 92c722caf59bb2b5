//! The program `anabranch`.

mod commands;
mod compare;
mod draft;
mod memory;
mod output;
mod pages;
mod progress;
mod propose;
mod sample;
mod table;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use anabranch::error::Error;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueHint};

#[global_allocator]
static ALLOCATOR: memory::OrEnd = memory::OrEnd(mimalloc::MiMalloc);

/// One engine for every generative model that is a Markovian trajectory.
#[derive(Debug, Parser)]
#[command(name = "anabranch", version, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct RecipeArgs {
    /// A recipe's name (see `anabranch list`), a TOML file, or - for standard input.
    #[arg(value_hint = ValueHint::FilePath)]
    recipe: String,
    /// Overrides one value, such as training.steps=100; may be repeated.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    set: Vec<String>,
    /// The seed of every random stream.
    #[arg(long, value_parser = integer, allow_negative_numbers = true)]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
struct Output {
    /// Prints exactly one JSON object to stdout.
    #[arg(long)]
    json: bool,
    /// Shows no progress.
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct Trust {
    /// Lets the program that the run's recipe names for its rewards start, though the directory was not made here.
    #[arg(long)]
    allow_command: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a recipe for a file of data, with what is to be known of them as comments.
    New {
        /// A CSV, Parquet, NPY, NPZ or IDX file with a row for each object.
        data: PathBuf,
        /// What is to model them: flow, diffusion or vae.
        #[arg(long, default_value = "flow")]
        model: String,
        /// The recipe [default: DATA-MODEL.toml, here]; - for standard output.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Trains a recipe, evaluates it and writes all of it into a directory.
    Run {
        #[command(flatten)]
        recipe: RecipeArgs,
        /// The run's directory [default: a new one, runs/RECIPE-SEED].
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Goes on with a run from its newest whole checkpoint.
    Resume {
        /// The run's directory.
        directory: PathBuf,
        /// Another length of the training, training.steps=N: nothing else of a run can be changed.
        #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
        set: Vec<String>,
        #[command(flatten)]
        trust: Trust,
        #[command(flatten)]
        output: Output,
    },
    /// Proposes objects to be scored, learns from their scores, and again.
    Propose {
        #[command(flatten)]
        recipe: RecipeArgs,
        /// Scores of the last batch, a CSV file with the columns object and score; with a recipe, its table of scores.
        #[arg(long, value_name = "FILE")]
        scores: Option<PathBuf>,
        /// The directory of all rounds [default: a new one, runs/RECIPE-SEED].
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        trust: Trust,
        #[command(flatten)]
        output: Output,
    },
    /// Draws samples from a trained run.
    Sample {
        /// The run's directory.
        directory: PathBuf,
        /// How many.
        #[arg(long, value_parser = integer, allow_negative_numbers = true)]
        count: u64,
        /// The seed of the draws.
        #[arg(long, default_value_t = 1, value_parser = integer, allow_negative_numbers = true)]
        seed: u64,
        /// ancestral, ddim (deterministic), ode or, of categories, discrete [default: the recipe's].
        #[arg(long)]
        sampler: Option<String>,
        /// How many noise levels ddim visits, or steps ode or discrete make [default: the recipe's, else 50; of discrete, as trained].
        #[arg(long, value_parser = integer, allow_negative_numbers = true)]
        steps: Option<u64>,
        /// importance (resampled by path weights) or back-and-forth=K (K Metropolis-Hastings moves): towards the target that the
        /// model was trained for.
        #[arg(long)]
        refine: Option<String>,
        /// The condition of all samples: a class, or the numbers of a condition with commas between them [default: each
        /// sample's own, drawn as in training].
        #[arg(long, value_name = "CLASS|NUMBERS", allow_hyphen_values = true)]
        condition: Option<String>,
        /// A file of conditions, a row for each, under every one of which --count samples are drawn, in the file's order.
        #[arg(long, value_name = "FILE", conflicts_with = "condition")]
        conditions: Option<PathBuf>,
        /// npy, csv, parquet, png (grey images), txt (objects of a flow network) or zarr (a directory that xarray and ArviZ read)
        /// [default: as the extension of --out says, else npy].
        #[arg(long)]
        format: Option<String>,
        /// The file [default: DIRECTORY/samples-COUNT.FORMAT].
        #[arg(long)]
        out: Option<PathBuf>,
        /// Writes over the file if it is there already.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        trust: Trust,
    },
    /// Measures a trained run again.
    Evaluate {
        /// The run's directory.
        directory: PathBuf,
        /// A CSV, NPY, NPZ, IDX or Parquet file of data to score in place of the recipe's test split; for a flow network over
        /// objects a text file with one a line.
        #[arg(long)]
        data: Option<PathBuf>,
        /// A CSV file to write, with how likely each row is: of --data, or of the recipe's test split.
        #[arg(long, value_name = "FILE", conflicts_with = "from")]
        rows: Option<PathBuf>,
        /// The step of a checkpoint, whose weights are measured as they were then [default: the best].
        #[arg(long, value_name = "STEP", value_parser = integer, allow_negative_numbers = true)]
        checkpoint: Option<u64>,
        /// Overrides one value of what is measured, such as evaluation.draws=100; may be repeated.
        #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
        set: Vec<String>,
        /// A state: what lies ahead of it, where the recipe has roots.
        #[arg(long, value_name = "STATE", conflicts_with = "data")]
        from: Option<String>,
        /// A state ahead of that one: how likely it is to be passed.
        #[arg(long, value_name = "STATE", requires = "from")]
        to: Option<String>,
        /// A formula, as of a reward: how likely it is not 0 for an object ahead of that state.
        #[arg(long, value_name = "FORMULA", requires = "from", allow_hyphen_values = true)]
        that: Option<String>,
        /// Two formulas: the entropy of each, of each given the other, and their mutual information.
        #[arg(
            long,
            num_args = 2,
            value_names = ["FORMULA", "FORMULA"],
            requires = "from",
            allow_hyphen_values = true
        )]
        between: Vec<String>,
        #[command(flatten)]
        trust: Trust,
        /// Prints exactly one JSON object to stdout.
        #[arg(long)]
        json: bool,
    },
    /// Writes trained weights for programs of others, with all that densities take beside them.
    Export {
        /// The run's directory.
        directory: PathBuf,
        /// The step of a checkpoint, whose weights are written as they were then [default: the best].
        #[arg(long, value_name = "STEP", value_parser = integer, allow_negative_numbers = true)]
        checkpoint: Option<u64>,
        /// The safetensors file [default: DIRECTORY/weights.safetensors].
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Trains several recipes, under several seeds and with several values, and puts their numbers side by side.
    Compare {
        /// Recipes' names or TOML files, or directories of runs that are done.
        #[arg(required = true, value_hint = ValueHint::AnyPath)]
        recipes: Vec<String>,
        /// Overrides one value in all recipes; may be repeated.
        #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
        set: Vec<String>,
        /// Every recipe with each of these values; repeated, with every combination.
        #[arg(long, value_name = "KEY.PATH=A,B,C")]
        grid: Vec<String>,
        /// The seed of every random stream, or the first of --seeds.
        #[arg(long, value_parser = integer, allow_negative_numbers = true)]
        seed: Option<u64>,
        /// How many seeds each recipe is trained under.
        #[arg(long, default_value_t = 1, value_parser = integer, allow_negative_numbers = true)]
        seeds: u64,
        /// How many runs are trained at once, on one share of the cores each [default: 1, on all of them].
        #[arg(long, value_parser = integer, allow_negative_numbers = true)]
        jobs: Option<u64>,
        /// The directory of all runs [default: a new one, runs/compare].
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        trust: Trust,
        #[command(flatten)]
        output: Output,
    },
    /// Lists the recipes.
    List {
        /// Prints exactly one JSON object to stdout.
        #[arg(long)]
        json: bool,
    },
    /// Says what a recipe means: space, target, kernels, objective, estimators.
    Explain {
        #[command(flatten)]
        recipe: RecipeArgs,
    },
    /// Prints the BibTeX entries of the methods a recipe uses.
    Cite {
        #[command(flatten)]
        recipe: RecipeArgs,
    },
    /// Prints the JSON Schema of recipes.
    Schema,
    /// Prints a script by which a shell completes commands and flags.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: String,
    },
    /// Writes manual pages, one for each command.
    Man {
        /// The directory, such as ~/.local/share/man/man1.
        directory: PathBuf,
    },
}

impl Command {
    /// Whether it reckons anything, for which threads are worth their start.
    fn computes(&self) -> bool {
        !matches!(
            self,
            Self::List { .. }
                | Self::Cite { .. }
                | Self::Schema
                | Self::Completions { .. }
                | Self::Man { .. }
        )
    }
}

/// Starts the threads: as many as there are cores, or as `RAYON_NUM_THREADS` says, if that is fewer.
fn threads() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|asked| asked.parse().ok());
    let threads = asked.filter(|asked| *asked > 0).map_or(cores, |asked: usize| asked.min(cores));
    // The main thread is one of the pool's, so that no step of a training is handed to another that has to wake for it.
    // Where this fails the pool is built when it is first used.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global();
}

/// An integer that TOML can hold, too.
fn integer(text: &str) -> Result<u64, String> {
    let value = text.parse().ok().filter(|value| *value <= i64::MAX as u64);
    value.ok_or_else(|| format!("an integer from 0 to {}", i64::MAX))
}

/// The command that the arguments name. Where they ask for help or the version, that is printed and the program ends.
fn arguments() -> Result<Command, Error> {
    let given: Vec<std::ffi::OsString> = std::env::args_os().collect();
    Program::try_parse_from(&given).map(|program| program.command).map_err(|error| {
        let given: Vec<String> =
            given.iter().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
        match usage::problem(&error, Program::command(), &given) {
            Some(problem) => problem.into(),
            None => error.exit(),
        }
    })
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic").replace('\n', ", ");
        let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        output::tell(&format!(
            "internal error: {message}{}; please report it at {}/issues",
            place.unwrap_or_default(),
            env!("CARGO_PKG_REPOSITORY")
        ));
    }));
    match std::panic::catch_unwind(|| {
        let command = arguments()?;
        if command.computes() {
            threads();
        }
        commands::execute(command)
    }) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            // Who stopped the program knows what happened.
            if !matches!(error, Error::Interrupted) {
                output::tell(&format!("error: {error}"));
            }
            let code = match error {
                Error::Interrupted => progress::stopped_by_signal().unwrap_or(1),
                error if error.is_input() => 2,
                _ => 1,
            };
            ExitCode::from(code)
        }
        Err(_) => ExitCode::FAILURE,
    }
}
