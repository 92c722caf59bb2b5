//! The densities on the way from the base to the target.
//!
//! ```text
//! geometric   log gamma_b(x) = (1 - b) log q(x) + b log R(x)
//! linear      log gamma_b(x) = log((1 - b) q(x) + b R(x))
//! ```

use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::base::{Base, Numbers};
use super::flowing::{Flowing, column};
use crate::array::weights::{matrix, to_vec};
use crate::chain::{Between, Given, LogWeight, State, double};
use crate::error::{Failure, Problem};
use crate::kernel::mcmc::LogDensity;
use crate::target::{Target, log_density, score};

/// Which densities lie on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// `q^(1 - b) R^b`.
    #[default]
    Geometric,
    /// `(1 - b) q + b R`.
    Linear,
}

/// One of the densities.
pub struct Level<'a> {
    base: &'a Base,
    numbers: Numbers,
    /// What the path begins at in place of the base.
    flow: Option<&'a Flowing>,
    target: &'a Arc<dyn Target>,
    path: PathKind,
    place: f64,
    /// The place on the tape, `[1]`, where it is learned.
    learned: Option<LogWeight>,
}

impl<'a> Level<'a> {
    /// The density at `place`, from 0 (the base) to 1 (the target); `learned` is the same number on a tape, `[1]`.
    pub fn new(
        base: &'a Base,
        target: &'a Arc<dyn Target>,
        path: PathKind,
        place: f64,
        learned: Option<Tensor<1>>,
    ) -> Self {
        Self {
            base,
            numbers: base.numbers(),
            flow: None,
            target,
            path,
            place,
            learned: learned.filter(|_| place < 1.0).map(double),
        }
    }

    /// On the path from a flow in place of the base.
    pub fn from_flow(self, flow: Option<&'a Flowing>) -> Self {
        Self { flow, ..self }
    }

    /// `log q` of points, `[batch, dimension]`, nats, at the beginning of the path.
    fn log_base(&self, points: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        match self.flow {
            Some(flow) => flow.log_density(points, out, None),
            None => {
                self.numbers.log_densities(points, |row, log_q| out[row] = log_q);
                Ok(())
            }
        }
    }

    /// Replaces `log R` and its scores by those of the density, with a flow at the beginning.
    fn mix_with_flow(
        &self,
        flow: &Flowing,
        points: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        let columns = points.len() / out.len().max(1);
        let (mut log_q, mut of_flow) = (vec![0.0; out.len()], vec![0.0; scores.len()]);
        flow.log_density(points, &mut log_q, Some(&mut of_flow))?;
        let rows = scores.chunks_exact_mut(columns).zip(of_flow.chunks_exact(columns));
        for ((out, log_q), (scores, of_flow)) in out.iter_mut().zip(log_q).zip(rows) {
            let (value, [of_base, of_target]) = self.mixed(finite(log_q), *out);
            *out = value;
            scores.iter_mut().zip(of_flow).for_each(|(s, own)| *s = of_base * own + of_target * *s);
        }
        Ok(())
    }

    /// That nothing is differentiated through a density with a flow at its beginning.
    fn refuse_tape(&self) -> Result<(), Failure> {
        match self.flow {
            None => Ok(()),
            Some(_) => Err(Problem::new(
                "path",
                "a density between a run and a target, whose score has no derivative",
            )
            .allowed("it where nothing is differentiated")
            .into()),
        }
    }

    /// `log gamma` and its score from those of base and target, on the tape.
    pub(super) fn joined(
        &self,
        [q, r]: [LogWeight; 2],
        scores: Option<[State; 2]>,
    ) -> (LogWeight, Option<State>) {
        let device = q.device();
        let place = self.learned.clone().unwrap_or_else(|| {
            Tensor::from_data(TensorData::new(vec![self.place], [1]), (&device, DType::F64))
        });
        let rest = -place.clone() + 1.0;
        let single = |values: LogWeight| values.cast(burn::tensor::FloatDType::F32).unsqueeze_dim::<2>(1);
        match self.path {
            PathKind::Geometric => {
                let log_density = q * rest.clone() + r * place.clone();
                let score =
                    scores.map(|[of_base, of_target]| of_base * single(rest) + of_target * single(place));
                (log_density, score)
            }
            PathKind::Linear => {
                let (q, r) = (q + rest.log(), r + place.log());
                let largest = q.clone().max_pair(r.clone()).detach();
                let sum = ((q.clone() - largest.clone()).exp() + (r - largest.clone()).exp()).log() + largest;
                let score = scores.map(|[of_base, of_target]| {
                    let share = single((q - sum.clone()).exp());
                    of_base * share.clone() + of_target * (-share + 1.0)
                });
                (sum, score)
            }
        }
    }
}

/// Where a flow's density is no number nobody goes.
fn finite(log_q: f64) -> f64 {
    if log_q.is_finite() { log_q } else { f64::NEG_INFINITY }
}

