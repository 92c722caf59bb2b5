//! Environments by another program, in any language: a child process that answers what is asked of many states at once.
//!
//! The first question is what holds for all states, `start`; all others have a list of states:
//!
//! ```text
//! {"batch": 1, "ask": ["start"]}
//! {"batch": 1, "start": {"source": [0, 0], "moves": 2, "removals": 2, "longest": 14, "features": 16, "objects": "all"}}
//! {"batch": 2, "ask": ["allowed", "removable", "features"], "states": [[0, 0], [7, 1]]}
//! {"batch": 2, "allowed": [[0, 1], [1]], "removable": [[], [0, 1]], "features": [[0, 8], [7, 9]]}
//! {"batch": 3, "ask": ["apply"], "states": [[0, 0], [7, 1]], "moves": [0, 1]}
//! {"batch": 3, "apply": [[[1, 0], 0], [[7, 2], 1]]}
//! ```
//!
//! | asked | answered for each state |
//! |---|---|
//! | `allowed` | the numbers of the moves that are possible |
//! | `removable` | the numbers of the removals that are possible |
//! | `features` | the numbers of the features that are on |
//! | `object` | whether one can stop there; asked if `objects` is `"some"` |
//! | `apply` | the state behind the move in `moves`, and the number of the removal that undoes it |
//! | `undo` | the state before the removal in `removals`, and the number of the move that it undoes |
//! | `describe` | the state as its users write it; asked if `describe` is `true` |
//! | `parse` | for each of `texts`, as `describe` writes them: the state, or `null`; asked if `describe` is `true` |
//! | `log_rewards` | `log R`, nats, or `null`; asked where the recipe names no other reward |
//!
//! A state is a list of integers, as many as the source has, or a string of at most `width` UTF-16 units. It must say all
//! there is: the program may be started again at any time. Whatever was answered of a state is kept, and not asked again.
//!
//! The trait's methods cannot fail, but a program can: from then on [`Environment::failure`] says why, and every state is an
//! object without moves, so that walks end.

mod known;
mod wire;

use std::collections::HashSet;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::text::{self, refused};
use super::{Ahead, Cell, Environment};
use crate::error::{Problem, quoted};
use crate::program::{Call, Program, Unanswered};
use known::{Known, Seen};
use wire::{Answer, Facts, Objects, Question, State, list};

/// States in one question.
const TOGETHER: usize = 512;

/// An environment by another program.
#[derive(Debug)]
pub struct ProcessEnvironment {
    program: Program,
    facts: Facts,
    source: Vec<Cell>,
    known: RwLock<Known>,
    failure: OnceLock<Problem>,
}

/// A direction along an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Forth,
    Back,
}

/// Edges from states: `[count, cells]` and the number of a move or removal from each.
#[derive(Debug, Default)]
struct Edges {
    states: Vec<Cell>,
    numbers: Vec<u32>,
}

/// Asks until the program no longer dies of it.
fn asked<T>(
    program: &Program,
    question: &mut Question,
    about: &str,
    judge: impl Fn(Answer) -> Result<T, String>,
) -> Result<T, Problem> {
    let ask = question.ask.join(", ");
    let problem = |words: String| {
        let found = format!("{words} (asked for {ask}{about})");
        Problem::new(program.place(), found).allowed("answers as the book's page on environments has them")
    };
    loop {
        let write = |batch| {
            question.batch = batch;
            serde_json::to_vec(&*question)
        };
        match program.ask(write, |answer, _| judge(answer)) {
            Ok(found) => return Ok(found),
            Err(Unanswered::Lost { died: true, .. }) => {}
            Err(Unanswered::Bad(words) | Unanswered::Lost { why: words, .. }) => return Err(problem(words)),
            Err(Unanswered::Never(never)) => return Err(never),
        }
    }
}

