//! Whether an environment keeps its word: both directions agree at every state, or at states that random walks visit.

use std::collections::HashSet;

use super::{Cell, Environment, States};
use crate::rng::Noise;

/// Checks every state of a small environment; answers how many there are.
///
/// # Errors
/// The first disagreement, in words; or more states than `limit`.
pub fn exhaustively(environment: &dyn Environment, limit: usize) -> Result<usize, String> {
    let states = States::of(environment, limit).map_err(|_| format!("it has more than {limit} states"))?;
    let mut encodings = HashSet::new();
    let mut reaches_object = vec![false; states.len()];
    for i in (0..states.len()).rev() {
        let state = states.state(i);
        reaches_object[i] |= environment.is_object(state);
        if !reaches_object[i] {
            return Err(format!("no object is ahead of {}", environment.describe(state)));
        }
        let edges = at_state(environment, state)?;
        let parents = states.parents(i);
        if edges != parents.len() {
            let (name, found) = (environment.describe(state), parents.len());
            return Err(format!("{name} has {edges} removals, but {found} moves lead to it"));
        }
        parents.iter().for_each(|(parent, _)| reaches_object[*parent as usize] = true);
        if parents.iter().any(|(parent, _)| *parent as usize >= i) {
            return Err(format!("{} is on a cycle", environment.describe(state)));
        }
        let mut on = Vec::new();
        environment.encode(state, &mut on);
        on.sort_unstable();
        if !encodings.insert(on) {
            return Err(format!("{} is encoded as another state is", environment.describe(state)));
        }
        if let Some(given) = environment.log_paths(state) {
            let counted = count_paths(&states, i);
            if (given - counted.ln()).abs() > 1e-9 * (1.0 + given.abs()) {
                let name = environment.describe(state);
                return Err(format!("{name} has {counted} ways, but log n(s) = {given} is given"));
            }
        }
    }
    if let Some(objects) = environment.objects()
        && (objects - states.objects().len() as f64).abs() > 0.5
    {
        return Err(format!("it has {} objects, but says {objects}", states.objects().len()));
    }
    Ok(states.len())
}

fn count_paths(states: &States, i: usize) -> f64 {
    let mut ways = vec![0.0; i + 1];
    ways[0] = 1.0;
    for at in 1..=i {
        ways[at] = states.parents(at).iter().map(|(parent, _)| ways[*parent as usize]).sum();
    }
    ways[i]
}

/// Checks the states along `walks` uniform random walks: for environments too large to enumerate.
///
/// # Errors
/// The first disagreement, in words.
pub fn along_walks(environment: &dyn Environment, walks: usize, noise: &Noise) -> Result<(), String> {
    let mut mask = vec![false; environment.moves()];
    for walk in 0..walks {
        let mut state = vec![0; environment.cells()];
        environment.source(&mut state);
        for step in 0..=environment.longest() {
            at_state(environment, &state)?;
            environment.allowed(&state, &mut mask);
            let possible: Vec<usize> = (0..mask.len()).filter(|a| mask[*a]).collect();
            if possible.is_empty() {
                if !environment.is_object(&state) {
                    return Err(format!("{} is a dead end", environment.describe(&state)));
                }
                break;
            }
            if step == environment.longest() {
                return Err(format!("a walk made more than {} moves", environment.longest()));
            }
            let choice = noise.step(step as u32).from_trajectory(walk as u64).below(0, possible.len());
            environment.apply(&mut state, possible[choice]);
        }
    }
    Ok(())
}

