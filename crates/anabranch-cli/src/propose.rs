//! Rounds of proposals and scores: from a table to a batch, and on.

use std::path::{Path, PathBuf};

use anabranch::error::{Error, Problem, Result};
use anabranch::recipe::{Override, locate};
use anabranch::report::write_rounds;
use anabranch::run::{Next, Rounds, trust};

use crate::commands::{complete, unused};
use crate::output::{say, tell};
use crate::progress::{Progress, Stop};
use crate::table::table;
use crate::{Output, RecipeArgs};

/// Begins rounds by a recipe, or goes on with those in a directory, until there is nothing to do without more scores.
pub fn propose(
    recipe: &RecipeArgs,
    scores: Option<&Path>,
    out: Option<PathBuf>,
    allow_command: bool,
    output: &Output,
) -> Result<()> {
    let stop = Stop::listen();
    let directory = Path::new(&recipe.recipe);
    let rounds = if directory.join("recipe.toml").is_file() {
        let key = recipe.set.first().map(|set| format!("--set {set}"));
        if let Some(key) = key.or_else(|| recipe.seed.map(|seed| format!("--seed {seed}"))) {
            return Err(Problem::new(key, "a value of rounds that were begun")
                .allowed("it with a recipe: all of it stays as it began")
                .into());
        }
        trust::check(directory, allow_command)?;
        let rounds = Rounds::open(directory)?;
        scores.map_or(Ok(()), |scores| rounds.add(scores))?;
        rounds
    } else {
        let resolved = recipe.resolve()?;
        let resolved = match scores {
            Some(scores) => resolved.with_table(scores)?,
            None => resolved,
        };
        let name = format!("{}-{}", resolved.name, resolved.seed);
        let out = out.unwrap_or_else(|| unused(&name));
        let overrides = recipe.set.iter().map(|text| Override::parse(text)).collect::<Result<Vec<_>>>()?;
        Rounds::create(&out, resolved).map_err(|error| locate(&recipe.recipe, &overrides, error))?
    };
    let advice = format!("anabranch propose {}", rounds.directory().display());
    let waits = go_on(&rounds, output, &stop, &advice)?;
    let result = rounds.result()?;
    write_rounds(&rounds, &result)?;
    if let Some(batch) = &waits {
        let batch = batch.display();
        tell(&format!("fill in the scores of {batch} and go on with: {advice} --scores {batch}"));
    }
    if output.json {
        return say(&format!("{result}\n"));
    }
    say(&format!("{}written to {}\n", table(&[("", &result)]), rounds.directory().display()))
}

/// Rounds until all calls are spent, or a batch waits for scores: its file.
fn go_on(rounds: &Rounds, output: &Output, stop: &Stop, advice: &str) -> Result<Option<PathBuf>> {
    let name = &rounds.recipe().name;
    loop {
        match rounds.next()? {
            Next::Train(k, run) => {
                complete(&run, output, stop, advice)?;
                rounds.propose(k, Some(&run), &Progress::new(name, output.quiet, stop))?;
            }
            Next::Propose(k) => rounds.propose(k, None, &Progress::new(name, output.quiet, stop))?,
            Next::Score(k) => {
                let scored = rounds.score(k, &Progress::new(name, output.quiet, stop));
                if let Err(Error::Interrupted) = scored {
                    tell(&format!("stopped; go on with: {advice}"));
                }
                scored?;
                write_rounds(rounds, &rounds.result()?)?;
            }
            Next::Wait(batch) => return Ok(Some(batch)),
            Next::Finished => return Ok(None),
        }
    }
}
