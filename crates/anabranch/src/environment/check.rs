//! Whether an environment keeps its word: both directions agree at every state, or at states that random walks visit.

use std::collections::HashMap;

use super::{Ahead, Cell, Environment, States};
use crate::math::log_sum_exp;
use crate::rng::Noise;

/// Checks every state of a small environment; answers how many there are.
///
/// # Errors
/// The first disagreement, in words; or more states than `limit`.
pub fn exhaustively(environment: &dyn Environment, limit: usize) -> Result<usize, String> {
    let source = source(environment);
    let states = check_ahead_of(environment, &source, limit)?;
    whole(environment, &states)?;
    Ok(states.len())
}

/// Checks every state that moves reach from one that is allowed no removals, such as [`super::Rooted::at`] writes; answers
/// how many there are.
///
/// # Errors
/// The first disagreement, in words; or more states than `limit`.
pub fn exhaustively_from(
    environment: &dyn Environment,
    source: &[Cell],
    limit: usize,
) -> Result<usize, String> {
    check_ahead_of(environment, source, limit).map(|states| states.len())
}

/// Checks every state that moves reach from the source, but nothing that is said of all of them together; and that no walk has more
/// moves than [`Environment::longest`] says. Answers how many states there are; none where there are more than `limit`.
///
/// # Errors
/// The first disagreement, in words.
pub fn bounded(environment: &dyn Environment, limit: usize) -> Result<Option<usize>, String> {
    let source = source(environment);
    if States::ahead_of(environment, &source, limit).is_err() {
        return Ok(None);
    }
    let states = check_ahead_of(environment, &source, limit)?;
    let mut depths = vec![0; states.len()];
    for i in 1..states.len() {
        depths[i] =
            states.parents(i).iter().map(|(parent, _)| depths[*parent as usize] + 1).max().unwrap_or(0);
        if depths[i] > environment.longest() {
            let name = environment.describe(states.state(i));
            return Err(format!(
                "a walk of {} moves leads to {name}, but it says {}",
                depths[i],
                environment.longest()
            ));
        }
    }
    Ok(Some(states.len()))
}

/// Checks the states along `walks` uniform random walks there and back: for environments too large to enumerate.
///
/// # Errors
/// The first disagreement, in words.
pub fn along_walks(environment: &dyn Environment, walks: usize, noise: &Noise) -> Result<(), String> {
    along_walks_from(environment, &source(environment), walks, noise)
}

/// The same from a state that is allowed no removals, such as [`super::Rooted::at`] writes.
///
/// # Errors
/// The first disagreement, in words.
pub fn along_walks_from(
    environment: &dyn Environment,
    source: &[Cell],
    walks: usize,
    noise: &Noise,
) -> Result<(), String> {
    let mut mask = vec![false; environment.moves()];
    let mut back = vec![false; environment.removals()];
    let mut encodings = HashMap::new();
    for walk in 0..walks {
        let mut state = source.to_vec();
        let mut draws = (0..).map(|step| noise.step(step).from_trajectory(walk as u64));
        let mut choose = |mask: &[bool]| {
            let possible: Vec<usize> = (0..mask.len()).filter(|a| mask[*a]).collect();
            let choice = draws.next().filter(|_| !possible.is_empty())?.below(0, possible.len());
            Some(possible[choice])
        };
        for step in 0..=environment.longest() {
            at_state(environment, source, &state)?;
            encoded_once(environment, &state, &mut encodings)?;
            environment.allowed(&state, &mut mask);
            let Some(action) = choose(&mask) else { break };
            if step == environment.longest() {
                if environment.cyclic() {
                    break;
                }
                return Err(format!("a walk made more than {} moves", environment.longest()));
            }
            environment.apply(&mut state, action);
        }
        for step in 0..=environment.longest() {
            at_state(environment, source, &state)?;
            environment.removable(&state, &mut back);
            let Some(removal) = choose(&back) else { break };
            if step == environment.longest() && !environment.cyclic() {
                return Err(format!("a walk back made more than {} removals", environment.longest()));
            }
            environment.undo(&mut state, removal);
        }
    }
    Ok(())
}

