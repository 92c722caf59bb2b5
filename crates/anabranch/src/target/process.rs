//! A reward by another program, in any language.
//!
//! The program is started once and answers batch by batch, a line of JSON to its standard input for a line to its standard
//! output:
//!
//! ```text
//! {"batch": 7, "objects": ["(0, 1)", "(2, 2)"], "conditions": [[0.3], [0.7]]}
//! {"batch": 7, "log_rewards": [-1.5, 0.25]}
//! ```
//!
//! An object is written as its environment writes it; conditions come where there are any. `log_rewards` has one number per
//! object, in order, nats; `null` says that an object's failed. Instead of it, `"error": "why"` says that the batch did.
//! `batch` may be left out of the answer; if there, it must be that of the question. What the program writes to its standard
//! error is kept for when it is needed. It should end when its standard input does.
//!
//! What goes wrong with one batch skips that batch: an error, a wrong number of numbers, no answer in time. A program that
//! died, was late, or wrote what was not asked for, is ended with all its children and started again for the next batch, a
//! bounded number of times.
//!
//! A program in Python:
//!
//! ```python
//! import json, sys
//! for line in sys.stdin:
//!     objects = json.loads(line)["objects"]
//!     print(json.dumps({"log_rewards": [score(x) for x in objects]}), flush=True)
//! ```

mod child;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Describe, Failure, Target};
use crate::environment::Cell;
use crate::error::{Problem, quoted, reason};
use child::{Child, Lost};

/// How a program is run.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessSettings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long a batch may take.
    pub timeout: Duration,
    /// How often, in all, the program is started again.
    pub restarts: usize,
    /// The log-reward of an object whose own failed; without one its batch is skipped.
    pub failed: Option<f64>,
    /// How many numbers a condition has.
    pub conditions: usize,
}

/// A reward by a program that runs beside this one.
#[derive(Debug)]
pub struct Process {
    settings: ProcessSettings,
    describe: Describe,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Option<Child>,
    /// How often it was started.
    starts: usize,
    /// Why it was ended last.
    last: String,
    batch: u64,
}

#[derive(Serialize)]
struct Question<'a> {
    batch: u64,
    objects: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<&'a [f32]>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with log_rewards or error")]
struct Answer {
    batch: Option<u64>,
    log_rewards: Option<Vec<Option<f64>>>,
    error: Option<String>,
}

/// What an answer is worth.
enum Verdict {
    LogRewards(Vec<Option<f64>>),
    /// This batch has no rewards, for this reason.
    Bad(String),
    /// It is no answer to this question: nothing that the program writes can be trusted any more.
    OutOfStep(String),
}

impl Process {
    /// A program that is started when the first batch comes.
    ///
    /// # Errors
    /// If there is no command, or the timeout is zero.
    pub fn new(settings: ProcessSettings, describe: Describe) -> Result<Self, Problem> {
        if settings.command.first().is_none_or(String::is_empty) {
            return Err(Problem::new("command", "no program").allowed("a program and its arguments"));
        }
        if settings.timeout.is_zero() {
            return Err(Problem::new("timeout", "0 s").allowed("a positive number of seconds"));
        }
        let state = Mutex::new(State { child: None, starts: 0, last: String::new(), batch: 0 });
        Ok(Self { settings, describe, state })
    }

    fn name(&self) -> String {
        format!("the reward program {}", quoted(&self.settings.command[0]))
    }

