//! Reading recipes: TOML text, overrides, and messages that name file, line and key.

use toml::de::{DeTable, DeValue};

use super::Recipe;
use super::shape;
use crate::error::{Error, Problem, Result, quoted};

/// How many names a key's path may have; a recipe's own paths have at most five.
const DEEPEST: usize = 16;

/// Keys of which a recipe has one at most, each with the name of the other one beside it: what is set later wins.
const EXCLUSIVE: [(&str, &str); 2] = [("training.steps", "trajectories"), ("training.trajectories", "steps")];

/// What the first line of a run's `recipe.toml` begins with.
pub(super) const SEAL: &str =
    "# What this run was started with, which later steps rely on. Checksum of the rest: ";

/// One `key.path=value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    path: Vec<String>,
    value: toml::Value,
}

impl Override {
    /// Parses `key.path=value`; a value that is no TOML is a string.
    ///
    /// # Errors
    /// If there is no `=`, or what stands before it is no path of keys.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong =
            || Problem::new("--set", quoted(text)).allowed("key.path=value, such as training.steps=100");
        let (path, value) = text.split_once('=').ok_or_else(wrong)?;
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        if path.len() > DEEPEST || path.iter().any(String::is_empty) {
            return Err(wrong().into());
        }
        let value = value.trim();
        let value = value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned()));
        Ok(Self { path, value })
    }

    /// The key's path.
    pub fn key(&self) -> String {
        self.path.join(".")
    }

    fn place(&self) -> String {
        format!("--set {}", self.key())
    }

    fn apply(&self, table: &mut toml::Table) -> Result<()> {
        let place = self.place();
        let (last, parents) = self.path.split_last().expect("a parsed override has a key");
        let mut root = toml::Value::Table(std::mem::take(table));
        let mut node = &mut root;
        for key in parents {
            node = child(node, key, &place)?;
        }
        match node {
            toml::Value::Table(table) => {
                if let Some((_, other)) = EXCLUSIVE.iter().find(|(key, _)| *key == self.path.join(".")) {
                    table.remove(*other);
                }
                table.insert(last.clone(), self.value.clone());
            }
            node => *child(node, last, &place)? = self.value.clone(),
        }
        if let toml::Value::Table(filled) = root {
            *table = filled;
        }
        Ok(())
    }
}

fn child<'a>(node: &'a mut toml::Value, key: &str, place: &str) -> Result<&'a mut toml::Value> {
    match node {
        toml::Value::Table(table) => {
            Ok(table.entry(key.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new())))
        }
        toml::Value::Array(items) => {
            let allowed = match items.len() {
                0 => "a whole list: this one is empty".to_owned(),
                count => format!("an index from 0 to {}", count - 1),
            };
            let item = key.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            item.ok_or_else(|| Problem::new(place, quoted(key)).allowed(allowed).into())
        }
        _ => Err(Problem::new(place, format!("{} within a single value", quoted(key)))
            .allowed("a key within a table or a list")
            .into()),
    }
}

/// Where a recipe's values came from: a text, and overrides that came after it.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// A file, or the name of an embedded recipe.
    pub origin: &'a str,
    /// Its TOML.
    pub text: &'a str,
    /// What was set afterwards.
    pub overrides: &'a [Override],
}

/// The most tables within each other: parsers of TOML end at about 80.
const NESTED: usize = 64;

/// How many tables and lists stand within each other at most.
fn depth(values: &mut dyn Iterator<Item = &toml::Value>) -> usize {
    let below = |value: &toml::Value| match value {
        toml::Value::Table(table) => depth(&mut table.values()),
        toml::Value::Array(list) => depth(&mut list.iter()),
        _ => 0,
    };
    1 + values.map(below).max().unwrap_or(0)
}

