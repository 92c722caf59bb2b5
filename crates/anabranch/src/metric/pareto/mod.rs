//! Sets of points in several objectives, all to be maximised.
//!
//! `a` dominates `b` if it is as large in every objective and larger in one. For a set A, a reference front Z and an ideal
//! point u at least as large as all of A:
//!
//! ```text
//! hypervolume  volume of the union over a in A of the boxes [r, a], r the reference point      larger is better
//! IGD          mean_z min_a |z - a|                                                            smaller
//! IGD+         mean_z min_a |max(z - a, 0)|, what is missing only                              smaller
//! R2           mean_w min_a max_k w_k |u_k - a_k|, weighted Tchebycheff utilities              smaller
//! PC-entropy   -sum_z c_z log c_z, c_z the share of A nearest to z                             larger, at most log |Z|
//! ```
//!
//! Points outside of the box above the reference point, dominated and repeated ones add nothing to the hypervolume. Papers
//! that minimise have the same numbers for negated objectives.
//!
//! Zitzler and Thiele (1998) for the hypervolume; Coello Coello and Reyes Sierra (2004) and Ishibuchi et al. (2015) for IGD
//! and IGD+; Brockhoff, Wagner and Trautmann, "On the properties of the R2 indicator" (2012), definition 3; Roy et al.,
//! "Goal-conditioned GFlowNets for controllable multi-objective molecular design" (2023), for the entropy of Pareto
//! clusters, which Jain et al., "Multi-objective GFlowNets" (2023), compare by.

mod hypervolume;

use crate::error::{Problem, Result};

/// Points in several objectives, `[points, objectives]`, larger being better.
#[derive(Debug, Clone, PartialEq)]
pub struct Front {
    objectives: usize,
    values: Vec<f64>,
}

impl Front {
    /// From a row-major `[points, objectives]` array.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if rows are not whole, or a value is not finite.
    pub fn new(values: Vec<f64>, objectives: usize) -> Result<Self> {
        if objectives == 0 || !values.len().is_multiple_of(objectives) {
            let found = format!("{} values", values.len());
            return Err(Problem::new("points", found)
                .allowed(format!("rows of {objectives}, at least 1"))
                .into());
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let place = format!("objective {} of point {}", at % objectives, at / objectives);
            return Err(Problem::new(place, values[at].to_string()).allowed("finite numbers").into());
        }
        Ok(Self { objectives, values })
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.objectives
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many objectives there are.
    pub fn objectives(&self) -> usize {
        self.objectives
    }

    /// The points, one row each.
    pub fn points(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.objectives)
    }

    /// The numbers, ascending, of the points that no other dominates; of equal points the first.
    pub fn non_dominated(&self) -> Vec<usize> {
        let points: Vec<&[f64]> = self.points().collect();
        let mut order: Vec<usize> = (0..points.len()).collect();
        // Whatever dominates a point comes before it, and so do equal points of lower number.
        order.sort_by(|a, b| descending(points[*a], points[*b]));
        let mut front: Vec<usize> = Vec::new();
        for i in order {
            if !front.iter().any(|j| covers(points[*j], points[i])) {
                front.push(i);
            }
        }
        front.sort_unstable();
        front
    }

    /// The points that no other dominates, each once.
    pub fn pareto(&self) -> Self {
        let kept = self.non_dominated();
        let points: Vec<&[f64]> = self.points().collect();
        let values = kept.iter().flat_map(|i| points[*i].iter().copied()).collect();
        Self { objectives: self.objectives, values }
    }

    /// The exact hypervolume above a reference point `[objectives]`: 0 for no points.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if the reference point has another number of objectives or is not finite.
    pub fn hypervolume(&self, reference: &[f64]) -> Result<f64> {
        self.same_objectives("reference point", reference)?;
        let above = self.points().filter(|point| point.iter().zip(reference).all(|(a, r)| a > r));
        let points = above.map(|point| point.iter().zip(reference).map(|(a, r)| a - r).collect()).collect();
        Ok(hypervolume::volume(points, self.objectives))
    }