    /// The running program; starts it if there is none and it may be.
    fn running<'a>(&self, state: &'a mut State) -> Result<&'a mut Child, Failure> {
        if state.child.is_none() {
            if state.starts > self.settings.restarts {
                let found = format!("a program that was started {} times; {}", state.starts, state.last);
                return Err(Problem::new("reward.command", found)
                    .allowed("a program that keeps running")
                    .into());
            }
            let child = Child::start(&self.settings.command).map_err(|error| {
                let found = format!("{}: {}", quoted(&self.settings.command[0]), reason(&error));
                Problem::new("reward.command", found).allowed("a program that can be run")
            })?;
            state.starts += 1;
            state.child = Some(child);
        }
        Ok(state.child.as_mut().expect("it was just started"))
    }

    fn lost(&self, lost: &Lost) -> String {
        match lost {
            Lost::Died => "it ended".to_owned(),
            Lost::Late => format!("no answer within {} s", self.settings.timeout.as_secs_f64()),
            Lost::Unasked => "it wrote a line that was not asked for".to_owned(),
            Lost::TooLong => "its answer is longer than any could be".to_owned(),
        }
    }

    fn judge(&self, line: &[u8], batch: u64, count: usize) -> Verdict {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if !(text.starts_with('{') && text.ends_with('}')) {
            return Verdict::OutOfStep(format!("it answered {}, no JSON object", quoted(text)));
        }
        let answer: Answer = match serde_json::from_str(text) {
            Ok(answer) => answer,
            Err(_) if ["NaN", "Infinity"].iter().any(|word| text.contains(word)) => {
                let why = "NaN and Infinity are no JSON numbers; null stands for an object that failed";
                return Verdict::Bad(format!("it answered {}: {why}", quoted(text)));
            }
            Err(error) => return Verdict::Bad(format!("it answered {}: {error}", quoted(text))),
        };
        match answer {
            Answer { batch: Some(other), .. } if other != batch => {
                Verdict::OutOfStep(format!("it answered batch {other}, asked for batch {batch}"))
            }
            Answer { error: Some(words), .. } => Verdict::Bad(format!("it says {}", quoted(&words))),
            Answer { log_rewards: Some(values), .. } if values.len() == count => Verdict::LogRewards(values),
            Answer { log_rewards: Some(values), .. } => {
                Verdict::Bad(format!("it answered {} log_rewards for {count} objects", values.len()))
            }
            Answer { .. } => Verdict::Bad(format!("it answered {} without log_rewards", quoted(text))),
        }
    }

    /// Ends the program, remembers why, and says so.
    fn give_up(&self, state: &mut State, why: &str) -> Failure {
        let words = state.child.take().map(Child::end).unwrap_or_default();
        state.last = format!("last, {why}{words}");
        let restarts = self.settings.restarts;
        let more = if state.starts > restarts {
            "it was started as often as it may be".to_owned()
        } else {
            format!("it is started again ({} of {restarts})", state.starts)
        };
        Failure::Skip(format!("{}: {why}{words}; {more}", self.name()))
    }
}

impl Target<Cell> for Process {
    fn log_rewards(&self, objects: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        if out.is_empty() {
            return Ok(());
        }
        let cells = objects.len() / out.len();
        let object = |row: usize| self.describe.name(&objects[row * cells..][..cells]);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.batch += 1;
        let question = Question {
            batch: state.batch,
            objects: (0..out.len()).map(object).collect(),
            conditions: conditions.chunks_exact(self.settings.conditions.max(1)).collect(),
        };
        let mut line = serde_json::to_vec(&question)
            .map_err(|error| Failure::Skip(format!("{}: the batch is no JSON: {error}", self.name())))?;
        line.push(b'\n');
        let answer = match self.running(&mut state)?.ask(line, self.settings.timeout) {
            Ok(answer) => answer,
            Err(lost) => return Err(self.give_up(&mut state, &self.lost(&lost))),
        };
        let values = match self.judge(&answer, question.batch, out.len()) {
            Verdict::LogRewards(values) => values,
            Verdict::Bad(why) => return Err(Failure::Skip(format!("{}: {why}", self.name()))),
            Verdict::OutOfStep(why) => return Err(self.give_up(&mut state, &why)),
        };
        for (row, (out, value)) in out.iter_mut().zip(values).enumerate() {
            *out = value.or(self.settings.failed).ok_or_else(|| {
                let why = "without a `failed` log-reward for such objects their batch is skipped";
                Failure::Skip(format!("{}: it has none (null) for {}; {why}", self.name(), object(row)))
            })?;
        }
        Ok(())
    }

    fn condition_width(&self) -> usize {
        self.settings.conditions
    }
}

#[cfg(test)]
mod tests;
