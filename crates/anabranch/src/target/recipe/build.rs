//! From a recipe to a reward: every value is checked, and the key of a wrong one is named.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{DEFAULT_BETA, LatticeName, ProcessRecipe, RewardRecipe};
use crate::environment::Cell;
use crate::environment::Number;
use crate::error::{Error, Problem, Result, quoted};
use crate::rng::{Noise, Purpose};
use crate::target::{
    AdditiveEnergies, Classifier, ClassifierSettings, Counting, Describe, Entropic, Expression, Gamble,
    GridReward, Ising, Items, LARGEST, LEAST, Landscape, PlantedModes, Preference, Process, ProcessSettings,
    Shape, Space, TableReward, Target, Tempered, Transform, within,
};

/// The keys of a classifier.
const KEYS: [&str; 4] = ["kind", "width", "beta", "least"];

type Built = Result<Arc<dyn Target<Cell>>, Problem>;

impl RewardRecipe {
    /// The reward, for the objects of a space. A file is read; a program is not started before the first batch.
    ///
    /// # Errors
    /// If a value is not allowed, or the reward is not one of such objects; the key is named.
    pub fn build(&self, space: &Space) -> Result<Arc<dyn Target<Cell>>> {
        self.build_at("reward", space)
    }

    fn build_at(&self, place: &str, space: &Space) -> Result<Arc<dyn Target<Cell>>> {
        let shape = &space.shape;
        let built = match self {
            Self::Original { r0, r1, r2 } | Self::Easy { r0, r1, r2 } | Self::Hard { r0, r1, r2 } => {
                grid(shape).and_then(|(dim, side)| shared(GridReward::band(dim, side, [*r0, *r1, *r2])))
            }
            Self::Cosine { r0, r1 } => {
                grid(shape).and_then(|(dim, side)| shared(GridReward::cosine(dim, side, [*r0, *r1])))
            }
            Self::Sparse { r0 } => {
                grid(shape).and_then(|(dim, side)| shared(GridReward::sparse(dim, side, *r0)))
            }
            Self::Deceptive { r0, r1, r2 } => {
                grid(shape).and_then(|(dim, side)| shared(GridReward::deceptive(dim, side, [*r0, *r1, *r2])))
            }
            Self::Ising { .. } => self.ising(shape),
            Self::PlantedModes { .. } => self.planted_modes(shape),
            Self::Landscape { neighbours, beta, seed } => landscape(*neighbours, *beta, *seed, shape),
            Self::Items { weights, log_weights } => items(weights, log_weights, shape),
            Self::AdditiveEnergies { energies, beta } => additive(energies, *beta, shape),
            Self::Table { file, floor, exponent, scale, least } => {
                let transform =
                    Transform { floor: *floor, exponent: *exponent, scale: *scale, least: *least };
                transform.check().map_err(|problem| inside(place, problem))?;
                if !Path::new(file).exists() {
                    let allowed = "a CSV file with the header object,reward; data/README.md says how to make published ones";
                    let problem = Problem::new("file", format!("{}, which is not there", quoted(file)));
                    return Err(inside(place, problem.allowed(allowed)).into());
                }
                Ok(Arc::new(TableReward::read(Path::new(file), transform, space)?) as Arc<dyn Target<Cell>>)
            }
            Self::Expression { log_reward, reward } => {
                shared(formula(log_reward.as_deref(), reward.as_deref(), shape.cells()))
            }
            Self::Process(process) => process.over_objects(place, space),
            Self::Classifier { file, width, beta, least, seed } => {
                let settings = ClassifierSettings { width: *width, beta: *beta, least: *least, seed: *seed };
                let trained = Classifier::train(file.as_deref().map(Path::new), &settings, space);
                return match trained {
                    Ok(classifier) => Ok(Arc::new(classifier)),
                    // A problem of the file names the file; one of a key, the key.
                    Err(Error::Input(problem)) if KEYS.contains(&problem.place()) => {
                        Err(inside(place, *problem).into())
                    }
                    Err(other) => Err(other),
                };
            }
            Self::Regressor(regressor) => return Ok(Arc::new(regressor.build(place, space)?)),
            Self::Preference { rewards, combination, beta } => {
                let part =
                    |(k, reward): (usize, &Self)| reward.build_at(&format!("{place}.rewards.{k}"), space);
                let parts = rewards.iter().enumerate().map(part).collect::<Result<_>>()?;
                shared(Preference::new(parts, *combination, (*beta).into()))
            }
            Self::Tempered { reward, beta } => {
                let part = reward.build_at(&format!("{place}.reward"), space)?;
                shared(Tempered::new(part, (*beta).into()))
            }
            Self::Gamble { reward, probability, factor } => {
                let part = reward.build_at(&format!("{place}.reward"), space)?;
                let formula = Expression::log_reward("probability", probability, shape.cells());
                formula.and_then(|formula| shared(Gamble::new(part, formula, *factor)))
            }
            Self::Entropic { reward, scale } => {
                let part = reward.build_at(&format!("{place}.reward"), space)?;
                shared(Entropic::new(part, *scale, space.describe.clone()))
            }
        };
        Ok(built.map_err(|problem| inside(place, problem))?)
    }