    /// Inverted generational distance from a reference front.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if either has no points, or another number of objectives.
    pub fn igd(&self, reference: &Self) -> Result<f64> {
        self.mean_of_nearest(reference, |z, a| z - a)
    }

    /// IGD+, which counts only what a point is smaller by; weakly Pareto compliant.
    ///
    /// # Errors
    /// As [`Front::igd`].
    pub fn igd_plus(&self, reference: &Self) -> Result<f64> {
        self.mean_of_nearest(reference, |z, a| (z - a).max(0.0))
    }

    fn mean_of_nearest(&self, reference: &Self, difference: impl Fn(f64, f64) -> f64) -> Result<f64> {
        self.comparable(reference)?;
        let distance = |z: &[f64], a: &[f64]| -> f64 {
            z.iter().zip(a).map(|(z, a)| difference(*z, *a).powi(2)).sum::<f64>().sqrt()
        };
        let nearest = |z: &[f64]| self.points().map(|a| distance(z, a)).fold(f64::INFINITY, f64::min);
        Ok(reference.points().map(nearest).sum::<f64>() / reference.len() as f64)
    }

    /// The R2 indicator for weights `[weights, objectives]` (any scale, none negative) and an ideal point `[objectives]`.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if there are no points or no weights, if shapes differ, or if a weight is
    /// negative.
    pub fn r2(&self, weights: &Self, ideal: &[f64]) -> Result<f64> {
        self.comparable(weights)?;
        self.same_objectives("ideal point", ideal)?;
        if let Some(weight) = weights.values.iter().find(|weight| **weight < 0.0) {
            return Err(Problem::new("weights", weight.to_string()).allowed("0 or more").into());
        }
        let utility = |w: &[f64], a: &[f64]| {
            let terms = w.iter().zip(ideal).zip(a).map(|((w, u), a)| w * (u - a).abs());
            terms.fold(0.0, f64::max)
        };
        let best = |w: &[f64]| self.points().map(|a| utility(w, a)).fold(f64::INFINITY, f64::min);
        Ok(weights.points().map(best).sum::<f64>() / weights.len() as f64)
    }

    /// The entropy of how points fall to their nearest ones of a reference front, nats; of equally near ones to the first.
    ///
    /// # Errors
    /// As [`Front::igd`].
    pub fn pareto_cluster_entropy(&self, reference: &Self) -> Result<f64> {
        self.comparable(reference)?;
        let mut counts = vec![0usize; reference.len()];
        for a in self.points() {
            let squared = |z: &[f64]| z.iter().zip(a).map(|(z, a)| (z - a).powi(2)).sum::<f64>();
            let nearest = reference.points().map(squared).enumerate().min_by(|(_, x), (_, y)| x.total_cmp(y));
            counts[nearest.expect("the front has points").0] += 1;
        }
        let shares = counts.iter().filter(|count| **count > 0).map(|count| *count as f64 / self.len() as f64);
        // Not -0 for a single cluster.
        Ok(0.0 - shares.map(|share| share * share.ln()).sum::<f64>())
    }

    fn comparable(&self, other: &Self) -> Result<()> {
        for (place, points) in [("points", self), ("reference", other)] {
            if points.is_empty() {
                return Err(Problem::new(place, "no points").allowed("at least 1").into());
            }
        }
        if self.objectives != other.objectives {
            return Err(Problem::new("reference", format!("{} objectives", other.objectives))
                .allowed(format!("as many as the points have, {}", self.objectives))
                .into());
        }
        Ok(())
    }

    fn same_objectives(&self, place: &str, point: &[f64]) -> Result<()> {
        if point.len() != self.objectives || point.iter().any(|value| !value.is_finite()) {
            return Err(Problem::new(place, format!("{point:?}"))
                .allowed(format!("{} finite numbers", self.objectives))
                .into());
        }
        Ok(())
    }
}

/// Whether `a` is as large as `b` in every objective.
fn covers(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a >= b)
}

/// Lexicographic, the largest first; zeros of either sign are equal.
fn descending(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    b.partial_cmp(a).expect("objectives are finite")
}

#[cfg(test)]
mod tests;