impl ProcessEnvironment {
    /// Starts the program and asks it for what holds for all states.
    ///
    /// # Errors
    /// If it cannot be run, or does not answer as it should.
    pub fn start(call: Call) -> Result<Self, Problem> {
        let program = Program::new(call)?;
        let judge = |answer: Answer| {
            let facts = answer.start.ok_or("it answered without start")?;
            facts.check()?;
            let source = facts.source.clone().cells(facts.cells(), facts.is_text());
            Ok((source.map_err(|found| format!("its source is {found}"))?, facts))
        };
        let (source, facts) = asked(&program, &mut Question::of(&["start"]), "", judge)?;
        let known = RwLock::new(Known::new(facts.cells()));
        Ok(Self { program, facts, source, known, failure: OnceLock::new() })
    }

    /// Writes `log R` of each of `objects`, `[count, cells]`; NaN where the program answers `null`.
    ///
    /// # Errors
    /// If it does not answer as it should, now or before.
    pub fn log_rewards(&self, objects: &[Cell], out: &mut [f64]) -> Result<(), Problem> {
        let cells = self.cells();
        self.known_mut().make_room();
        let missing = self.missing(objects, |known, state| known.log_reward(state).is_some());
        let mut found = Vec::with_capacity(missing.len() / cells);
        for states in missing.chunks(TOGETHER * cells) {
            let count = states.len() / cells;
            let judge = |answer: Answer| list("log_rewards", answer.log_rewards, count);
            found.extend(self.ask(&["log_rewards"], states, &[], judge)?);
        }
        let mut known = self.known_mut();
        for (state, log_reward) in missing.chunks_exact(cells).zip(found) {
            known.reward(state, log_reward.unwrap_or(f64::NAN));
        }
        for (state, out) in objects.chunks_exact(cells).zip(out) {
            *out = known.log_reward(state).unwrap_or(f64::NAN);
        }
        Ok(())
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The distinct ones of some states of which there is no answer yet.
    fn missing(&self, states: &[Cell], has: impl Fn(&Known, &[Cell]) -> bool) -> Vec<Cell> {
        let known = self.known();
        let (mut new, mut missing) = (HashSet::new(), Vec::new());
        for state in states.chunks_exact(self.cells()) {
            if !has(&known, state) && new.insert(state) {
                missing.extend_from_slice(state);
            }
        }
        missing
    }

    /// A state without a word to the program.
    fn written(&self, state: &[Cell]) -> String {
        match State::of(state, self.facts.is_text()) {
            State::Cells(cells) => text::point(&cells),
            State::Text(text) => text,
        }
    }

    /// Asks about states that moves reach, and about an edge from each if there are some; from its first failure on there is no
    /// answer.
    fn ask<T>(
        &self,
        ask: &[&'static str],
        states: &[Cell],
        edges: &[u32],
        judge: impl Fn(Answer) -> Result<T, String>,
    ) -> Result<T, Problem> {
        if let Some(problem) = self.failure.get() {
            return Err(problem.clone());
        }
        let found = self.answer(ask, states, edges, judge);
        found.map_err(|problem| self.failure.get_or_init(|| problem).clone())
    }

    /// Asks about states, whatever they are.
    fn answer<T>(
        &self,
        ask: &[&'static str],
        states: &[Cell],
        edges: &[u32],
        judge: impl Fn(Answer) -> Result<T, String>,
    ) -> Result<T, Problem> {
        let (cells, is_text) = (self.cells(), self.facts.is_text());
        let mut question = Question::of(ask);
        question.states = states.chunks_exact(cells).map(|state| State::of(state, is_text)).collect();
        match ask[0] {
            "undo" => question.removals = edges.to_vec(),
            _ => question.moves = edges.to_vec(),
        }
        let more = match states.len() / cells {
            1 => String::new(),
            count => format!(" and {} others", count - 1),
        };
        let about = format!(" of {}{more}", self.written(&states[..cells]));
        asked(&self.program, &mut question, &about, judge)
    }

    /// Whether moves lead from the source to what a user wrote: removals do lead back, and each undoes a move that is possible.
    fn is_reached(&self, state: &[Cell]) -> Result<bool, Problem> {
        let Facts { moves, removals, .. } = self.facts;
        let mut state = state.to_vec();
        for _ in 0..=self.facts.longest {
            if state == self.source || self.known().seen(&state).is_some() {
                return Ok(true);
            }
            let first = |answer: Answer| {
                let removable = list("removable", answer.removable, 1)?;
                Ok(removable[0].first().copied().filter(|removal| (*removal as usize) < removals))
            };
            let Some(removal) = self.answer(&["removable"], &state, &[], first)? else { return Ok(false) };
            let undone = |answer: Answer| {
                let (before, action) = list("undo", answer.undo, 1)?.remove(0);
                Ok((before.cells(self.cells(), self.facts.is_text())?, action))
            };
            let (before, action) = self.answer(&["undo"], &state, &[removal], undone)?;
            let possible = |answer: Answer| Ok(list("allowed", answer.allowed, 1)?[0].contains(&action));
            if action as usize >= moves || !self.answer(&["allowed"], &before, &[], possible)? {
                return Ok(false);
            }
            let redone = |answer: Answer| {
                let after = list("apply", answer.apply, 1)?.remove(0).0;
                Ok(after.cells(self.cells(), self.facts.is_text())? == state)
            };
            if !self.answer(&["apply"], &before, &[action], redone)? {
                return Ok(false);
            }
            state = before;
        }
        Ok(false)
    }

    /// What the program says of some states, which are not too many for one question.
    fn look(&self, states: &[Cell]) -> Option<Vec<Seen>> {
        let Facts { moves, removals, features, objects, .. } = self.facts;
        let ask =
            &["allowed", "removable", "features", "object"][..3 + usize::from(objects == Objects::Some)];
        let count = states.len() / self.cells();
        let judge = |answer: Answer| {
            let check = |name: &str, kind: &str, lists: Option<Vec<Vec<u32>>>, most: usize| {
                let lists = list(name, lists, count)?;
                for (state, numbers) in states.chunks_exact(self.cells()).zip(&lists) {
                    let place = |found| format!("for {} it answered {found} in {name}", self.written(state));
                    if let Some(number) = numbers.iter().find(|number| **number as usize >= most) {
                        return Err(format!(
                            "{}; there are {most}, from 0",
                            place(format!("{kind} {number}"))
                        ));
                    }
                    let mut sorted = numbers.clone();
                    sorted.sort_unstable();
                    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                        return Err(place(format!("{kind} {} twice", pair[0])));
                    }
                }
                Ok(lists)
            };
            let allowed = check("allowed", "move", answer.allowed, moves)?;
            let removable = check("removable", "removal", answer.removable, removals)?;
            let on = check("features", "feature", answer.features, features)?;
            let object = match objects {
                Objects::All => vec![true; count],
                Objects::Last => allowed.iter().map(Vec::is_empty).collect(),
                Objects::Some => list("object", answer.object, count)?,
            };
            let seen = allowed.into_iter().zip(removable).zip(on).zip(object);
            Ok(seen
                .map(|(((moves, removals), features), object)| Seen {
                    moves: moves.into(),
                    removals: removals.into(),
                    features: features.into(),
                    object,
                })
                .collect())
        };
        self.ask(ask, states, &[], judge).ok()
    }

    /// Sees to it that there is an answer of each of some states.
    fn look_at_all(&self, states: &[Cell]) {
        let cells = self.cells();
        self.known_mut().make_room();
        let missing = self.missing(states, |known, state| known.seen(state).is_some());
        for states in missing.chunks(TOGETHER * cells) {
            let Some(found) = self.look(states) else { return };
            let mut known = self.known_mut();
            states.chunks_exact(cells).zip(found).for_each(|(state, seen)| known.see(state, seen));
        }
    }

    /// What `read` finds in what is known of a state.
    fn seen<T>(&self, state: &[Cell], mut read: impl FnMut(&Seen) -> T) -> T {
        if self.failure.get().is_some() {
            return read(&Seen::end());
        }
        if let Some(seen) = self.known().seen(state) {
            return read(seen);
        }
        let seen = self.look(state).and_then(|mut seen| seen.pop()).unwrap_or_else(Seen::end);
        let found = read(&seen);
        self.known_mut().see(state, seen);
        found
    }

    /// Where edges lead, which are not too many for one question, and their numbers from there.
    fn lead(&self, edges: &Edges, way: Way) -> Option<Vec<(Vec<Cell>, u32)>> {
        let Facts { moves, removals, .. } = self.facts;
        let (name, kind, back, most) = match way {
            Way::Forth => ("apply", "move", "removal", removals),
            Way::Back => ("undo", "removal", "move", moves),
        };
        let judge = |answer: Answer| {
            let found =
                list(name, if way == Way::Forth { answer.apply } else { answer.undo }, edges.numbers.len())?;
            let of = edges.states.chunks_exact(self.cells()).zip(&edges.numbers);
            of.zip(found)
                .map(|((state, edge), (other, number))| {
                    let place = || format!("for {kind} {edge} at {} it answered ", self.written(state));
                    let other =
                        other.cells(self.cells(), self.facts.is_text()).map_err(|found| place() + &found)?;
                    if number as usize >= most {
                        return Err(place() + &format!("{back} {number}; there are {most}, from 0"));
                    }
                    Ok((other, number))
                })
                .collect()
        };
        self.ask(&[name], &edges.states, &edges.numbers, judge).ok()
    }

    /// Sees to it that it is known where edges lead, and what the states there are; answers these edges from there.
    fn follow_all(&self, edges: &Edges, way: Way) -> Edges {
        let cells = self.cells();
        let mut missing = Edges::default();
        {
            let known = self.known();
            let mut new = HashSet::new();
            for (state, edge) in edges.states.chunks_exact(cells).zip(&edges.numbers) {
                if known.led(state, *edge, way).is_none() && new.insert((state, *edge)) {
                    missing.states.extend_from_slice(state);
                    missing.numbers.push(*edge);
                }
            }
        }
        for (states, numbers) in missing.states.chunks(TOGETHER * cells).zip(missing.numbers.chunks(TOGETHER))
        {
            let part = Edges { states: states.to_vec(), numbers: numbers.to_vec() };
            let Some(found) = self.lead(&part, way) else { return Edges::default() };
            let mut known = self.known_mut();
            for ((state, edge), (other, back)) in states.chunks_exact(cells).zip(numbers).zip(&found) {
                known.lead((state, *edge, way), (other, *back));
            }
        }
        let mut ends = Edges::default();
        {
            let known = self.known();
            for (state, edge) in edges.states.chunks_exact(cells).zip(&edges.numbers) {
                if let Some((other, back)) = known.led(state, *edge, way) {
                    ends.states.extend_from_slice(other);
                    ends.numbers.push(back);
                }
            }
        }
        self.look_at_all(&ends.states);
        ends
    }

    /// All edges from some states.
    fn edges(&self, states: &[Cell], way: Way) -> Edges {
        let mut edges = Edges::default();
        for state in states.chunks_exact(self.cells()) {
            let numbers =
                self.seen(
                    state,
                    |seen| if way == Way::Forth { seen.moves.clone() } else { seen.removals.clone() },
                );
            numbers.iter().for_each(|_| edges.states.extend_from_slice(state));
            edges.numbers.extend_from_slice(&numbers);
        }
        edges
    }

    /// Goes along an edge; answers its number from there.
    fn step(&self, state: &mut [Cell], edge: usize, way: Way) -> usize {
        if self.failure.get().is_some() {
            return 0;
        }
        if let Some((other, back)) = self.known().led(state, edge as u32, way) {
            state.copy_from_slice(other);
            return back as usize;
        }
        let edges = Edges { states: state.to_vec(), numbers: vec![edge as u32] };
        let Some((other, back)) = self.lead(&edges, way).and_then(|mut found| found.pop()) else { return 0 };
        self.known_mut().lead((state, edge as u32, way), (&other, back));
        state.copy_from_slice(&other);
        back as usize
    }
}

impl Environment for ProcessEnvironment {
    fn cells(&self) -> usize {
        self.source.len()
    }

    fn moves(&self) -> usize {
        self.facts.moves
    }

    fn removals(&self) -> usize {
        self.facts.removals
    }

    fn longest(&self) -> usize {
        self.facts.longest
    }

    fn stops(&self) -> bool {
        self.facts.objects != Objects::Last
    }

    fn source(&self, state: &mut [Cell]) {
        state.copy_from_slice(&self.source);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        self.seen(state, |seen| seen.object)
    }

    fn all_objects(&self) -> bool {
        self.facts.objects == Objects::All
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        mask.fill(false);
        self.seen(state, |seen| seen.moves.iter().for_each(|action| mask[*action as usize] = true));
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        mask.fill(false);
        self.seen(state, |seen| seen.removals.iter().for_each(|removal| mask[*removal as usize] = true));
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        self.step(state, action, Way::Forth)
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        self.step(state, removal, Way::Back)
    }

    fn features(&self) -> usize {
        self.facts.features
    }

    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        self.seen(state, |seen| on.extend_from_slice(&seen.features));
    }

    fn describe(&self, state: &[Cell]) -> String {
        let written = self.written(state);
        if !self.facts.describe {
            return written;
        }
        if let Some(text) = self.known().text(state) {
            return text.to_owned();
        }
        let judge = |answer: Answer| list("describe", answer.describe, 1);
        let Some(text) = self.ask(&["describe"], state, &[], judge).ok().and_then(|mut found| found.pop())
        else {
            return written;
        };
        self.known_mut().write(state, &text);
        text
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        let is_text = self.facts.is_text();
        let cells = if self.facts.describe {
            let mut question = Question::of(&["parse"]);
            question.texts.push(text.to_owned());
            let judge = |answer: Answer| list("parse", answer.parse, 1);
            let found = asked(&self.program, &mut question, &format!(" of {}", quoted(text)), judge);
            let state = found.map_err(|problem| problem.to_string())?.pop().flatten();
            let state =
                state.ok_or_else(|| refused(quoted(text), "states as the environment program reads them"))?;
            state.cells(self.cells(), is_text)
        } else if is_text {
            State::Text(text.to_owned()).cells(self.cells(), true)
        } else {
            let mut cells = vec![0; self.cells()];
            text::parse_point(text, usize::from(Cell::MAX), &mut cells)?;
            Ok(cells)
        }?;
        match self.is_reached(&cells) {
            Ok(true) => {
                state.copy_from_slice(&cells);
                Ok(())
            }
            Ok(false) => Err(refused(quoted(text), "states that moves lead to")),
            Err(problem) => Err(refused(quoted(text), format!("states; {problem}"))),
        }
    }

    fn foresee(&self, states: &[Cell], ahead: Ahead<'_>) {
        self.look_at_all(states);
        let given = |numbers: &[u32]| Edges { states: states.to_vec(), numbers: numbers.to_vec() };
        match ahead {
            Ahead::Here => {}
            Ahead::Moves(moves) => {
                self.follow_all(&given(moves), Way::Forth);
            }
            Ahead::Removals(removals) => {
                self.follow_all(&given(removals), Way::Back);
            }
            Ahead::AllMoves => {
                self.follow_all(&self.edges(states, Way::Forth), Way::Forth);
            }
            Ahead::AllRemovals => {
                self.follow_all(&self.edges(states, Way::Back), Way::Back);
            }
            Ahead::Around => {
                for (way, back) in [(Way::Forth, Way::Back), (Way::Back, Way::Forth)] {
                    let ends = self.follow_all(&self.edges(states, way), way);
                    self.follow_all(&ends, back);
                }
            }
        }
    }

    fn foresees(&self) -> bool {
        true
    }

    fn failure(&self) -> Option<Problem> {
        self.failure.get().cloned()
    }

    fn asked(&self) -> Option<(u64, Duration)> {
        Some(self.program.asked())
    }
}

#[cfg(test)]
mod tests;