impl Source<'_> {
    /// Reads and checks the recipe.
    ///
    /// # Errors
    /// If the text is no TOML, a key or value is wrong, or a check fails.
    pub fn read(&self) -> Result<Recipe> {
        let Self { origin, text, overrides } = *self;
        let mut table = toml::from_str::<toml::Table>(text).map_err(|error| {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            let message = error.message().replace('\n', ", ");
            Problem::new(format!("{origin}, line {line}"), format!("broken TOML ({message})"))
                .allowed("TOML, such as key = value below a [table]")
        })?;
        if text.starts_with(SEAL) {
            // Older programs wrote keys that nothing reads.
            shape::keep_read(&mut table);
        }
        overrides.iter().try_for_each(|change| change.apply(&mut table))?;
        let deep = depth(&mut table.values());
        if deep > NESTED {
            return Err(Problem::new(origin, format!("tables {deep} within each other"))
                .allowed(format!("at most {NESTED}, which can be written and read again"))
                .into());
        }
        let resolved = one_length(&table).and_then(|()| shape::resolve(&mut table));
        resolved.map_err(|problem| {
            let place = self.place(problem.place());
            problem.at(place)
        })?;
        let mut recipe: Recipe = table.try_into().map_err(|error: toml::de::Error| {
            Problem::new(origin, error.message().replace('\n', ", "))
                .allowed("a recipe; see `anabranch schema`")
        })?;
        recipe.training.count_steps();
        if !text.starts_with(SEAL) {
            recipe.whiten();
        }
        recipe.check().map_err(|error| self.locate(error))?;
        Ok(recipe)
    }

    /// The same error, with the file and line or the flag behind the key that it names, if it names one.
    pub fn locate(&self, error: Error) -> Error {
        match error {
            Error::Input(problem) if is_key(problem.place()) => {
                let place = self.place(problem.place());
                problem.at(place).into()
            }
            other => other,
        }
    }

    fn place(&self, key: &str) -> String {
        let path: Vec<&str> = key.split('.').collect();
        let (line, depth) = self.line(&path);
        let behind = self.overrides.iter().rev().find(|change| {
            let shared = change.path.iter().zip(&path).take_while(|(a, b)| a == b).count();
            // The override set the key or a table around it, or made the table that the key names.
            shared == change.path.len() || (shared == path.len() && depth < path.len())
        });
        match (behind, line) {
            (Some(change), _) if change.path == path => change.place(),
            (Some(change), _) => format!("{}, key {key}", change.place()),
            (None, Some(line)) => format!("{}, line {line}, key {key}", self.origin),
            (None, None) => format!("{}, key {key}", self.origin),
        }
    }

    /// The line of the longest part of the path that the text has, and how many names that part has.
    fn line(&self, path: &[&str]) -> (Option<usize>, usize) {
        let Ok(document) = DeTable::parse(self.text) else { return (None, 0) };
        let root = DeValue::Table(document.into_inner());
        let (mut node, mut start) = (&root, None);
        for (depth, name) in path.iter().enumerate() {
            let next = match node {
                DeValue::Table(table) => table
                    .iter()
                    .find(|(key, _)| key.get_ref() == name)
                    .map(|(key, value)| (key.span(), value)),
                DeValue::Array(items) => name
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get(index))
                    .map(|item| (item.span(), item)),
                _ => None,
            };
            let Some((span, value)) = next else { return (start.map(|at| line_at(self.text, at)), depth) };
            (node, start) = (value.get_ref(), Some(span.start));
        }
        (start.map(|at| line_at(self.text, at)), path.len())
    }
}

/// Refuses a training that is told of both in steps and in trajectories.
fn one_length(recipe: &toml::Table) -> Result<(), Problem> {
    let key = |name: &str| recipe.get("training").and_then(|training| training.get(name));
    match (key("steps"), key("trajectories")) {
        (Some(steps), Some(trajectories)) => {
            let found = format!("steps = {steps} and trajectories = {trajectories}");
            Err(Problem::new("training", found).allowed("one of them"))
        }
        _ => Ok(()),
    }
}

/// The line, from 1, of a place in a text.
fn line_at(text: &str, place: usize) -> usize {
    1 + text.bytes().take(place).filter(|byte| *byte == b'\n').count()
}

/// Whether the place of a problem is a key of a recipe, and not a file or a flag.
fn is_key(place: &str) -> bool {
    let mut names = place.split('.');
    let word = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    names.next().is_some_and(shape::has) && names.all(word)
}