fn source(environment: &dyn Environment) -> Vec<Cell> {
    let mut source = vec![0; environment.cells()];
    environment.source(&mut source);
    source
}

fn check_ahead_of(environment: &dyn Environment, source: &[Cell], limit: usize) -> Result<States, String> {
    let states = States::ahead_of(environment, source, limit)
        .map_err(|_| format!("it has more than {limit} states"))?;
    let name = |i: usize| environment.describe(states.state(i));
    let mut reaches_object = vec![false; states.len()];
    let mut open: Vec<u32> = states.objects().to_vec();
    while let Some(i) = open.pop() {
        if !std::mem::replace(&mut reaches_object[i as usize], true) {
            open.extend(states.parents(i as usize).iter().map(|(parent, _)| *parent));
        }
    }
    if let Some(lost) = reaches_object.iter().rposition(|reaches| !reaches) {
        return Err(format!("no object is ahead of {}", name(lost)));
    }
    let mut encodings = HashMap::new();
    for i in (0..states.len()).rev() {
        let state = states.state(i);
        let edges = at_state(environment, source, state)?;
        let parents = states.parents(i);
        if edges != parents.len() {
            return Err(format!("{} has {edges} removals, but {} moves lead to it", name(i), parents.len()));
        }
        if !environment.cyclic() && parents.iter().any(|(parent, _)| *parent as usize >= i) {
            return Err(format!("{} is on a cycle", name(i)));
        }
        encoded_once(environment, state, &mut encodings)?;
    }
    Ok(states)
}

/// What an environment says of all its states together.
fn whole(environment: &dyn Environment, states: &States) -> Result<(), String> {
    let is_object = |i: &usize| environment.is_object(states.state(*i));
    if let Some(objects) = environment.objects()
        && (objects - states.objects().len() as f64).abs() > 0.5
    {
        return Err(format!("it has {} objects, but says {objects}", states.objects().len()));
    }
    let moved_on = (1..states.len()).flat_map(|i| states.parents(i)).map(|(parent, _)| *parent as usize);
    if environment.stops() && !moved_on.clone().any(|i| is_object(&i)) {
        return Err("stopping is said to be a choice, but no object has moves".to_owned());
    }
    let turns_back = |i: usize| states.parents(i).iter().any(|(parent, _)| *parent as usize >= i);
    if environment.cyclic() {
        let cycle = (0..states.len()).any(turns_back);
        let ways = (0..states.len()).any(|i| environment.log_paths(states.state(i)).is_some());
        return match (cycle, ways) {
            (true, false) => Ok(()),
            (false, _) => Err("it is said to have cycles, but has none".to_owned()),
            (true, true) => Err("it has cycles, but counts the ways to a state".to_owned()),
        };
    }
    let (mut ways, mut depths) = (vec![1.0; states.len()], vec![0; states.len()]);
    for i in 1..states.len() {
        let parents = || states.parents(i).iter().map(|(parent, _)| *parent as usize);
        ways[i] = parents().map(|parent| ways[parent]).sum();
        depths[i] = parents().map(|parent| depths[parent] + 1).max().unwrap_or(0);
        if let Some(given) = environment.log_paths(states.state(i))
            && (given - f64::ln(ways[i])).abs() > 1e-9 * (1.0 + given.abs())
        {
            let name = environment.describe(states.state(i));
            return Err(format!("{name} has {} ways, but log n(s) = {given} is given", ways[i]));
        }
    }
    let longest = (0..states.len()).filter(is_object).map(|i| depths[i]).max().unwrap_or(0);
    if environment.longest() != longest {
        return Err(format!("its longest walk has {longest} moves, but it says {}", environment.longest()));
    }
    Ok(())
}