    fn ising(&self, shape: &Shape) -> Built {
        let Self::Ising { alpha, lattice, coupling, matrix, field } = self else {
            unreachable!("an Ising reward")
        };
        let spins = shape.slots(2).ok_or_else(|| misfit(shape, "words of two letters, all of one length"))?;
        let field = match field[..] {
            [] => vec![0.0; spins],
            [h] => vec![h; spins],
            _ if field.len() == spins => field.clone(),
            _ => {
                let found = format!("{} numbers for {spins} spins", field.len());
                return Err(Problem::new("field", found).allowed("one per spin, one for all, or none"));
            }
        };
        exactly_one(&[("lattice", lattice.is_some()), ("matrix", matrix.is_some())])?;
        let Some(lattice) = lattice else {
            if coupling.is_some() {
                return Err(Problem::new("coupling", "one beside a matrix").allowed("one for a lattice"));
            }
            let rows = matrix.as_deref().unwrap_or_default();
            if let Some((i, row)) = rows.iter().enumerate().find(|(_, row)| row.len() != spins) {
                let found = format!("{} numbers for {spins} spins", row.len());
                return Err(Problem::new(format!("matrix.{i}"), found).allowed("one per spin"));
            }
            return shared(Ising::new(*alpha, &rows.concat(), &field));
        };
        let sigma = coupling.ok_or_else(|| Problem::new("coupling", "none").allowed("that of neighbours"))?;
        match lattice {
            LatticeName::Ring => shared(Ising::ring(*alpha, sigma, &field)),
            LatticeName::Torus => {
                let side = spins.isqrt();
                if side * side != spins {
                    let found = format!("a torus of {spins} spins");
                    return Err(Problem::new("lattice", found).allowed("a square number of spins"));
                }
                shared(Ising::torus(side, *alpha, sigma, &field))
            }
        }
    }

    fn planted_modes(&self, shape: &Shape) -> Built {
        let Self::PlantedModes { count, seed, modes, beta, temperature, near } = self else {
            unreachable!("planted modes")
        };
        let word = (1..=15).find(|word| shape.slots(1 << word).is_some());
        let wanted = "words of one length out of 2, 4, 8, ... letters";
        let word = word.ok_or_else(|| misfit(shape, wanted))?;
        let bits = shape.cells() * word;
        if beta.is_some() && temperature.is_some() {
            return Err(Problem::new("beta", "both it and a temperature").allowed("one of them"));
        }
        beta.map_or(Ok(()), |beta| within("beta", beta, LEAST, LARGEST))?;
        temperature.map_or(Ok(()), |temperature| within("temperature", temperature, LEAST, LARGEST))?;
        let weight = temperature.map_or(beta.unwrap_or(DEFAULT_BETA) / bits as f64, |t| 1.0 / t);
        let drawn = if modes.is_empty() {
            PlantedModes::draw(bits, *count, &Noise::new(*seed, Purpose::Target))?
        } else {
            modes.clone()
        };
        if let Some(mode) = drawn.iter().find(|mode| mode.chars().count() != bits) {
            let found = format!("a mode of {} bits", mode.chars().count());
            return Err(Problem::new("modes", found).allowed(format!("{bits} bits, as the objects have")));
        }
        shared(PlantedModes::new(&drawn, word, weight, near.unwrap_or(bits / 4)))
    }
}

impl ProcessRecipe {
    /// The program, not started yet; `place` is where the recipe names it. Without `describe` it reads points.
    ///
    /// # Errors
    /// If a value is not allowed.
    pub(in crate::target) fn build<C: Number>(
        &self,
        place: &str,
        describe: Option<Describe<C>>,
    ) -> Result<Process<C>, Problem> {
        within("timeout", self.timeout, 1e-3, 1e6)?;
        within("conditions", self.conditions as f64, 0.0, 65535.0)?;
        self.failed.map_or(Ok(()), |failed| within("failed", failed, -LARGEST, LARGEST))?;
        known_log_z(self.log_z, self.conditions)?;
        let settings = ProcessSettings {
            command: self.command.clone(),
            timeout: Duration::from_secs_f64(self.timeout),
            restarts: self.restarts,
            failed: self.failed,
            conditions: self.conditions,
            partial: self.partial,
            gradients: self.gradients,
            log_z: self.log_z,
            place: place.to_owned(),
        };
        Process::new(settings, describe)
    }