impl LogDensity for Level<'_> {
    fn evaluate(
        &self,
        points: &[f32],
        given: &Given,
        out: &mut [f64],
        scores: Option<&mut [f64]>,
    ) -> Result<(), Failure> {
        let rows = out.len();
        let d = points.len() / rows.max(1);
        let conditions = given.each(rows);
        let Some(scores) = scores else {
            self.target.log_rewards(points, &conditions, out)?;
            if self.flow.is_none() {
                self.numbers.log_densities(points, |row, log_q| out[row] = self.mixed(log_q, out[row]).0);
                return Ok(());
            }
            let mut log_q = vec![0.0; rows];
            self.log_base(points, &mut log_q)?;
            out.iter_mut().zip(log_q).for_each(|(out, log_q)| *out = self.mixed(finite(log_q), *out).0);
            return Ok(());
        };
        self.target.log_rewards_with_scores(points, &conditions, out, scores)?;
        if let Some(flow) = self.flow {
            return self.mix_with_flow(flow, points, out, scores);
        }
        match self.path {
            PathKind::Geometric => {
                let [rest, place] = [1.0 - self.place, self.place];
                let join = |row: usize, log_q: f64| out[row] = rest * log_q + place * out[row];
                self.numbers.mix_rows(points, scores, [rest, place], join);
            }
            PathKind::Linear => {
                let each = out.iter_mut().zip(scores.chunks_exact_mut(d)).zip(points.chunks_exact(d));
                for ((out, scores), x) in each {
                    let (value, shares) = self.mixed(self.numbers.log_density(x), *out);
                    self.numbers.mix(x, scores, shares);
                    *out = value;
                }
            }
        }
        Ok(())
    }

    fn log_density(&self, x: &State, given: &Given) -> Result<LogWeight, Failure> {
        if !x.is_tracked() && self.learned.is_none() && !self.base.is_tracked() {
            let rows = x.dims()[0];
            let mut out = vec![0.0; rows];
            self.evaluate(&to_vec(x.clone()), given, &mut out, None)?;
            return Ok(Tensor::from_data(TensorData::new(out, [rows]), (&x.device(), DType::F64)));
        }
        self.refuse_tape()?;
        let of_target = log_density(self.target.as_ref(), x, given)?;
        Ok(self.joined([self.base.with_score(x).0, of_target], None).0)
    }

    fn with_score(&self, x: &State, given: &Given) -> Result<(LogWeight, State), Failure> {
        if self.flow.is_some() && !x.is_tracked() {
            let [rows, columns] = x.dims();
            let (mut out, mut scores) = (vec![0.0; rows], vec![0.0; rows * columns]);
            self.evaluate(&to_vec(x.clone()), given, &mut out, Some(&mut scores))?;
            let scores = scores.into_iter().map(|score| score as f32).collect();
            return Ok((column(out, x), matrix(scores, columns, &x.device())));
        }
        self.refuse_tape()?;
        let (q, of_base) = self.base.with_score(x);
        let (r, of_target) = score(self.target, x, given)?;
        let (log_density, score) = self.joined([q, r], Some([of_base, of_target]));
        Ok((log_density, score.expect("they were given")))
    }

    fn curvature(
        &self,
        points: &[f32],
        given: &Given,
        directions: &[f64],
        out: &mut [f64],
    ) -> Result<(), Failure> {
        self.refuse_tape()?;
        let columns = self.base.dimension();
        let conditions = given.each(points.len() / columns.max(1));
        if self.path == PathKind::Linear && self.place < 1.0 {
            return Err(Problem::new("path", "the curvature of a sum of densities")
                .allowed("the geometric path")
                .into());
        }
        self.target.score_derivatives(points, &conditions, directions, out)?;
        self.numbers.mix_curvature(directions, out, [1.0 - self.place, self.place]);
        Ok(())
    }

    fn between(&self) -> Option<&dyn Between> {
        Some(self)
    }
}

impl Between for Level<'_> {
    fn ends(&self, x: &State, given: &Given) -> Result<[Vec<f64>; 2], Failure> {
        let (rows, points) = (x.dims()[0], to_vec(x.clone()));
        let (mut of_base, mut of_target) = (vec![0.0; rows], vec![0.0; rows]);
        self.log_base(&points, &mut of_base)?;
        self.target.log_rewards(&points, &given.each(rows), &mut of_target)?;
        Ok([of_base, of_target])
    }

    fn log_density(&self, [log_q, log_r]: [f64; 2]) -> f64 {
        self.mixed(log_q, log_r).0
    }
}

impl Level<'_> {
    /// `log gamma` of a point from `log q` and `log R` there, and the shares of their scores.
    fn mixed(&self, log_q: f64, log_r: f64) -> (f64, [f64; 2]) {
        let b = self.place;
        match self.path {
            PathKind::Geometric => ((1.0 - b) * log_q + b * log_r, [1.0 - b, b]),
            PathKind::Linear => {
                let (q, r) = (log_q + (1.0 - b).ln(), log_r + b.ln());
                let largest = q.max(r);
                if largest == f64::NEG_INFINITY {
                    return (largest, [0.0, 1.0]);
                }
                let sum = largest + ((q - largest).exp() + (r - largest).exp()).ln();
                (sum, [(q - sum).exp(), (r - sum).exp()])
            }
        }
    }
}