/// Checks that no other state is encoded as this one.
fn encoded_once(
    environment: &dyn Environment,
    state: &[Cell],
    encodings: &mut HashMap<Vec<u32>, Vec<Cell>>,
) -> Result<(), String> {
    let mut on = Vec::new();
    environment.encode(state, &mut on);
    on.sort_unstable();
    if on.iter().any(|feature| *feature as usize >= environment.features()) {
        return Err(format!("{} has a feature out of range: {on:?}", environment.describe(state)));
    }
    if on.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("{} has a feature twice: {on:?}", environment.describe(state)));
    }
    let known = encodings.entry(on).or_insert_with(|| state.to_vec());
    if known == state {
        Ok(())
    } else {
        Err(format!("{} is encoded as another state is", environment.describe(state)))
    }
}

/// Both directions at one state; answers how many removals it has.
fn at_state(environment: &dyn Environment, source: &[Cell], state: &[Cell]) -> Result<usize, String> {
    let name = || environment.describe(state);
    environment.foresee(state, Ahead::Around);
    // What a mask held before does not matter.
    let mut mask = vec![true; environment.moves()];
    let mut back = vec![true; environment.removals()];
    environment.allowed(state, &mut mask);
    if !mask.contains(&true) && !environment.is_object(state) {
        return Err(format!("{} is a dead end", name()));
    }
    if mask.contains(&true) && environment.is_object(state) && !environment.stops() {
        return Err(format!("{} is an object with moves, but stopping is said to be no choice", name()));
    }
    text_and_chance(environment, state, &mask)?;
    for action in (0..mask.len()).filter(|action| mask[*action]) {
        let mut next = state.to_vec();
        let removal = environment.apply(&mut next, action);
        if next == state {
            return Err(format!("move {action} leaves {} as it is", name()));
        }
        back.fill(true);
        environment.removable(&next, &mut back);
        if !back.get(removal).copied().unwrap_or(false) {
            return Err(format!("move {action} from {} cannot be undone by removal {removal}", name()));
        }
        let redo = environment.undo(&mut next, removal);
        if next != state || redo != action {
            return Err(format!("removal {removal} does not undo move {action} from {}", name()));
        }
    }
    back.fill(true);
    environment.removable(state, &mut back);
    let removals: Vec<usize> = (0..back.len()).filter(|removal| back[*removal]).collect();
    for removal in &removals {
        let mut before = state.to_vec();
        let action = environment.undo(&mut before, *removal);
        mask.fill(true);
        environment.allowed(&before, &mut mask);
        if !mask.get(action).copied().unwrap_or(false) {
            return Err(format!("removal {removal} of {} undoes an impossible move {action}", name()));
        }
        let again = environment.apply(&mut before, action);
        if before != state || again != *removal {
            return Err(format!("move {action} does not undo removal {removal} of {}", name()));
        }
    }
    if removals.is_empty() != (source == state) {
        return Err(format!("{} should have removals, or is the source and has some", name()));
    }
    Ok(removals.len())
}

/// A state is read as it was written, and what the environment does by itself is a law over the possible moves.
fn text_and_chance(environment: &dyn Environment, state: &[Cell], mask: &[bool]) -> Result<(), String> {
    let name = environment.describe(state);
    let mut read = vec![Cell::MAX; state.len()];
    match environment.parse(&name, &mut read) {
        Ok(()) if read == state => {}
        Ok(()) => return Err(format!("{name} is read as {read:?}")),
        Err(message) => return Err(format!("{name} cannot be read: {message}")),
    }
    let mut log_probabilities = vec![f32::NAN; mask.len()];
    if !environment.chance(state, &mut log_probabilities) {
        return Ok(());
    }
    if environment.is_object(state) {
        return Err(format!("{name} is a chance node and an object"));
    }
    let log: Vec<f64> = log_probabilities.into_iter().map(f64::from).collect();
    let fits = mask
        .iter()
        .zip(&log)
        .all(|(may, log)| if *may { log.is_finite() } else { *log == f64::NEG_INFINITY });
    if !fits || log_sum_exp(&log).abs() > 1e-5 {
        return Err(format!("{name} is a chance node, but {log:?} is no law over its moves"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
