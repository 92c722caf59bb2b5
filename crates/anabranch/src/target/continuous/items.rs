//! Item response theory: 400 students answer some of 100 questions.
//!
//! ```text
//! m ~ N(0.75, 1),   a_i ~ N(0, 1),   q_j ~ N(0, 1),   right_ij ~ Bernoulli(sigmoid(m + a_i - q_j))
//! point (m, a_1..400, q_1..100): 30012 answers
//! ```
//!
//! The one-parameter logistic model and the synthetic answers of the Inference Gym (Sountsov et al. 2020). Z is the evidence; it is not
//! known.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::density::log_normal;
use super::entry::{Built, Entry, shared};
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::papers::INFERENCE_GYM;
use crate::rng::Noise;

/// The posterior of students' abilities and questions' difficulties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemResponse {}

const STUDENTS: usize = 400;
const QUESTIONS: usize = 100;
const MEAN: f64 = 0.75;

/// Who answered which question, and with what sign: 1 for a right answer, -1 for a wrong one.
fn answers() -> &'static [(usize, usize, f64)] {
    static ANSWERS: OnceLock<Vec<(usize, usize, f64)>> = OnceLock::new();
    ANSWERS.get_or_init(|| {
        let table = crate::data::item_responses();
        let cells = table.values.iter().enumerate();
        let asked = cells.filter(|(_, answer)| **answer < 2.0);
        asked.map(|(at, right)| (at / QUESTIONS, at % QUESTIONS, f64::from(2.0 * right - 1.0))).collect()
    })
}

impl Density for ItemResponse {
    fn dimension(&self) -> usize {
        1 + STUDENTS + QUESTIONS
    }

    fn at<T: Real>(&self, point: &[T], mut score: Option<&mut [T]>) -> T {
        let (mean, rest) = (point[0], &point[1..]);
        let (abilities, difficulties) = rest.split_at(STUDENTS);
        let mut value = log_normal(mean - MEAN, 1.0) + rest.iter().map(|x| log_normal(*x, 1.0)).sum::<T>();
        if let Some(score) = &mut score {
            score.iter_mut().zip(point).for_each(|(to, x)| *to = -*x);
            score[0] += MEAN.into();
        }
        for (student, question, sign) in answers() {
            let margin = (mean + abilities[*student] - difficulties[*question]) * *sign;
            value -= (-margin).softplus();
            if let Some(score) = &mut score {
                let slope = (-margin).sigmoid() * *sign;
                score[0] += slope;
                score[1 + student] += slope;
                score[1 + STUDENTS + question] -= slope;
            }
        }
        value
    }

    fn log_z_tempered(&self, _: f64) -> Option<f64> {
        None
    }

    fn draw(&self, _: usize, _: &Noise) -> Option<Vec<f32>> {
        None
    }
}

impl Entry for ItemResponse {
    fn formula(&self) -> String {
        "item response: right_ij ~ Bernoulli(sigmoid(m + a_i - q_j)), 400 students, 100 questions".to_owned()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![INFERENCE_GYM]
    }

    fn dimension(&self) -> Option<usize> {
        Some(1 + STUDENTS + QUESTIONS)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Dual;

    /// As numpy computes it.
    #[test]
    fn the_posterior_by_another_program() {
        assert_eq!(answers().len(), 30_012);
        let point: Vec<f64> = (1..=501).map(|i| f64::from((0.1 * f64::from(i).sin()) as f32)).collect();
        assert!((ItemResponse {}.at(&point, None) + 21_302.009_265_583_4).abs() < 1e-7);
    }

    /// The score along a direction, and its derivative there, are difference quotients.
    #[test]
    fn derivatives_along_a_direction() {
        let wave = |rate: f64| (0..501).map(move |i| (rate * f64::from(i)).sin());
        let direction: Vec<f64> = wave(0.9).collect();
        let at = |by: f64| {
            let point: Vec<f64> = wave(2.3).zip(&direction).map(|(x, v)| x + by * v).collect();
            let mut score = vec![0.0; 501];
            (ItemResponse {}.at(&point, Some(&mut score)), score)
        };
        let moving = |(x, v): (f64, &f64)| Dual { value: x, slopes: [*v] };
        let point: Vec<Dual> = wave(2.3).zip(&direction).map(moving).collect();
        let mut score = vec![Dual::from(0.0); 501];
        let value = ItemResponse {}.at(&point, Some(&mut score));
        let ((up, above), (down, below)) = (at(1e-5), at(-1e-5));
        let along: f64 = score.iter().zip(&direction).map(|(s, v)| s.value * v).sum();
        assert!((along - value.slopes[0]).abs() < 1e-8 * along.abs());
        assert!((along - (up - down) / 2e-5).abs() < 1e-5 * along.abs().max(1.0), "{along}");
        for (slope, (above, below)) in score.iter().zip(above.iter().zip(&below)) {
            assert!((slope.slopes[0] - (above - below) / 2e-5).abs() < 1e-5, "{slope:?}");
        }
    }
}
