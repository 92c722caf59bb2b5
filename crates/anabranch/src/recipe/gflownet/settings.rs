//! From a checked recipe to the settings of its training.

use std::path::Path;
use std::sync::Arc;

use super::prior;
use crate::environment::{Cell, Environment};
use crate::error::{Error, Problem, Result};
use crate::policy::Policy;
use crate::recipe::Recipe;
use crate::sampler::back_and_forth::Removals;
use crate::target::{Conditions, Target};
use crate::train::Trained;
use crate::train::gflownet::Settings;
use crate::train::gflownet::exploration::{DataSettings, Exploration, ReplaySettings, SearchSettings};

/// The settings of the training of a policy whose network has so many `parameters`; `objects` reads those of a file.
pub(super) fn settings<P: Policy>(
    recipe: &Recipe,
    policy: &P,
    reward: &dyn Target<P::Cell>,
    parameters: usize,
    objects: &dyn Fn(&Path) -> Result<Vec<P::Cell>>,
) -> Result<Settings<P>> {
    let exploring = &recipe.exploration;
    let mut training = recipe.training.clone();
    let share = |fraction: f64| (fraction * training.batch as f64).round() as usize;
    let replay = exploring.replay.as_ref().map(|replay| ReplaySettings {
        kind: replay.kind(),
        capacity: replay.capacity(),
        batch: share(replay.fraction()),
    });
    let data = exploring.data.as_ref().map(|data| {
        let objects = Arc::new(objects(Path::new(&data.file))?);
        Ok::<_, Error>(DataSettings { objects, batch: share(data.fraction) })
    });
    let data = data.transpose()?;
    let taken = replay.map_or(0, |replay| replay.batch) + data.as_ref().map_or(0, |data| data.batch);
    if taken >= training.batch {
        let found = format!("{taken} of a step's {} trajectories from replay and data", training.batch);
        return Err(Problem::new("exploration", found).allowed("at least one of the policy's own").into());
    }
    training.batch -= taken;
    let search = exploring.local_search.as_ref().map(|search| SearchSettings {
        rounds: search.rounds,
        removals: Removals::UpTo(search.removals),
        acceptance: search.acceptance,
    });
    let exploration = Exploration {
        epsilon: exploring.epsilon.ramp(),
        temperature: exploring.temperature.ramp(),
        replay,
        data,
        search,
        novelty: exploring.novelty,
    };
    let conditions = Conditions::new(recipe.conditions.clone(), reward.condition_width())?;
    let settings = Settings {
        training,
        optimizer: recipe.optimizer.clone(),
        objective: recipe.objective.check("objective", recipe.policy.backward.objective())?,
        exploration,
        conditions: (conditions.width() > 0).then(|| Arc::new(conditions) as _),
        sources: None,
        prior: prior::weights(recipe, parameters)?,
        start: start(recipe, parameters)?,
    };
    settings.check(policy)?;
    if settings.objective.needs().partial && !known_on_the_way(policy, reward) {
        return Err(Problem::new("objective", "one that needs rewards on the way to an object")
            .allowed("a reward that is known on the way, or another objective")
            .into());
    }
    Ok(settings)
}

/// What training starts from, where the recipe names a file of weights.
fn start(recipe: &Recipe, parameters: usize) -> Result<Option<Arc<Trained>>> {
    let Some(file) = &recipe.policy.start else { return Ok(None) };
    let wrong = |found: String, allowed: String| {
        Err(Problem::new(format!("policy.start, {file}"), found).allowed(allowed).into())
    };
    if recipe.policy.prior.is_some() {
        return wrong("weights to start from, beside a prior".to_owned(), "one of them".to_owned());
    }
    let start = Trained::read(Path::new(file))?;
    match start.get("policy") {
        Some(weights) if weights.len() == parameters => {}
        found => {
            let found = format!("a policy of {} weights", found.map_or(0, <[f32]>::len));
            return wrong(found, format!("one of {parameters}: of the same objects, policy and objective"));
        }
    }
    match start.get("log_z") {
        Some([_]) | None => Ok(Some(Arc::new(start))),
        Some(found) => wrong(format!("{} numbers for log Z", found.len()), "one".to_owned()),
    }
}

/// Whether the reward says something of the source, as it does where that is an object.
fn known_on_the_way<P: Policy>(policy: &P, reward: &dyn Target<P::Cell>) -> bool {
    if policy.all_objects() {
        return true;
    }
    let mut source = vec![P::Cell::default(); policy.cells()];
    policy.source(&mut source);
    let condition = vec![1.0; reward.condition_width()];
    // A failure may pass, and has a message of its own when training asks.
    reward.partial(&source, &condition, &mut [0.0]).unwrap_or(true)
}

/// The objects of a file that `key` names, one a line as the environment writes them; empty lines are passed over.
pub(crate) fn objects(key: &str, path: &Path, environment: &dyn Environment) -> Result<Vec<Cell>> {
    let place = |line: usize| format!("{key}, {}:{line}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problem::new(key, format!("{}: {}", path.display(), crate::error::reason(&error)))
            .allowed("a text file with one object a line")
    })?;
    let mut state = vec![0; environment.cells()];
    let mut objects = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        environment.parse(line.trim(), &mut state).map_err(|found| Problem::new(place(number), found))?;
        if !environment.is_object(&state) {
            return Err(Problem::new(place(number), crate::error::quoted(line))
                .allowed("an object, at which one can stop")
                .into());
        }
        objects.extend_from_slice(&state);
    }
    if objects.is_empty() {
        let found = format!("{} without objects", path.display());
        return Err(Problem::new(key, found).allowed("one object a line").into());
    }
    Ok(objects)
}
