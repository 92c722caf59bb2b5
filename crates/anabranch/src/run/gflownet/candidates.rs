//! Objects to be measured next, where the reward is a regressor: what the flow network draws, ranked by the acquisition.
//!
//! ```text
//! top        the different draws of the highest acquisition
//! diverse    greedily by it: the next one that is at least `distance` from all before and has no score yet
//! novelty    the distance to the nearest object of the table
//! ```
//!
//! Where too few draws keep the distance, the rest of the diverse ones keep one less, and so on.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::drawn;
use crate::chain::Given;
use crate::data::write_records;
use crate::environment::{Cell, Environment, mean_distance, spread_out};
use crate::error::Result;
use crate::estimate::trajectories::log_likelihoods;
use crate::policy::{Actions, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::{CandidatesRecipe, FlowTask};
use crate::rng::Purpose;
use crate::run::{Observer, watched};
use crate::target::{Prediction, Regressor};
use crate::train::Trained;

/// Ways back from each candidate, by which its log-probability is estimated.
const WAYS: usize = 64;

/// Different draws of a flow network with what is predicted of them, the highest acquisition first.
pub(crate) struct Pool<'a> {
    regressor: &'a Regressor,
    environment: &'a dyn Environment,
    /// `[count, cells]`.
    objects: Vec<Cell>,
    predictions: Vec<Prediction>,
    /// The score of each, where it is known.
    scores: Vec<Option<f64>>,
}

impl<'a> Pool<'a> {
    /// Draws of a trained flow network, of which the first are the run's samples; none where the reward is no regressor, or depends on a
    /// condition.
    pub fn draw(
        plan: &GFlowNetPlan,
        task: &'a FlowTask<Actions>,
        trained: &Trained,
        observer: &dyn Observer,
    ) -> Result<Option<Self>> {
        let Some(regressor) = task.reward.regressor() else { return Ok(None) };
        if !plan.recipe.conditions.is_empty() || task.inner.is_some() {
            return Ok(None);
        }
        let count = plan.candidates().draws;
        let seen = watched(observer, "candidates", count);
        let objects = drawn(task, trained, count, &Given::nothing(), &plan.sampling_noise(), &seen)?.objects;
        Ok(Some(Self::of(regressor, task.objects().as_ref(), &objects)))
    }

    /// The different ones of `objects`, `[count, cells]`.
    fn of(regressor: &'a Regressor, environment: &'a dyn Environment, objects: &[Cell]) -> Self {
        let cells = regressor.table().cells;
        let mut known = HashSet::new();
        let different: Vec<&[Cell]> =
            objects.chunks_exact(cells).filter(|object| known.insert(*object)).collect();
        let predicted = regressor.predict(&different.concat());
        let mut order: Vec<usize> = (0..different.len()).collect();
        // Of equal ones the first in the order of their cells: the order of draws decides nothing.
        order.sort_by(|a, b| {
            let acquisition = |place: &usize| predicted[*place].acquisition;
            acquisition(b).total_cmp(&acquisition(a)).then(different[*a].cmp(different[*b]))
        });
        let places = regressor.table().places();
        let score = |place: &usize| Some(regressor.table().scores[*places.get(different[*place])?]);
        let scores = order.iter().map(score).collect();
        let predictions = order.iter().map(|place| predicted[*place]).collect();
        let objects = order.iter().flat_map(|place| different[*place].iter().copied()).collect();
        Self { regressor, environment, objects, predictions, scores }
    }

    fn len(&self) -> usize {
        self.predictions.len()
    }

    fn objects(&self) -> Vec<&[Cell]> {
        self.objects.chunks_exact(self.regressor.table().cells).collect()
    }

    /// The object at a place.
    pub fn object(&self, place: usize) -> &[Cell] {
        let cells = self.regressor.table().cells;
        &self.objects[place * cells..][..cells]
    }

    /// What is predicted of each, the highest acquisition first.
    pub fn predictions(&self) -> &[Prediction] {
        &self.predictions
    }

    /// The places of those that have no score yet.
    fn unknown(&self) -> Vec<usize> {
        (0..self.len()).filter(|place| self.scores[*place].is_none()).collect()
    }

    /// Places, at most `count`, of those without a score that keep the distance, however few.
    pub fn apart(&self, count: usize, distance: usize) -> Vec<usize> {
        spread_out(self.environment, &self.objects(), &self.unknown(), count, distance)
    }

    /// Places, `count` of those without a score if there are so many, that keep the distance as far as they can.
    pub fn diverse(&self, count: usize, distance: usize) -> Vec<usize> {
        let wanted = count.min(self.unknown().len());
        let mut least = distance;
        loop {
            let found = self.apart(count, least);
            if found.len() >= wanted || least <= 1 {
                return found;
            }
            least -= 1;
        }
    }