/// Reads a recipe from TOML; `origin` (a file or a recipe's name) is named in messages.
///
/// # Errors
/// If the text is no TOML, a key or value is wrong, or a check fails.
pub fn read(origin: &str, text: &str, overrides: &[Override]) -> Result<Recipe> {
    Source { origin, text, overrides }.read()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"t\"\n[target]\nkind = \"toy\"\nname = \"moons\"\n[[model]]\nkind = \"flow\"\n[training]\nsteps = 10\n";

    fn message(text: &str, sets: &[&str]) -> String {
        let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
        read("t.toml", text, &overrides).unwrap_err().to_string()
    }

    /// What is read can be written and read again, however deep it is; deeper ones are refused.
    #[test]
    fn tables_within_each_other_have_an_end() {
        let nested = |levels: usize| {
            let reward = (0..levels)
                .fold("{ kind = \"expression\", log_reward = \"0\" }".to_owned(), |inner, _| {
                    format!("{{ kind = \"tempered\", beta = 1.0, reward = {inner} }}")
                });
            let text = format!(
                "name = \"t\"\n[target]\nkind = \"hypergrid\"\ndim = 2\nside = 3\nreward = {reward}\n\
                 [objective]\nkind = \"trajectory-balance\"\n"
            );
            read("t.toml", &text, &[])
        };
        let deepest = nested(NESTED - 3).unwrap().to_toml();
        assert_eq!(read("again.toml", &deepest, &[]).unwrap().to_toml(), deepest);
        let message = nested(NESTED - 2).unwrap_err().to_string();
        assert_eq!(
            message,
            "t.toml: found tables 65 within each other; allowed: at most 64, which can be written and read again"
        );
    }

    #[test]
    fn overrides_reach_tables_and_lists() {
        let sets = ["training.steps=3", "model.0.layers=2", "optimizer.kind=adamw", "seed=9"];
        let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
        let recipe = read("t.toml", TEXT, &overrides).unwrap();
        assert_eq!((recipe.training.steps, recipe.seed), (3, 9));
        assert_eq!(read("again", &recipe.to_toml(), &[]).unwrap(), recipe);
    }

    #[test]
    fn messages_name_place_finding_and_choice() {
        let unknown = message(&TEXT.replace("steps", "stepz"), &[]);
        assert!(
            unknown.starts_with(
                "t.toml, line 8, key training.stepz: found \"stepz\"; allowed: steps, trajectories, batch"
            ),
            "{unknown}"
        );
        assert!(unknown.ends_with("did you mean \"steps\"?"), "{unknown}");
        let kind = message(TEXT, &["model.0.kind=flaw"]);
        assert!(
            kind.starts_with(
                "--set model.0.kind: found \"flaw\"; allowed: diffusion, jump, autoregressive, energy, energy-flow-network, run, flow"
            ),
            "{kind}"
        );
        assert!(kind.ends_with("did you mean \"flow\"?"), "{kind}");
        for (set, expected) in [
            (
                "training.steps=many",
                "--set training.steps: found \"many\"; allowed: an integer of at least 0",
            ),
            ("training.steps=-3", "--set training.steps: found -3; allowed: an integer of at least 0"),
            ("training.steps=1e3", "--set training.steps: found 1000.0; allowed: an integer of at least 0"),
            ("training.batch=0", "--set training.batch: found 0; allowed: an integer from 1 to 10000000"),
            ("training=5", "--set training: found 5; allowed: a table"),
            (
                "training={steps=0}",
                "--set training, key training.steps: found 0; allowed: an integer of at least 1",
            ),
            ("training.ema=nan", "--set training.ema: found NaN; allowed: a finite number"),
            (
                "model.0.hidden=[8, 'x']",
                "--set model.0.hidden, key model.0.hidden.1: found \"x\"; allowed: an integer from 1 to 65536",
            ),
            (
                "model.0.hidden=8",
                "--set model.0.hidden: found 8; allowed: a list of 1 to 100 entries, each an integer from 1 to 65536",
            ),
            ("model.0.bound=1e39", "--set model.0.bound: found 1e39; allowed: a finite number"),
            ("model.0.residual=yes", "--set model.0.residual: found \"yes\"; allowed: true or false"),
            ("model.7.layers=2", "--set model.7.layers: found \"7\"; allowed: an index from 0 to 0"),
            (
                "training.steps.x=2",
                "--set training.steps.x: found \"x\" within a single value; allowed: a key within a table or a list",
            ),
        ] {
            assert_eq!(message(TEXT, &[set]), expected);
        }
        // The override decides what is allowed; the text has what is wrong.
        let table = message(TEXT, &["target.kind=table"]);
        assert!(
            table.starts_with("t.toml, line 4, key target.name: found \"name\"; allowed: kind, source,"),
            "{table}"
        );
        let typo = message(TEXT, &["trainning.steps=5"]);
        assert!(typo.starts_with("--set trainning.steps, key trainning: found \"trainning\";"), "{typo}");
        assert!(typo.ends_with("did you mean \"training\"?"), "{typo}");
        assert!(message(TEXT, &["target.name=moon"]).ends_with("did you mean \"moons\"?"));
    }

    #[test]
    fn lines_are_those_of_the_key() {
        // The value is refused although an earlier key starts with the same letters, and a comment names it.
        let text = TEXT.replace("[training]", "[training]\n# batch = 0\n'batch' = 0");
        assert!(message(&text, &[]).starts_with("t.toml, line 9, key training.batch: found 0"), "{text}");
        // What is missing is looked for where it should have been.
        let missing = message(&TEXT.replace("name = \"moons\"", ""), &[]);
        let start =
            "t.toml, line 2, key target.name: found nothing; allowed: eight-gaussians, checkerboard, ";
        assert!(missing.starts_with(start), "{missing}");
        assert_eq!(message("", &[]), "t.toml, key name: found nothing; allowed: a text in quotes");
        let broken = message("name = \"t\"\nseed = \n", &[]);
        assert!(broken.starts_with("t.toml, line 2: found broken TOML ("), "{broken}");
    }

    const GRID: &str =
        "name = \"g\"\n[target]\nkind = \"hypergrid\"\ndim = 2\nside = 4\n[training]\ntrajectories = 33\n";

    #[test]
    fn the_target_tells_the_kinds_of_recipes_apart() {
        let grid = read("g.toml", GRID, &[]).unwrap();
        assert!(grid.target.objects().is_some());
        assert_eq!(read("again", &grid.to_toml(), &[]).unwrap(), grid);
        let slip = message(GRID, &["target.kind=hypergird"]);
        let start = "--set target.kind: found \"hypergird\"; allowed: table, toy, planar-bits, factorial, lattice, characters, tunes, simulator, energy, categories, run, hypergrid, cyclic-grid, slippery-grid, strings, ";
        assert!(slip.starts_with(start) && slip.ends_with("did you mean \"hypergrid\"?"), "{slip}");
        let none = message("name = \"g\"", &[]);
        let start = "t.toml, key target: found nothing; allowed: a table whose kind is one of table, toy, planar-bits, factorial, lattice, characters, tunes, simulator, energy, categories, run, hypergrid, ";
        assert!(none.starts_with(start), "{none}");
        assert!(message("name = \"g\"\n[targte]\n", &[]).ends_with("did you mean \"target\"?"));
        // Keys of other targets are not read.
        assert!(
            message(GRID, &["sampler.kind=ode"])
                .starts_with("--set sampler.kind, key sampler: found \"sampler\"")
        );
        assert!(message(TEXT, &["policy.backward=uniform"]).contains("key policy: found \"policy\""));
        for (set, expected) in [
            ("target.side=1", "--set target.side: found 1; allowed: an integer from 2 to 65536"),
            ("exploration.epsilon=2", "--set exploration.epsilon: found 2; allowed: a number from 0 to 1"),
            (
                "exploration.epsilon={start=1.0,end=-0.5,steps=3}",
                "--set exploration.epsilon, key exploration.epsilon.end: found -0.5; allowed: a number from 0 to 1",
            ),
            (
                "exploration.epsilon=low",
                "--set exploration.epsilon: found \"low\"; allowed: a finite number, or a table",
            ),
            (
                "policy.network={kind='mlp',hidden=[0]}",
                "--set policy.network, key policy.network.hidden.0: found 0; allowed: an integer from 1 to 65536",
            ),
        ] {
            assert_eq!(message(GRID, &[set]), expected);
        }
    }

    #[test]
    fn keys_that_the_target_does_not_read_are_refused_with_the_reason() {
        for (text, set, expected) in [
            (
                TEXT,
                "evaluation.paths=5",
                "--set evaluation.paths: found \"paths\", which is of energies and objects and not of data; allowed: samples, \
                 draws, importance_samples, ode_steps, ode_probes, sample_metrics, repeats",
            ),
            (
                TEXT,
                "policy.backward=uniform",
                "--set policy.backward, key policy: found \"policy\", which is of energies and objects and not of data; allowed: \
                 name, title, seed, target, model, objective, backward, state_flow, optimizer, training, sampler, evaluation",
            ),
            (
                GRID,
                "model=[{kind='flow'}]",
                "--set model: found \"model\", which is of data and energies and not of objects; allowed: name, title, seed, \
                 target, conditions, roots, policy, objective, exploration, optimizer, training, evaluation, rounds",
            ),
            (
                GRID,
                "evaluation.draws=5",
                "--set evaluation.draws: found \"draws\", which is of data and not of objects; allowed: samples, paths, \
                 exact_states, candidates",
            ),
        ] {
            assert_eq!(message(text, &[set]), expected);
        }
        // A run that an older program began may have them, and says nothing by them.
        let old = format!("{SEAL}00000000\n{TEXT}[evaluation]\npaths = 5\ndraws = 3\n");
        let recipe = read("recipe.toml", &old, &[]).unwrap();
        assert_eq!((recipe.evaluation.draws, recipe.evaluation.paths), (3, 10_000));
        let again = Override::parse("evaluation.paths=5").unwrap();
        assert!(read("recipe.toml", &old, &[again]).is_err());
    }

    #[test]
    fn what_nobody_sets_follows_from_the_target() {
        let values = |text: &str| {
            let recipe = read("t.toml", text, &[]).unwrap();
            let crate::recipe::TrainingRecipe { batch, evaluate_every, ema, .. } = recipe.training;
            (batch, evaluate_every, ema, recipe.objective.formula().split(':').next().unwrap().to_owned())
        };
        let energy = TEXT.replace("\"toy\"\nname = \"moons\"", "\"energy\"\nenergy = { kind = \"gmm9\" }");
        assert_eq!(values(TEXT), (256, 500, 0.999, "forward KL".to_owned()));
        assert_eq!(values(&energy), (256, 500, 0.999, "forward KL".to_owned()));
        assert_eq!(values(GRID), (16, 0, 0.0, "trajectory balance".to_owned()));
        // What is set stays, beside what is not.
        let some = format!("{TEXT}batch = 7\n[objective]\nkind = \"importance-weighted\"\nsamples = 2\n");
        assert_eq!(values(&some), (7, 500, 0.999, "importance-weighted bound".to_owned()));
        let written = read("t.toml", GRID, &[]).unwrap().to_toml();
        for section in ["[policy]", "[exploration]", "exact_states = 250000"] {
            assert!(written.contains(section), "{written}");
        }
        for section in ["sampler", "model", "draws", "trajectories"] {
            assert!(!written.contains(section), "{written}");
        }
    }

    #[test]
    fn of_steps_and_trajectories_the_later_one_counts() {
        let steps = |sets: &[&str]| {
            let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
            read("g.toml", GRID, &overrides).unwrap().training.steps
        };
        assert_eq!(steps(&[]), 3, "33 trajectories are three steps of 16");
        assert_eq!(steps(&["training.batch=11"]), 3);
        assert_eq!(steps(&["training.steps=7"]), 7);
        assert_eq!(steps(&["training.steps=7", "training.trajectories=16"]), 1);
        assert_eq!(
            message(GRID, &["training={steps=2,trajectories=5}"]),
            "--set training: found steps = 2 and trajectories = 5; allowed: one of them"
        );
    }

    #[test]
    fn broken_overrides_are_the_flags_problem() {
        for text in ["training.steps", "=3", "a..b=3", &format!("{}a=1", "a.".repeat(100)), ""] {
            let message = Override::parse(text).unwrap_err().to_string();
            assert!(message.starts_with("--set: found \""), "{message}");
        }
        // One value, and not the TOML that follows a line's end in it.
        let change = Override::parse("training.steps=3\nbatch=4").unwrap();
        assert_eq!(change.value, toml::Value::String("3\nbatch=4".to_owned()));
    }
}
