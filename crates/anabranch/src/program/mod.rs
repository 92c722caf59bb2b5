//! Other programs, in any language, that answer questions: a line of JSON for a line of JSON.
//!
//! A program is started when the first question comes and reads its standard input line by line. Every question has a number,
//! `batch`, which the answer may leave out; if there, it must be the question's. Instead of what was asked for, `"error": "why"`
//! says that there is nothing. What the program writes to its standard error is kept for when it is needed. It should end when its
//! standard input does, and is killed when this program ends, however that is.
//!
//! A program that died, was late, or wrote what was not asked for, is ended with all its children and started again for the next
//! question, a bounded number of times.

mod child;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::error::{Failure, Problem, quoted, reason};
use child::{Child, Lost};

/// How a program is run.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How often, in all, the program is started again.
    pub restarts: usize,
    /// What it is in messages: the reward program, for one.
    pub role: &'static str,
    /// Where the recipe names its command, for messages.
    pub place: String,
}

/// A program that runs beside this one.
#[derive(Debug)]
pub struct Program {
    call: Call,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// How often it was started.
    starts: usize,
    /// Why it was ended last.
    last: String,
    questions: u64,
    waited: Duration,
}

/// What is common to all answers.
pub trait Answer: DeserializeOwned {
    /// The number of the question, where it is said.
    fn batch(&self) -> Option<u64>;

    /// Why there is no answer.
    fn error(&self) -> Option<&str>;
}

/// Why there is no answer to a question. Messages name the program.
#[derive(Debug)]
pub enum Unanswered {
    /// What it answered is none, in these words; another question may do better.
    Bad(String),
    /// It died, was late, or wrote what was not asked for, and was ended.
    Lost {
        /// What happened, and its last words.
        why: String,
        /// Whether it is started again for the next question.
        then: String,
        /// Whether it ended by itself.
        died: bool,
        /// Whether its answer was waited for in vain.
        late: bool,
    },
    /// It cannot be started, or not again.
    Never(Problem),
}

impl From<Unanswered> for Failure {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Bad(words) => Self::Skip(words),
            Unanswered::Lost { why, then, .. } => Self::Skip(format!("{why}; {then}")),
            Unanswered::Never(problem) => problem.into(),
        }
    }
}

impl Program {
    /// A program that is started when the first question comes.
    ///
    /// # Errors
    /// If there is no command, or the timeout is zero.
    pub fn new(call: Call) -> Result<Self, Problem> {
        if call.command.first().is_none_or(String::is_empty) {
            return Err(Problem::new("command", "no program").allowed("a program and its arguments"));
        }
        if call.timeout.is_zero() {
            return Err(Problem::new("timeout", "0 s").allowed("a positive number of seconds"));
        }
        Ok(Self { call, state: Mutex::default() })
    }

    /// What it is, in messages.
    pub fn name(&self) -> String {
        format!("{} {}", self.call.role, quoted(&self.call.command[0]))
    }

    /// Where the recipe names its command.
    pub fn place(&self) -> &str {
        &self.call.place
    }

    /// How many questions it was asked, and how long it was waited for in all.
    pub fn asked(&self) -> (u64, Duration) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.questions, state.waited)
    }

    /// Asks the question that `write` makes of its number, a line without its end, and has `judge` read the answer, which comes
    /// with its text; it says in words what is wrong with one.
    ///
    /// # Errors
    /// If there is no answer, or `judge` takes it for none.
    pub fn ask<A: Answer, T>(
        &self,
        write: impl FnOnce(u64) -> serde_json::Result<Vec<u8>>,
        judge: impl FnOnce(A, &str) -> Result<T, String>,
    ) -> Result<T, Unanswered> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.questions += 1;
        let batch = state.questions;
        let bad = |why: String| Unanswered::Bad(format!("{}: {why}", self.name()));
        let mut line = write(batch).map_err(|error| bad(format!("the batch is no JSON: {error}")))?;
        line.push(b'\n');
        let start = Instant::now();
        let answered = self.running(&mut state)?.ask(line, self.call.timeout);
        state.waited += start.elapsed();
        let line = answered.map_err(|lost| {
            let why = match lost {
                Lost::Died => "it ended".to_owned(),
                Lost::Late => format!("no answer within {} s", self.call.timeout.as_secs_f64()),
                Lost::Unasked => "it wrote a line that was not asked for".to_owned(),
                Lost::TooLong => "its answer is longer than any could be".to_owned(),
            };
            self.give_up(&mut state, &why, Some(lost))
        })?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if !(text.starts_with('{') && text.ends_with('}')) {
            let why = format!("it answered {}, no JSON object", quoted(text));
            return Err(self.give_up(&mut state, &why, None));
        }
        let answer: A = match serde_json::from_str(text) {
            Ok(answer) => answer,
            Err(_) if ["NaN", "Infinity"].iter().any(|word| text.contains(word)) => {
                let why = "NaN and Infinity are no JSON numbers; null stands for an object that failed";
                return Err(bad(format!("it answered {}: {why}", quoted(text))));
            }
            Err(error) => return Err(bad(format!("it answered {}: {error}", quoted(text)))),
        };
        if let Some(other) = answer.batch().filter(|other| *other != batch) {
            let why = format!("it answered batch {other}, asked for batch {batch}");
            return Err(self.give_up(&mut state, &why, None));
        }
        if let Some(words) = answer.error() {
            return Err(bad(format!("it says {}", quoted(words))));
        }
        judge(answer, text).map_err(bad)
    }

    /// The running program; starts it if there is none and it may be.
    fn running<'a>(&self, state: &'a mut State) -> Result<&'a mut Child, Unanswered> {
        if state.child.is_none() {
            if state.starts > self.call.restarts {
                let times =
                    if state.starts == 1 { "once".to_owned() } else { format!("{} times", state.starts) };
                let found = format!("a program that was started {times}; {}", state.last);
                let problem = Problem::new(&*self.call.place, found);
                return Err(Unanswered::Never(problem.allowed("a program that keeps running")));
            }
            let child = Child::start(&self.call.command).map_err(|error| {
                let found = format!("{}: {}", quoted(&self.call.command[0]), reason(&error));
                let problem = Problem::new(&*self.call.place, found);
                Unanswered::Never(problem.allowed("a program that can be run"))
            })?;
            state.starts += 1;
            state.child = Some(child);
        }
        Ok(state.child.as_mut().expect("it was just started"))
    }

    /// Ends the program, remembers why, and says so.
    fn give_up(&self, state: &mut State, why: &str, lost: Option<Lost>) -> Unanswered {
        let words = state.child.take().map(Child::end).unwrap_or_default();
        state.last = format!("last, {why}{words}");
        let restarts = self.call.restarts;
        let then = if state.starts > restarts {
            "it was started as often as it may be".to_owned()
        } else {
            format!("it is started again ({} of {restarts})", state.starts)
        };
        let (died, late) = (matches!(lost, Some(Lost::Died)), matches!(lost, Some(Lost::Late)));
        Unanswered::Lost { why: format!("{}: {why}{words}", self.name()), then, died, late }
    }
}
