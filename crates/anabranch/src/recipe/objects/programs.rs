//! Objects of an environment by another program.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Built, Objects, rewarded};
use crate::environment::{Environment as _, ProcessEnvironment, check};
use crate::error::{Problem, Result, within};
use crate::program::Call;
use crate::rng::{Noise, Purpose};
use crate::target::{EnvironmentReward, RewardRecipe, Shape};

/// The moves that are tried before training, about as many.
const TRIED: usize = 20_000;

/// The most states of a space that is tried as a whole.
const WHOLE: usize = 1000;

/// Objects that another program builds, in any language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgramRecipe {
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Seconds that an answer may take.
    #[serde(default = "minute")]
    #[schemars(range(min = 1e-3, max = 1e6))]
    pub timeout: f64,
    /// How often, in all, the program is started again where it died.
    #[serde(default = "three")]
    pub restarts: usize,
    /// The reward, if not the program's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<RewardRecipe>,
}

fn minute() -> f64 {
    60.0
}

fn three() -> usize {
    3
}

impl ProgramRecipe {
    /// The program, which has been started, and whose answers agree with each other as far as they were tried.
    fn environment(&self) -> Result<ProcessEnvironment> {
        within("target.timeout", self.timeout, 1e-3, 1e6)?;
        let environment = ProcessEnvironment::start(Call {
            command: self.command.clone(),
            timeout: Duration::from_secs_f64(self.timeout),
            restarts: self.restarts,
            role: "the environment program",
            place: "target.command".to_owned(),
        })
        .map_err(|problem| match problem.place() {
            "command" | "timeout" => {
                let place = format!("target.{}", problem.place());
                problem.at(place)
            }
            _ => problem,
        })?;
        let moves = environment.moves();
        let tried =
            check::bounded(&environment, (TRIED / moves).clamp(2, WHOLE)).and_then(|whole| match whole {
                Some(_) => Ok(()),
                None => {
                    let walks = (TRIED / (moves * environment.longest())).clamp(2, 32);
                    check::along_walks(&environment, walks, &Noise::new(0, Purpose::Target))
                }
            });
        if let Some(problem) = environment.failure() {
            return Err(problem.into());
        }
        tried.map_err(|found| {
            Problem::new("target.command", format!("an environment that does not agree with itself: {found}"))
                .allowed("one whose moves and removals undo each other, and end at objects")
        })?;
        Ok(environment)
    }
}

impl Objects for ProgramRecipe {
    fn space(&self) -> String {
        format!("what the program {} builds", self.command.join(" "))
    }

    fn formula(&self) -> String {
        self.reward.as_ref().map_or("the program's own".to_owned(), RewardRecipe::formula)
    }

    fn build(&self) -> Result<Built> {
        let environment = self.environment()?;
        match &self.reward {
            Some(reward) => {
                rewarded(Ok(environment), |environment| Shape::Other { cells: environment.cells() }, reward)
            }
            None => {
                let environment = Arc::new(environment);
                Ok(Built::Discrete((environment.clone(), Arc::new(EnvironmentReward(environment)))))
            }
        }
    }
}
