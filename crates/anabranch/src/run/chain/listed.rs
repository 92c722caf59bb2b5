//! How far a model's law is from its target's, state by state, where all of these can be listed.
//!
//! ```text
//! tv          (sum over the target's states |p - q| + the model's mass elsewhere) / 2
//! tv_samples  the same of the shares p of samples; tv_floor its mean for as many exact ones
//! ```
//!
//! `p` is known of a model whose likelihood is exact, of an energy whose log Z is, and of a jump process with few states, whose chain is gone
//! through.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::super::{Observer, watched};
use crate::chain::Given;
use crate::error::{Error, Failure, Result};
use crate::estimate::likelihood::{Bound, row_nlls_observed, values};
use crate::metric::distribution::noise_floor;
use crate::model::Model;
use crate::recipe::{ChainPlan, ListedLaw, TargetData};

/// Half of what the masses of listed states differ by, and of the mass `p` that lies elsewhere.
fn total_variation(log_p: &[f64], log_q: &[f64]) -> f64 {
    let masses = || log_p.iter().zip(log_q).map(|(log_p, log_q)| (log_p.exp(), log_q.exp()));
    let elsewhere = (1.0 - masses().map(|(p, _)| p).sum::<f64>()).max(0.0);
    0.5 * (masses().map(|(p, q)| (p - q).abs()).sum::<f64>() + elsewhere)
}

/// The law of the target, where its states can be listed.
fn law(plan: &ChainPlan) -> Result<Option<ListedLaw>> {
    match &plan.data {
        TargetData::Rows(_) if plan.condition.width() > 0 => Ok(None),
        TargetData::Rows(_) => Ok(plan.recipe.target.rows().and_then(|rows| rows.law())),
        TargetData::Energy(energy) => {
            let (levels, dimension) = (plan.recipe.target.levels() as usize, plan.dimension());
            let states = ListedLaw::states(&vec![levels; dimension]).filter(|_| levels > 0);
            let known = energy.log_z(&[]).filter(|_| plan.condition.width() == 0 && plan.prior.is_none());
            let (Some(states), Some(log_z)) = (states, known) else { return Ok(None) };
            let mut log_q = vec![f64::NEG_INFINITY; states.len() / dimension];
            energy.log_rewards(&states, &[], &mut log_q).map_err(Failure::into_error)?;
            log_q.iter_mut().for_each(|log_q| *log_q -= log_z);
            Ok(Some(ListedLaw { states, log_q }))
        }
    }
}

/// `log p` of the states of a law, where the model knows it.
fn log_masses(
    plan: &ChainPlan,
    model: &Model,
    law: &ListedLaw,
    observer: &dyn Observer,
) -> Result<Option<Vec<f64>>> {
    let segment = &model.segments()[0];
    if let Some(annealed) = segment.as_energy() {
        let energy = annealed.energy();
        let Some(exact) = energy.exact() else { return Ok(None) };
        let states: Vec<u8> = law.states.iter().map(|value| *value as u8).collect();
        let mut log_p = vec![0.0; law.log_q.len()];
        energy.log_density(&states, &mut log_p);
        log_p.iter_mut().for_each(|log_p| *log_p -= exact.log_z());
        return Ok(Some(log_p));
    }
    if segment.is_exact() {
        let (given, noise) = (Given::nothing(), plan.evaluation_noise());
        let seen = watched(observer, "all states", law.log_q.len());
        let found = row_nlls_observed(model, &law.states, &given, Bound::Lower(1), &noise, &seen);
        let found = found.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
        return Ok(Some(values(&found).into_iter().map(|nll| -nll).collect()));
    }
    Ok(segment.listed_law(&law.states))
}

/// How far the model and its `samples` are from the target, in all states of it.
pub(super) fn distances(
    plan: &ChainPlan,
    model: &Model,
    samples: &[f32],
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let Some(law) = law(plan)? else { return Ok(()) };
    // Of a chain that draws otherwise than it was trained, its own law.
    let drawing = plan.recipe.sampler.model(model);
    if let Some(log_p) = log_masses(plan, &drawing, &law, observer)? {
        metrics.insert("tv".to_owned(), json!(total_variation(&log_p, &law.log_q)));
    }
    let dimension = plan.dimension();
    let bits = |row: &[f32]| -> Vec<u32> { row.iter().map(|value| value.to_bits()).collect() };
    let mut counts: HashMap<Vec<u32>, u64> = HashMap::new();
    samples.chunks_exact(dimension).for_each(|row| *counts.entry(bits(row)).or_default() += 1);
    let count = (samples.len() / dimension) as f64;
    let share = |row| counts.get(&bits(row)).map_or(f64::NEG_INFINITY, |times| (*times as f64 / count).ln());
    let shares: Vec<f64> = law.states.chunks_exact(dimension).map(share).collect();
    metrics.insert("tv_samples".to_owned(), json!(total_variation(&shares, &law.log_q)));
    metrics.insert("tv_floor".to_owned(), json!(noise_floor(&law.log_q, count as u64)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mass_elsewhere_counts() {
        let logs = |masses: &[f64]| masses.iter().map(|mass| mass.ln()).collect::<Vec<f64>>();
        assert!(total_variation(&logs(&[0.25, 0.75]), &logs(&[0.25, 0.75])) < 1e-15);
        // |.2 - .5| + |.3 - .5| and .5 elsewhere.
        assert!((total_variation(&logs(&[0.2, 0.3]), &logs(&[0.5, 0.5])) - 0.5).abs() < 1e-15);
        assert_eq!(total_variation(&logs(&[0.0, 0.0]), &logs(&[0.5, 0.5])), 1.0);
    }
}
