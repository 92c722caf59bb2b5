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
//! An object is written as its environment writes it, a point as the list of its coordinates; conditions come where there are
//! any. `log_rewards` has one number per object, in order, nats; `null` says that an object's failed. Instead of it,
//! `"error": "why"` says that the batch did. `batch` may be left out of the answer; if there, it must be that of the question.
//! What the program writes to its standard error is kept for when it is needed. It should end when its standard input does.
//!
//! Two more questions are asked of programs whose recipe says that they answer them. With `"gradients": true` the gradient of each
//! `log R` by the point's coordinates is wanted beside it; with `"partial": true` objects are states on the way to one, and
//! `log_rewards` what is known of their reward ([`Target::partial`]):
//!
//! ```text
//! {"batch": 8, "objects": [[0.5, -1.0]], "gradients": true}
//! {"batch": 8, "log_rewards": [-1.5], "gradients": [[0.25, 2.0]]}
//! {"batch": 9, "objects": ["(0, 1)"], "partial": true}
//! {"batch": 9, "log_rewards": [-0.5]}
//! ```
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
use serde_json::Value;

use super::{Describe, Failure, Target, no_scores};
use crate::environment::Number;
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
    /// Whether it answers about states on the way to an object.
    pub partial: bool,
    /// Whether it answers gradients.
    pub gradients: bool,
    /// `log Z`, where it is known; nats.
    pub log_z: Option<f64>,
    /// Where the recipe names it, for messages.
    pub place: String,
}

/// A reward by a program that runs beside this one.
#[derive(Debug)]
pub struct Process<C> {
    settings: ProcessSettings,
    /// Without one, objects are written as numbers.
    describe: Option<Describe<C>>,
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
    objects: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<&'a [f32]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gradients: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with log_rewards or error")]
struct Answer {
    batch: Option<u64>,
    log_rewards: Option<Vec<Option<f64>>>,
    gradients: Option<Vec<Option<Vec<f64>>>>,
    error: Option<String>,
}

/// What an answer is worth.
enum Verdict {
    /// The log-rewards, and the gradients if they were asked for, which are as many.
    Good(Vec<Option<f64>>, Vec<Option<Vec<f64>>>),
    /// This batch has no rewards, for this reason.
    Bad(String),
    /// It is no answer to this question: nothing that the program writes can be trusted any more.
    OutOfStep(String),
}

impl<C: Number> Process<C> {
    /// A program that is started when the first batch comes, and reads objects as `describe` writes them; without that, points as
    /// lists of numbers.
    ///
    /// # Errors
    /// If there is no command, or the timeout is zero.
    pub fn new(settings: ProcessSettings, describe: Option<Describe<C>>) -> Result<Self, Problem> {
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
                return Err(Problem::new(format!("{}.command", self.settings.place), found)
                    .allowed("a program that keeps running")
                    .into());
            }
            let child = Child::start(&self.settings.command).map_err(|error| {
                let found = format!("{}: {}", quoted(&self.settings.command[0]), reason(&error));
                let place = format!("{}.command", self.settings.place);
                Problem::new(place, found).allowed("a program that can be run")
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

    fn judge(&self, line: &[u8], question: &Question<'_>, cells: usize) -> Verdict {
        let (batch, count) = (question.batch, question.objects.len());
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
            Answer { log_rewards: Some(values), .. } if values.len() != count => {
                Verdict::Bad(format!("it answered {} log_rewards for {count} objects", values.len()))
            }
            Answer { log_rewards: Some(values), .. } if !question.gradients => {
                Verdict::Good(values, Vec::new())
            }
            Answer { log_rewards: Some(values), gradients: Some(gradients), .. } => {
                let fits = |(value, gradient): (&Option<f64>, &Option<Vec<f64>>)| match gradient {
                    Some(gradient) => gradient.len() == cells,
                    None => value.is_none(),
                };
                if gradients.len() == count && values.iter().zip(&gradients).all(fits) {
                    Verdict::Good(values, gradients)
                } else {
                    let found = "its gradients are not one list per object";
                    Verdict::Bad(format!("{found}, of {cells} numbers each, for {count} objects"))
                }
            }
            Answer { log_rewards: Some(_), .. } => Verdict::Bad(format!(
                "it answered {} without gradients, which it was asked for",
                quoted(text)
            )),
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

    fn written(&self, object: &[C]) -> Value {
        match &self.describe {
            Some(describe) => describe.name(object).into(),
            None => object.iter().map(|cell| Value::from(cell.number())).collect(),
        }
    }

    /// Asks about a batch; about states on the way if `partial`, and with gradients, `[batch, cells]`, if there is room for them.
    fn ask(
        &self,
        (objects, conditions): (&[C], &[f32]),
        partial: bool,
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        if out.is_empty() {
            return Ok(());
        }
        // No JSON number, and nothing to ask about: the chain that ends there says so itself.
        if objects.iter().any(|cell| !cell.number().is_finite()) {
            out.fill(f64::NAN);
            scores.fill(f64::NAN);
            return Ok(());
        }
        let cells = objects.len() / out.len();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.batch += 1;
        let question = Question {
            batch: state.batch,
            objects: objects.chunks_exact(cells).map(|object| self.written(object)).collect(),
            conditions: conditions.chunks_exact(self.settings.conditions.max(1)).collect(),
            gradients: !scores.is_empty(),
            partial,
        };
        let mut line = serde_json::to_vec(&question)
            .map_err(|error| Failure::Skip(format!("{}: the batch is no JSON: {error}", self.name())))?;
        line.push(b'\n');
        let answer = match self.running(&mut state)?.ask(line, self.settings.timeout) {
            Ok(answer) => answer,
            Err(lost) => return Err(self.give_up(&mut state, &self.lost(&lost))),
        };
        let (values, gradients) = match self.judge(&answer, &question, cells) {
            Verdict::Good(values, gradients) => (values, gradients),
            Verdict::Bad(why) => return Err(Failure::Skip(format!("{}: {why}", self.name()))),
            Verdict::OutOfStep(why) => return Err(self.give_up(&mut state, &why)),
        };
        for (row, (out, value)) in out.iter_mut().zip(values).enumerate() {
            *out = value.or(self.settings.failed).ok_or_else(|| {
                let object = &question.objects[row];
                let object = object.as_str().map_or_else(|| object.to_string(), str::to_owned);
                let why = "without a `failed` log-reward for such objects their batch is skipped";
                Failure::Skip(format!("{}: it has none (null) for {object}; {why}", self.name()))
            })?;
        }
        for (score, gradient) in scores.chunks_exact_mut(cells).zip(gradients) {
            // One that failed has a constant for its log-reward.
            match gradient {
                Some(gradient) => score.copy_from_slice(&gradient),
                None => score.fill(0.0),
            }
        }
        Ok(())
    }
}

impl<C: Number> Target<C> for Process<C> {
    fn log_rewards(&self, objects: &[C], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.ask((objects, conditions), false, out, &mut [])
    }

    fn has_scores(&self) -> bool {
        self.settings.gradients
    }

    fn log_rewards_with_scores(
        &self,
        objects: &[C],
        conditions: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        if !self.settings.gradients {
            return Err(no_scores());
        }
        self.ask((objects, conditions), false, out, scores)
    }

    fn condition_width(&self) -> usize {
        self.settings.conditions
    }

    fn partial(&self, states: &[C], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        if self.settings.partial {
            self.ask((states, conditions), true, out, &mut [])?;
        }
        Ok(self.settings.partial)
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        self.settings.log_z.filter(|_| beta == 1.0)
    }
}
