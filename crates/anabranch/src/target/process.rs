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
//! Questions have at most 512 objects. What goes wrong with one is asked once more, but for an answer that did not come in time, and then
//! skips its batch: an error, a wrong number of numbers. A program that died, was late, or wrote what was not asked for, is ended with all
//! its children and started again for the next question, a bounded number of times.
//!
//! A program in Python:
//!
//! ```python
//! import json, sys
//! for line in sys.stdin:
//!     objects = json.loads(line)["objects"]
//!     print(json.dumps({"log_rewards": [score(x) for x in objects]}), flush=True)
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Describe, Failure, Target, no_scores};
use crate::environment::Number;
use crate::error::{Problem, quoted};
use crate::program::{self, Call, Program, Unanswered};

/// The most objects of a question.
const MOST: usize = 512;

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
    program: Program,
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

impl program::Answer for Answer {
    fn batch(&self) -> Option<u64> {
        self.batch
    }

    fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

/// Log-rewards, and the gradients if they were asked for, which are as many.
type Answered = (Vec<Option<f64>>, Vec<Option<Vec<f64>>>);

impl<C: Number> Process<C> {
    /// A program that is started when the first batch comes, and reads objects as `describe` writes them; without that, points as
    /// lists of numbers.
    ///
    /// # Errors
    /// If there is no command, or the timeout is zero.
    pub fn new(settings: ProcessSettings, describe: Option<Describe<C>>) -> Result<Self, Problem> {
        let call = Call {
            command: settings.command.clone(),
            timeout: settings.timeout,
            restarts: settings.restarts,
            role: "the reward program",
            place: format!("{}.command", settings.place),
        };
        Ok(Self { program: Program::new(call)?, settings, describe })
    }

    fn judge(answer: Answer, text: &str, count: usize, cells: Option<usize>) -> Result<Answered, String> {
        match (answer, cells) {
            (Answer { log_rewards: Some(values), .. }, _) if values.len() != count => {
                Err(format!("it answered {} log_rewards for {count} objects", values.len()))
            }
            (Answer { log_rewards: Some(values), .. }, None) => Ok((values, Vec::new())),
            (Answer { log_rewards: Some(values), gradients: Some(gradients), .. }, Some(cells)) => {
                let fits = |(value, gradient): (&Option<f64>, &Option<Vec<f64>>)| match gradient {
                    Some(gradient) => gradient.len() == cells,
                    None => value.is_none(),
                };
                if gradients.len() == count && values.iter().zip(&gradients).all(fits) {
                    Ok((values, gradients))
                } else {
                    let found = "its gradients are not one list per object";
                    Err(format!("{found}, of {cells} numbers each, for {count} objects"))
                }
            }
            (Answer { log_rewards: Some(_), .. }, Some(_)) => {
                Err(format!("it answered {} without gradients, which it was asked for", quoted(text)))
            }
            (Answer { .. }, _) => Err(format!("it answered {} without log_rewards", quoted(text))),
        }
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
        let (cells, width, slopes) =
            (objects.len() / out.len(), conditions.len() / out.len(), scores.len() / out.len());
        for (index, out) in out.chunks_mut(MOST).enumerate() {
            let rows = index * MOST..index * MOST + out.len();
            let of = |width: usize| rows.start * width..rows.end * width;
            let asked = (&objects[of(cells)], &conditions[of(width)]);
            self.ask_some(asked, partial, out, &mut scores[of(slopes)])?;
        }
        Ok(())
    }

    /// [`Process::ask`] for as many objects as a question has.
    fn ask_some(
        &self,
        (objects, conditions): (&[C], &[f32]),
        partial: bool,
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        let cells = objects.len() / out.len();
        let mut question = Question {
            batch: 0,
            objects: objects.chunks_exact(cells).map(|object| self.written(object)).collect(),
            conditions: conditions.chunks_exact(self.settings.conditions.max(1)).collect(),
            gradients: !scores.is_empty(),
            partial,
        };
        let (count, slopes) = (question.objects.len(), question.gradients.then_some(cells));
        let mut ask = || {
            self.program.ask(
                |batch| {
                    question.batch = batch;
                    serde_json::to_vec(&question)
                },
                |answer, text| Self::judge(answer, text, count, slopes),
            )
        };
        let (values, gradients) = match ask() {
            Err(Unanswered::Bad(_) | Unanswered::Lost { late: false, .. }) => ask(),
            found => found,
        }?;
        for (row, (out, value)) in out.iter_mut().zip(values).enumerate() {
            *out = value.or(self.settings.failed).ok_or_else(|| {
                let object = &question.objects[row];
                let object = object.as_str().map_or_else(|| object.to_string(), str::to_owned);
                let why = "without a `failed` log-reward for such objects their batch is skipped";
                Failure::Skip(format!("{}: it has none (null) for {object}; {why}", self.program.name()))
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

#[cfg(test)]
mod tests;
