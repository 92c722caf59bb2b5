//! Whether a continuous environment keeps its word, at states that random walks visit.

use super::{Continuous, Domain};
use crate::rng::{Noise, Stream};

/// Checks the states along `walks` random walks there and back.
///
/// At every state: what is possible agrees with [`Continuous::is_last`]; a move's removal is possible where it leads, and
/// the other way round; the coordinates that are read of a move or a removal make it again. No walk is longer than
/// [`Continuous::longest`], and those back end at the source.
///
/// # Errors
/// The first disagreement, in words.
pub fn along_walks(environment: &dyn Continuous, walks: usize, noise: &Noise) -> Result<(), String> {
    let mut source = vec![0.0; environment.cells()];
    environment.source(&mut source);
    let mut removable = vec![true; environment.removals()];
    environment.removable(&source, &mut removable);
    if removable.contains(&true) || environment.is_object(&source) {
        return Err("the source can be taken apart, or is an object".to_owned());
    }
    for walk in 0..walks {
        let stream = &mut noise.stream(walk);
        let mut state = source.clone();
        for step in 0.. {
            if step > environment.longest() {
                return Err(format!("{} is too far from the source", environment.describe(&state)));
            }
            let Some(next) = forward_rollout(environment, &state, stream)? else { break };
            state = next;
        }
        for step in 0.. {
            if step > environment.longest() {
                return Err(format!("{} is too far from the object", environment.describe(&state)));
            }
            let Some(before) = backward_rollout(environment, &state, stream)? else { break };
            state = before;
        }
        if state != source {
            return Err(format!("{} cannot be taken apart", environment.describe(&state)));
        }
    }
    Ok(())
}

/// One of what is possible, all alike; none where nothing is.
fn any(mask: &[bool], stream: &mut Stream<'_>) -> Option<usize> {
    let possible = mask.iter().filter(|may| **may).count();
    let chosen = (stream.uniform() * possible as f64) as usize;
    mask.iter().enumerate().filter(|(_, may)| **may).nth(chosen).map(|(place, _)| place)
}

/// Coordinates of a move; those in the unit interval are half of the time next to an end, where rounding bites.
fn draw(domains: &[Domain], stream: &mut Stream<'_>) -> Vec<f64> {
    let one = |domain: &Domain| match domain {
        Domain::Unit => match stream.word() % 4 {
            0 => 1e-12,
            1 => 1.0 - 1e-12,
            _ => stream.uniform(),
        },
        Domain::Line => stream.normal(),
        Domain::Circle => std::f64::consts::TAU * stream.uniform(),
    };
    domains.iter().map(one).collect()
}

/// What a network reads of both states is the same to rounding.
fn alike(environment: &dyn Continuous, one: &[f32], other: &[f32]) -> bool {
    let read = |state: &[f32]| {
        let (mut on, mut dense) = (Vec::new(), Vec::new());
        environment.encode(state, &mut on, &mut dense);
        (on, dense)
    };
    let ((on, dense), (other_on, other_dense)) = (read(one), read(other));
    on == other_on && dense.iter().zip(&other_dense).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + a.abs()))
}

/// A random move from a state; none where there is none.
fn forward_rollout(
    environment: &dyn Continuous,
    state: &[f32],
    stream: &mut Stream<'_>,
) -> Result<Option<Vec<f32>>, String> {
    let name = environment.describe(state);
    let mut mask = vec![false; environment.moves()];
    environment.allowed(state, &mut mask);
    if mask.contains(&true) == environment.is_last(state) {
        return Err(format!("{name} is last, and moves lead on, or neither"));
    }
    let (mut on, mut dense) = (Vec::new(), Vec::new());
    environment.encode(state, &mut on, &mut dense);
    if on.iter().any(|feature| *feature as usize >= environment.features())
        || dense.len() != environment.dense()
        || dense.iter().any(|x| !x.is_finite())
    {
        return Err(format!("{name} is encoded as {on:?} and {dense:?}"));
    }
    let Some(action) = any(&mask, stream) else {
        return if environment.is_object(state) { Ok(None) } else { Err(format!("{name} is a dead end")) };
    };
    let coordinates = environment.move_coordinates(action);
    let z = draw(&environment.move_domains()[coordinates.clone()], stream);
    let mut next = state.to_vec();
    let removal = environment.apply(&mut next, action, &z);
    let mut removable = vec![false; environment.removals()];
    environment.removable(&next, &mut removable);
    if !removable[removal] {
        return Err(format!("{name} has a move to {} that cannot be undone", environment.describe(&next)));
    }
    let mut read = z.clone();
    let log_slope = environment.read_move(state, action, &next, &mut read);
    let mut again = state.to_vec();
    environment.apply(&mut again, action, &read);
    if !(log_slope.is_finite() && alike(environment, &again, &next)) {
        let (next, again) = (environment.describe(&next), environment.describe(&again));
        return Err(format!("{name} moves to {next}, but by what is read of it to {again}"));
    }
    Ok(Some(next))
}

/// A random removal from a state; none at the source.
fn backward_rollout(
    environment: &dyn Continuous,
    state: &[f32],
    stream: &mut Stream<'_>,
) -> Result<Option<Vec<f32>>, String> {
    let name = environment.describe(state);
    let mut mask = vec![false; environment.removals()];
    environment.removable(state, &mut mask);
    let Some(removal) = any(&mask, stream) else { return Ok(None) };
    let coordinates = environment.removal_coordinates(removal);
    let z = draw(&environment.removal_domains()[coordinates], stream);
    let mut before = state.to_vec();
    let action = environment.undo(&mut before, removal, &z);
    let mut allowed = vec![false; environment.moves()];
    environment.allowed(&before, &mut allowed);
    if !allowed[action] {
        return Err(format!(
            "{name} has a removal to {} that cannot be undone",
            environment.describe(&before)
        ));
    }
    let mut read = z.clone();
    let log_slope = environment.read_removal(state, removal, &before, &mut read);
    let mut again = state.to_vec();
    environment.undo(&mut again, removal, &read);
    let mut forth = before.clone();
    let mut ahead = vec![0.0; environment.move_coordinates(action).len()];
    environment.read_move(&before, action, state, &mut ahead);
    let same = environment.apply(&mut forth, action, &ahead) == removal;
    if !(log_slope.is_finite()
        && same
        && alike(environment, &again, &before)
        && alike(environment, &forth, state))
    {
        let [before, again, forth] = [&before, &again, &forth].map(|state| environment.describe(state));
        return Err(format!(
            "{name} goes back to {before}, but by what is read of it to {again}, and on to {forth}"
        ));
    }
    Ok(Some(before))
}
