//! The check finds every kind of fault that a new environment may have.

use super::*;
use crate::environment::{CyclicGrid, Hypergrid, SlipperyGrid};
use crate::rng::Purpose;

/// An environment with one fault.
#[derive(Debug)]
struct Faulty {
    inner: Box<dyn Environment>,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    WrongRemoval,
    RemovalTooMany,
    RemovalTooFew,
    StaleMask,
    DeadEnd,
    SameEncoding,
    FeatureTwice,
    FeatureOutOfRange,
    WrongPaths,
    WrongObjects,
    WrongLength,
    ForcedStop,
    NeverStops,
    Illegible,
    ReadOtherwise,
    HiddenCycle,
    NoCycle,
    NoLaw,
    ImpossibleChance,
    ChanceObject,
}

impl Environment for Faulty {
    fn cells(&self) -> usize {
        self.inner.cells()
    }
    fn moves(&self) -> usize {
        self.inner.moves()
    }
    fn removals(&self) -> usize {
        self.inner.removals()
    }
    fn longest(&self) -> usize {
        self.inner.longest() + usize::from(self.fault == Fault::WrongLength)
    }
    fn stops(&self) -> bool {
        self.fault != Fault::ForcedStop
    }
    fn source(&self, state: &mut [Cell]) {
        self.inner.source(state);
    }
    fn is_object(&self, state: &[Cell]) -> bool {
        match self.fault {
            Fault::DeadEnd => state != [2, 2],
            Fault::NeverStops => state == [2, 2],
            Fault::ChanceObject => true,
            _ => self.inner.is_object(state),
        }
    }
    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        let before = mask[1];
        self.inner.allowed(state, mask);
        if self.fault == Fault::StaleMask && state == [1, 2] {
            mask[1] = before;
        }
    }
    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        self.inner.removable(state, mask);
        match self.fault {
            Fault::RemovalTooMany if state == [0, 0] => mask[0] = true,
            Fault::RemovalTooFew if state == [1, 2] => mask[1] = false,
            _ => {}
        }
    }
    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        let removal = self.inner.apply(state, action);
        if self.fault == Fault::WrongRemoval { 1 - removal } else { removal }
    }
    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        if self.fault == Fault::RemovalTooMany {
            state[removal] = state[removal].saturating_sub(1);
            return removal;
        }
        self.inner.undo(state, removal)
    }
    fn features(&self) -> usize {
        self.inner.features() - usize::from(self.fault == Fault::FeatureOutOfRange)
    }
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        self.inner.encode(state, on);
        match self.fault {
            Fault::SameEncoding => {
                on.pop();
            }
            Fault::FeatureTwice => on.push(on[0]),
            _ => {}
        }
    }
    fn describe(&self, state: &[Cell]) -> String {
        self.inner.describe(state)
    }
    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        match self.fault {
            Fault::Illegible => return Err("ink; allowed: none".to_owned()),
            Fault::ReadOtherwise => state.fill(0),
            _ => self.inner.parse(text, state)?,
        }
        Ok(())
    }
    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        let shift = if self.fault == Fault::WrongPaths { 0.1 } else { 0.0 };
        self.inner.log_paths(state).map(|paths| paths + shift)
    }
    fn objects(&self) -> Option<f64> {
        (self.fault == Fault::WrongObjects).then_some(10.0)
    }
    fn cyclic(&self) -> bool {
        match self.fault {
            Fault::HiddenCycle => false,
            Fault::NoCycle => true,
            _ => self.inner.cyclic(),
        }
    }
    fn chance(&self, state: &[Cell], log_probabilities: &mut [f32]) -> bool {
        let chance = self.inner.chance(state, log_probabilities);
        match self.fault {
            Fault::NoLaw => log_probabilities.iter_mut().for_each(|log| *log -= 0.1),
            Fault::ImpossibleChance => log_probabilities[0] = -20.0,
            _ => {}
        }
        chance
    }
}

fn faulty(fault: Fault) -> Faulty {
    let inner: Box<dyn Environment> = match fault {
        Fault::HiddenCycle => Box::new(CyclicGrid::new(2, 3, 9).unwrap()),
        Fault::NoLaw | Fault::ImpossibleChance | Fault::ChanceObject => {
            Box::new(SlipperyGrid::new(2, 3, 0.5).unwrap())
        }
        _ => Box::new(Hypergrid::new(2, 3).unwrap()),
    };
    Faulty { inner, fault }
}

const FAULTS: [(Fault, &str); 20] = [
    (Fault::WrongRemoval, "move 0 does not undo removal 0 of (2, 2)"),
    (Fault::RemovalTooMany, "move 0 does not undo removal 0 of (0, 0)"),
    (Fault::RemovalTooFew, "(1, 2) has 1 removals, but 2 moves lead to it"),
    (Fault::StaleMask, "(2, 3) cannot be read"),
    (Fault::DeadEnd, "no object is ahead of (2, 2)"),
    (Fault::SameEncoding, "is encoded as another state is"),
    (Fault::FeatureTwice, "has a feature twice"),
    (Fault::FeatureOutOfRange, "has a feature out of range"),
    (Fault::WrongPaths, "is given"),
    (Fault::WrongObjects, "it has 9 objects, but says 10"),
    (Fault::WrongLength, "its longest walk has 4 moves, but it says 5"),
    (Fault::ForcedStop, "stopping is said to be no choice"),
    (Fault::NeverStops, "stopping is said to be a choice, but no object has moves"),
    (Fault::Illegible, "(2, 2) cannot be read: ink; allowed: none"),
    (Fault::ReadOtherwise, "(2, 2) is read as [0, 0]"),
    (Fault::HiddenCycle, "is on a cycle"),
    (Fault::NoCycle, "it is said to have cycles, but has none"),
    (Fault::NoLaw, "is no law over its moves"),
    (Fault::ImpossibleChance, "is no law over its moves"),
    (Fault::ChanceObject, "is a chance node and an object"),
];

#[test]
fn every_kind_of_fault_is_found() {
    assert_eq!(exhaustively(&faulty(Fault::None), 100), Ok(9));
    assert_eq!(exhaustively(&faulty(Fault::None), 8), Err("it has more than 8 states".to_owned()));
    for (fault, words) in FAULTS {
        let message = exhaustively(&faulty(fault), 100).expect_err("the fault is found");
        assert!(message.contains(words), "{fault:?}: {message}");
    }
}

/// Walks see what one state shows, and not what all of them show together.
#[test]
fn walks_find_the_faults_of_single_states() {
    let unseen =
        [Fault::WrongPaths, Fault::WrongObjects, Fault::WrongLength, Fault::NeverStops, Fault::NoCycle];
    let noise = Noise::new(5, Purpose::Choice);
    assert_eq!(along_walks(&faulty(Fault::None), 20, &noise), Ok(()));
    for (fault, _) in FAULTS {
        let found = along_walks(&faulty(fault), 20, &noise).is_err();
        assert_eq!(found, !unseen.contains(&fault), "{fault:?}");
    }
}