    /// The mean predicted score of places, and their mean distance from each other.
    pub fn quality(&self, places: &[usize]) -> (f64, f64) {
        let objects = self.objects();
        let chosen: Vec<&[Cell]> = places.iter().map(|place| objects[*place]).collect();
        let mean = places.iter().map(|place| self.predictions[*place].mean).sum::<f64>();
        (mean / places.len().max(1) as f64, mean_distance(self.environment, &chosen))
    }
}

/// An object to be measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    /// Its cells.
    pub object: Vec<Cell>,
    /// What is predicted of it.
    pub prediction: Prediction,
    /// `log P_T(x)`, a lower bound on average, nats.
    pub log_p: f64,
    /// The distance to the nearest object of the table.
    pub novelty: usize,
    /// Its score, where it is known.
    pub score: Option<f64>,
    /// Its rank among the top ones, from 1.
    pub top: Option<usize>,
    /// Its rank among the diverse ones, from 1.
    pub diverse: Option<usize>,
}

/// The top and the diverse ones of a pool, the highest acquisition first.
pub(crate) fn candidates(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    pool: &Pool<'_>,
    observer: &dyn Observer,
) -> Result<Vec<Candidate>> {
    let CandidatesRecipe { count, distance, .. } = plan.candidates();
    let (objects, table) = (pool.objects(), pool.regressor.table());
    let diverse = pool.diverse(count, distance);
    let rank = |place: usize| diverse.iter().position(|chosen| *chosen == place).map(|rank| rank + 1);
    let chosen: Vec<usize> =
        (0..pool.len()).filter(|place| *place < count || rank(*place).is_some()).collect();
    let cells: Vec<Cell> = chosen.iter().flat_map(|place| objects[*place].iter().copied()).collect();
    let evaluator = task.model.network.with(&trained.vectors[0]);
    let noise = plan.evaluation_noise().purpose(Purpose::Backward);
    let seen = watched(observer, "ways back", chosen.len() * WAYS);
    let log_p = log_likelihoods(&task.model.policy, evaluator.as_ref(), &cells, WAYS, &noise, &seen)?;
    let novelty = |object: &[Cell]| {
        let distances = (0..table.len()).map(|row| pool.environment.distance(object, table.object(row)));
        distances.min().unwrap_or(0)
    };
    let candidate = |(place, log_p): (usize, f64)| Candidate {
        object: objects[place].to_vec(),
        prediction: pool.predictions[place],
        log_p,
        novelty: novelty(objects[place]),
        score: pool.scores[place],
        top: (place < count).then_some(place + 1),
        diverse: rank(place),
    };
    Ok(chosen.into_iter().zip(log_p).map(candidate).collect())
}

/// The header of `candidates.csv`.
const HEADER: &str = "object,mean,sd,acquisition,log_p,novelty,score,top,diverse";

/// Writes `candidates.csv`, and says what they come to.
pub(super) fn evaluate(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    directory: &Path,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let Some(pool) = Pool::draw(plan, task, trained, observer)? else { return Ok(()) };
    let found = candidates(plan, task, trained, &pool, observer)?;
    let or_none = |value: Option<String>| value.unwrap_or_default();
    let rows = found.iter().map(|candidate| {
        let Prediction { mean, sd, acquisition } = candidate.prediction;
        vec![
            task.model.policy.describe(&candidate.object),
            mean.to_string(),
            sd.to_string(),
            acquisition.to_string(),
            candidate.log_p.to_string(),
            candidate.novelty.to_string(),
            or_none(candidate.score.map(|score| score.to_string())),
            or_none(candidate.top.map(|rank| rank.to_string())),
            or_none(candidate.diverse.map(|rank| rank.to_string())),
        ]
    });
    write_records(&directory.join("candidates.csv"), HEADER, rows)?;
    let CandidatesRecipe { count, distance, .. } = plan.candidates();
    let top: Vec<usize> = (0..count.min(pool.len())).collect();
    let known = top.iter().filter(|place| pool.scores[**place].is_some()).count();
    let (top_mean, top_distance) = pool.quality(&top);
    let (diverse_mean, diverse_distance) = pool.quality(&pool.diverse(count, distance));
    for (name, value) in [
        ("top_predicted", top_mean),
        ("top_distance", top_distance),
        ("top_known", known as f64 / top.len().max(1) as f64),
        ("diverse_predicted", diverse_mean),
        ("diverse_distance", diverse_distance),
    ] {
        metrics.insert(name.to_owned(), json!(value));
    }
    Ok(())
}