    fn over_objects(&self, place: &str, space: &Space<'_>) -> Built {
        let of_points = [("gradients", self.gradients), ("dimension", self.dimension.is_some())];
        if let Some((key, _)) = of_points.into_iter().find(|(_, given)| *given) {
            let found = "it, over objects that are no points";
            return Err(Problem::new(key, found).allowed("neither gradients nor dimension"));
        }
        shared(self.build(place, Some(space.describe.clone())))
    }
}

/// Checks a `log Z` that the user knows.
pub(in crate::target) fn known_log_z(log_z: Option<f64>, conditions: usize) -> Result<(), Problem> {
    if log_z.is_some() && conditions > 0 {
        let found = "one number, where the target depends on a condition";
        return Err(Problem::new("log_z", found).allowed("none, or no condition"));
    }
    log_z.map_or(Ok(()), |log_z| within("log_z", log_z, -LARGEST, LARGEST))
}

/// The formula of `log R`, or of `R`, over so many cells.
///
/// # Errors
/// If not one of them is given, or it is no formula.
pub(in crate::target) fn formula(
    log_reward: Option<&str>,
    reward: Option<&str>,
    cells: usize,
) -> Result<Expression, Problem> {
    exactly_one(&[("log_reward", log_reward.is_some()), ("reward", reward.is_some())])?;
    match log_reward {
        Some(text) => Expression::log_reward("log_reward", text, cells),
        None => Expression::reward("reward", reward.unwrap_or_default(), cells),
    }
}

fn shared<R: Target<Cell> + 'static>(reward: Result<R, Problem>) -> Built {
    reward.map(|reward| Arc::new(reward) as Arc<dyn Target<Cell>>)
}

/// The problem of a key in the target at `place`, or of the target itself.
pub(crate) fn inside(place: &str, problem: Problem) -> Problem {
    let key = format!("{place}.{}", problem.place());
    problem.at(key.trim_end_matches('.'))
}

/// The problem of a reward for other objects.
fn misfit(shape: &Shape, wanted: &str) -> Problem {
    Problem::new("kind", format!("this reward for {}", shape.name()))
        .allowed(format!("{wanted}, or another reward"))
}

/// Exactly one of two keys is to be given.
fn exactly_one([(one, first), (other, second)]: &[(&str, bool); 2]) -> Result<(), Problem> {
    let found = match (first, second) {
        (true, true) => "both",
        (false, false) => "none",
        _ => return Ok(()),
    };
    Err(Problem::new(format!("{one} or {other}"), found).allowed("exactly one of them"))
}

fn grid(shape: &Shape) -> Result<(usize, usize), Problem> {
    match shape {
        Shape::Grid { dim, side } => Ok((*dim, *side)),
        _ => Err(misfit(shape, "points of a grid")),
    }
}

fn landscape(neighbours: usize, beta: f64, seed: u64, shape: &Shape) -> Built {
    match shape {
        Shape::Strings { letters, lengths } if lengths.start() == lengths.end() => {
            shared(Landscape::draw(*letters, *lengths.end(), neighbours, beta, seed))
        }
        _ => Err(misfit(shape, "words of one length")),
    }
}

fn counting(shape: &Shape) -> Result<Counting, Problem> {
    Counting::of(shape)
        .ok_or_else(|| misfit(shape, "sets, multisets, or words of two letters, all of one length"))
}

/// Refuses a list that has not a number for each item.
fn per_item(key: &str, numbers: usize, shape: &Shape) -> Result<(), Problem> {
    let items = shape.cells();
    if numbers == items {
        return Ok(());
    }
    Err(Problem::new(key, format!("{numbers} numbers")).allowed(format!("{items}, one for each item")))
}

fn items(weights: &[f64], log_weights: &[f64], shape: &Shape) -> Built {
    let counting = counting(shape)?;
    exactly_one(&[("weights", !weights.is_empty()), ("log_weights", !log_weights.is_empty())])?;
    if log_weights.is_empty() {
        per_item("weights", weights.len(), shape)?;
        weights.iter().try_for_each(|weight| within("weights", *weight, LEAST, LARGEST))?;
        return shared(Items::new(weights.iter().map(|weight| weight.ln()).collect(), counting));
    }
    per_item("log_weights", log_weights.len(), shape)?;
    shared(Items::new(log_weights.to_vec(), counting))
}

fn additive(energies: &[Vec<f64>], beta: f64, shape: &Shape) -> Built {
    let counting = counting(shape)?;
    let reward = AdditiveEnergies::new(energies, beta, counting)?;
    per_item("energies.0", energies[0].len(), shape)?;
    shared(Ok(reward))
}

#[cfg(test)]
mod tests;
