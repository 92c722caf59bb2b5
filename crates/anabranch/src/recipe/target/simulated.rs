//! Simulations of a built-in simulator: its parameters are the rows, what it simulated under them is their condition.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rows;
use crate::data::{Column, Dataset, Numbers};
use crate::error::{Problem, Result, quoted, within};
use crate::math::Estimate;
use crate::papers;
use crate::rng::{Noise, Purpose};
use crate::target::simulator::{self, Simulator};

/// Parameters and simulations of a built-in simulator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatorRecipe {
    /// The simulator's name: two-moons, gaussian-linear, gaussian-linear-uniform, gaussian-mixture or slcp.
    #[schemars(extend("enum" = simulator::NAMES))]
    pub name: String,
    /// How many simulations to learn from, those for validation among them; a fifth of it more for testing.
    #[serde(default = "simulations")]
    #[schemars(range(min = 10, max = 10_000_000))]
    pub simulations: usize,
    /// The fraction of simulations for validation.
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub validation: f64,
    /// Draws of the learned posterior at each of ten observations, which a classifier is to tell from as many exact ones; 0 leaves
    /// that out.
    #[serde(default = "simulations")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub posterior_draws: usize,
}

fn simulations() -> usize {
    10_000
}

fn tenth() -> f64 {
    0.1
}

impl SimulatorRecipe {
    /// The simulator.
    ///
    /// # Panics
    /// If the recipe was not checked.
    pub fn built(&self) -> &'static dyn Simulator {
        simulator::named(&self.name).expect("a checked recipe names one")
    }
}

impl Rows for SimulatorRecipe {
    fn check(&self) -> Result<()> {
        if simulator::named(&self.name).is_none() {
            return Err(Problem::new("target.name", quoted(&self.name)).choices(&simulator::NAMES).into());
        }
        within("target.simulations", self.simulations as f64, 10.0, 1e7)?;
        within("target.validation", self.validation, 0.0, 0.9)?;
        match self.posterior_draws {
            0 | 10..=1_000_000 => Ok(()),
            few => Err(Problem::new("target.posterior_draws", few.to_string())
                .allowed("0, or from 10 to 1000000")
                .into()),
        }
    }

    fn load(&self, seed: u64) -> Result<Dataset> {
        let simulator = self.built();
        let [parameters, measured] = simulator.sizes();
        let (all, test) = (self.simulations, self.simulations.div_ceil(5));
        let learned = all - (all as f64 * self.validation).round() as usize;
        let found = simulator::simulate(simulator, all + test, &Noise::new(seed, Purpose::Target));
        let parts = |values: &[f32], columns: usize| {
            let (train, rest) = values.split_at(learned * columns);
            let (validation, test) = rest.split_at((all - learned) * columns);
            [train, validation, test].map(<[f32]>::to_vec)
        };
        let named = |name: &str, count: usize| (0..count).map(|k| format!("{name}{k}")).collect();
        let numbers = Numbers::new(named("x", measured), parts(&found.observations, measured))?;
        let rows = parts(&found.parameters, parameters);
        Ok(Dataset::new(named("theta", parameters), rows).with_numbers(numbers))
    }

    fn describe(&self) -> String {
        let [parameters, measured] = self.built().sizes();
        format!(
            "{} simulations of {}: {parameters} parameters given {measured} numbers of an observation",
            self.simulations, self.name
        )
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![papers::SBIBM]
    }

    /// A file has the parameters first, then the observation.
    fn given(&self) -> Vec<Column> {
        let [parameters, measured] = self.built().sizes();
        (parameters..parameters + measured).map(Column::Index).collect()
    }

    fn simulator(&self) -> Option<&SimulatorRecipe> {
        Some(self)
    }

    fn exact_nll(&self, rows: &[f32], given: &[f32]) -> Option<Estimate> {
        let simulator = self.built();
        let [parameters, measured] = simulator.sizes();
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let row = |(row, given): (&[f32], &[f32])| {
            let (theta, x) = (wide(row), wide(given));
            let joint = simulator.log_prior(&theta) + simulator.log_likelihood(&theta, &x);
            Some(simulator.log_evidence(&x)? - joint)
        };
        let each = rows.chunks_exact(parameters).zip(given.chunks_exact(measured)).map(row);
        Some(Estimate::mean(&each.collect::<Option<Vec<f64>>>()?))
    }
}