/// Both directions at one state; answers how many removals it has.
fn at_state(environment: &dyn Environment, state: &[Cell]) -> Result<usize, String> {
    let name = || environment.describe(state);
    let mut mask = vec![false; environment.moves()];
    let mut back = vec![false; environment.removals()];
    let mut on = Vec::new();
    environment.encode(state, &mut on);
    if on.iter().any(|feature| *feature as usize >= environment.features()) {
        return Err(format!("{} has a feature out of range: {on:?}", name()));
    }
    environment.allowed(state, &mut mask);
    if !mask.contains(&true) && !environment.is_object(state) {
        return Err(format!("{} is a dead end", name()));
    }
    if mask.contains(&true) && environment.is_object(state) && !environment.stops() {
        return Err(format!("{} is an object with moves, but stopping is said to be no choice", name()));
    }
    for action in (0..mask.len()).filter(|action| mask[*action]) {
        let mut next = state.to_vec();
        let removal = environment.apply(&mut next, action);
        if next == state {
            return Err(format!("move {action} leaves {} as it is", name()));
        }
        environment.removable(&next, &mut back);
        if !back.get(removal).copied().unwrap_or(false) {
            return Err(format!("move {action} from {} cannot be undone by removal {removal}", name()));
        }
        let redo = environment.undo(&mut next, removal);
        if next != state || redo != action {
            return Err(format!("removal {removal} does not undo move {action} from {}", name()));
        }
    }
    environment.removable(state, &mut back);
    let removals: Vec<usize> = (0..back.len()).filter(|removal| back[*removal]).collect();
    for removal in &removals {
        let mut before = state.to_vec();
        let action = environment.undo(&mut before, *removal);
        environment.allowed(&before, &mut mask);
        if !mask.get(action).copied().unwrap_or(false) {
            return Err(format!("removal {removal} of {} undoes an impossible move {action}", name()));
        }
        let again = environment.apply(&mut before, action);
        if before != state || again != *removal {
            return Err(format!("move {action} does not undo removal {removal} of {}", name()));
        }
    }
    let mut source = state.to_vec();
    environment.source(&mut source);
    if removals.is_empty() != (source == state) {
        return Err(format!("{} should have removals, or is the source and has some", name()));
    }
    Ok(removals.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Hypergrid;

    /// A grid with one fault, of which there is one of each kind that a new environment may have.
    #[derive(Debug)]
    struct Faulty {
        grid: Hypergrid,
        fault: Fault,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fault {
        None,
        WrongRemoval,
        RemovalTooMany,
        DeadEnd,
        SameEncoding,
        WrongPaths,
        ForcedStop,
    }

    impl Environment for Faulty {
        fn cells(&self) -> usize {
            self.grid.cells()
        }
        fn moves(&self) -> usize {
            self.grid.moves()
        }
        fn removals(&self) -> usize {
            self.grid.removals()
        }
        fn longest(&self) -> usize {
            self.grid.longest()
        }
        fn stops(&self) -> bool {
            self.fault != Fault::ForcedStop
        }
        fn source(&self, state: &mut [Cell]) {
            self.grid.source(state);
        }
        fn is_object(&self, state: &[Cell]) -> bool {
            self.fault != Fault::DeadEnd || state != [2, 2]
        }
        fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
            self.grid.allowed(state, mask);
        }
        fn removable(&self, state: &[Cell], mask: &mut [bool]) {
            self.grid.removable(state, mask);
            if self.fault == Fault::RemovalTooMany && state == [0, 0] {
                mask[0] = true;
            }
        }
        fn apply(&self, state: &mut [Cell], action: usize) -> usize {
            let removal = self.grid.apply(state, action);
            if self.fault == Fault::WrongRemoval { 1 - removal } else { removal }
        }
        fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
            state[removal] = state[removal].saturating_sub(1);
            removal
        }
        fn features(&self) -> usize {
            self.grid.features()
        }
        fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
            self.grid.encode(state, on);
            if self.fault == Fault::SameEncoding {
                on.pop();
            }
        }
        fn describe(&self, state: &[Cell]) -> String {
            self.grid.describe(state)
        }
        fn log_paths(&self, state: &[Cell]) -> Option<f64> {
            let shift = if self.fault == Fault::WrongPaths { 0.1 } else { 0.0 };
            self.grid.log_paths(state).map(|paths| paths + shift)
        }
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        let grid = Hypergrid { dim: 2, side: 3 };
        let verdict = |fault| exhaustively(&Faulty { grid, fault }, 100);
        assert_eq!(verdict(Fault::None), Ok(9));
        let faults = [
            (Fault::WrongRemoval, "move 0 does not undo removal 0 of (2, 2)"),
            (Fault::RemovalTooMany, "move 0 does not undo removal 0 of (0, 0)"),
            (Fault::DeadEnd, "no object is ahead of (2, 2)"),
            (Fault::SameEncoding, "is encoded as another state is"),
            (Fault::WrongPaths, "is given"),
            (Fault::ForcedStop, "stopping is said to be no choice"),
        ];
        for (fault, words) in faults {
            let message = verdict(fault).expect_err("the fault is found");
            assert!(message.contains(words), "{fault:?}: {message}");
        }
    }
}
