//! Rewards of points as rewards of states, which say more than where a point lies.
//!
//! ```text
//! points    (x, rest)                  R = r(x)
//! charts    (c, x, ..)                 R = w_c r_c(x),     log Z = log sum_c w_c Z_c
//! ```

use std::sync::Arc;

use crate::math::log_sum_exp;
use crate::rng::Noise;
use crate::target::{Failure, Target};

/// A reward of the first numbers of a state.
#[derive(Debug, Clone)]
pub struct OnPoints {
    reward: Arc<dyn Target>,
    dim: usize,
    rest: Vec<f32>,
}

impl OnPoints {
    /// The reward of a state's first `dim` numbers; in every object the others are `rest`.
    pub fn new(reward: Arc<dyn Target>, dim: usize, rest: Vec<f32>) -> Self {
        Self { reward, dim, rest }
    }

    fn points(&self, states: &[f32]) -> Vec<f32> {
        let cells = self.dim + self.rest.len();
        states.chunks_exact(cells).flat_map(|state| state[..self.dim].iter().copied()).collect()
    }
}

impl Target for OnPoints {
    fn log_rewards(&self, objects: &[f32], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.reward.log_rewards(&self.points(objects), conditions, out)
    }

    fn condition_width(&self) -> usize {
        self.reward.condition_width()
    }

    fn partial(&self, states: &[f32], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.reward.partial(&self.points(states), conditions, out)
    }

    fn log_z_tempered(&self, beta: f64, condition: &[f32]) -> Option<f64> {
        self.reward.log_z_tempered(beta, condition)
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let points = self.reward.draw(count, noise)?;
        let states = points.chunks_exact(self.dim).flat_map(|point| point.iter().chain(&self.rest).copied());
        Some(states.collect())
    }

    fn parts(&self, objects: &[f32], batch: usize, out: &mut Vec<f64>) -> Result<usize, Failure> {
        self.reward.parts(&self.points(objects), batch, out)
    }

    fn is_mode(&self, object: &[f32]) -> Option<bool> {
        self.reward.is_mode(&object[..self.dim])
    }

    fn modes(&self) -> Option<f64> {
        self.reward.modes()
    }

    fn modes_of(&self, object: &[f32], found: &mut dyn FnMut(usize)) {
        self.reward.modes_of(&object[..self.dim], found);
    }
}

/// A chart's reward: its weight, how many axes it has, and a reward of their values, where there are any.
#[derive(Debug, Clone)]
pub struct ChartReward {
    /// The logarithm of its weight, nats.
    pub log_weight: f64,
    /// How many axes.
    pub axes: usize,
    /// The reward of their values; 1 where there is none.
    pub reward: Option<Arc<dyn Target>>,
}

/// Rewards of the charts of a [`Hybrid`](crate::environment::continuous::Hybrid), whose states are the number of the
/// chart, `width` values, and `width` flags.
#[derive(Debug, Clone)]
pub struct OnCharts {
    charts: Vec<ChartReward>,
    width: usize,
}

impl OnCharts {
    /// One reward per chart.
    pub fn new(charts: Vec<ChartReward>) -> Self {
        let width = charts.iter().map(|chart| chart.axes).max().unwrap_or(0);
        Self { charts, width }
    }

    fn cells(&self) -> usize {
        1 + 2 * self.width
    }
}

impl Target for OnCharts {
    fn log_rewards(&self, objects: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        for (c, chart) in self.charts.iter().enumerate() {
            let rows = objects.chunks_exact(self.cells()).enumerate();
            let rows: Vec<usize> =
                rows.filter(|(_, object)| object[0] == c as f32).map(|(row, _)| row).collect();
            let mut found = vec![0.0; rows.len()];
            if let Some(reward) = &chart.reward {
                let of_row = |row: &usize| &objects[row * self.cells() + 1..][..chart.axes];
                let points: Vec<f32> = rows.iter().flat_map(|row| of_row(row).iter().copied()).collect();
                reward.log_rewards(&points, &[], &mut found)?;
            }
            rows.iter().zip(found).for_each(|(row, log_r)| out[*row] = log_r + chart.log_weight);
        }
        Ok(())
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        let of_chart = |chart: &ChartReward| {
            let own = chart.reward.as_ref().map_or(Some(0.0), |reward| reward.log_z_tempered(beta, &[]))?;
            Some(beta * chart.log_weight + own)
        };
        Some(log_sum_exp(&self.charts.iter().map(of_chart).collect::<Option<Vec<f64>>>()?))
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let log_z = self.log_z(&[])?;
        let shares: Vec<f64> = self
            .charts
            .iter()
            .map(|chart| {
                let own = chart.reward.as_ref().map_or(Some(0.0), |reward| reward.log_z(&[]))?;
                Some((chart.log_weight + own - log_z).exp())
            })
            .collect::<Option<_>>()?;
        let mut states = vec![0.0; count * self.cells()];
        let mut chosen = vec![Vec::new(); self.charts.len()];
        for i in 0..count {
            let mut left = noise.stream(i).uniform();
            let found = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            chosen[found.unwrap_or(shares.len() - 1)].push(i);
        }
        for (c, (chart, rows)) in self.charts.iter().zip(chosen).enumerate() {
            // The values have streams of their own.
            let noise = noise.step(noise.current_step() + 1 + c as u32);
            let points = match &chart.reward {
                Some(reward) => reward.draw(rows.len(), &noise)?,
                None => Vec::new(),
            };
            for (at, row) in rows.iter().enumerate() {
                let state = &mut states[row * self.cells()..][..self.cells()];
                state[0] = c as f32;
                state[1..][..chart.axes].copy_from_slice(&points[at * chart.axes..][..chart.axes]);
                state[1 + self.width..][..chart.axes].fill(1.0);
            }
        }
        Some(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::continuous::{Continuous, Domain, Hybrid};
    use crate::math::Estimate;
    use crate::rng::Purpose;
    use crate::target::continuous::{BoxBand, Mixture};

    fn asymmetric() -> OnCharts {
        let first =
            Mixture::over(&[Domain::Line], &[0.3, 0.9], &[vec![[-1.0, 0.5]], vec![[2.0, 1.5]]]).unwrap();
        let second =
            Mixture::over(&[Domain::Unit, Domain::Circle], &[2.0], &[vec![[2.0, 5.0], [1.0, 3.0]]]).unwrap();
        let chart = |log_weight: f64, axes, reward: Option<Mixture>| ChartReward {
            log_weight,
            axes,
            reward: reward.map(|reward| Arc::new(reward) as Arc<dyn Target>),
        };
        OnCharts::new(vec![
            chart(0.5f64.ln(), 1, Some(first)),
            chart(0.0, 0, None),
            chart(0.25f64.ln(), 2, Some(second)),
        ])
    }

    /// Charts are drawn by their shares, their values by their laws, and the draws are objects.
    #[test]
    fn draws_of_charts() {
        let reward = asymmetric();
        assert!((reward.log_z(&[]).unwrap() - (0.6 + 1.0 + 0.5f64).ln()).abs() < 1e-12);
        let charts = vec![vec![Domain::Line], vec![], vec![Domain::Unit, Domain::Circle]];
        let environment = Hybrid::new(charts).unwrap();
        let count = 40_000;
        let states = reward.draw(count, &Noise::new(3, Purpose::Target)).unwrap();
        assert_eq!(states.len(), count * environment.cells());
        let rows: Vec<&[f32]> = states.chunks_exact(5).collect();
        assert!(rows.iter().all(|row| environment.is_object(row)));
        for (c, share) in [0.6 / 2.1, 1.0 / 2.1, 0.5 / 2.1f64].into_iter().enumerate() {
            let found = rows.iter().filter(|row| row[0] == c as f32).count() as f64 / count as f64;
            let error = (share * (1.0 - share) / count as f64).sqrt();
            assert!((found - share).abs() < 4.5 * error, "{c}: {found}, {share}");
        }
        let values = |chart: f32, axis: usize, of: fn(f64) -> f64| {
            let own = rows.iter().filter(|row| row[0] == chart);
            Estimate::mean(&own.map(|row| of(f64::from(row[1 + axis]))).collect::<Vec<f64>>())
        };
        let bessel = 0.809_983_3; // I_1(3) / I_0(3)
        let cases = [
            (values(0.0, 0, |x| x), (0.9 * 2.0 - 0.3) / 1.2),
            (values(2.0, 0, |x| x), 2.0 / 7.0),
            (values(2.0, 1, |x| (x - 1.0).cos()), bessel),
            (values(2.0, 1, |x| (x - 1.0).sin()), 0.0),
        ];
        for (found, exact) in cases {
            assert!((found.value - exact).abs() < 4.5 * found.error, "{found:?}, {exact}");
        }
    }

    /// The band's three layers: shares of points, and moments of each layer.
    #[test]
    fn draws_of_the_band() {
        let reward = OnPoints::new(Arc::new(BoxBand::new(2, [0.3, 1.7, 4.0]).unwrap()), 2, vec![7.0]);
        let count = 60_000;
        let states = reward.draw(count, &Noise::new(5, Purpose::Target)).unwrap();
        assert!(states.chunks_exact(3).all(|state| state[2] == 7.0));
        let z = 0.3 + 1.7 / 4.0 + 4.0 / 25.0;
        let share = |inside: fn(f32) -> bool| {
            states.chunks_exact(3).filter(|s| inside(s[0]) && inside(s[1])).count() as f64 / count as f64
        };
        let cases = [
            (share(|x| (x - 0.5).abs() > 0.25), (0.3 / 4.0 + 1.7 / 4.0 + 4.0 / 25.0) / z),
            (share(|x| (x - 0.5).abs() > 0.3 && (x - 0.5).abs() < 0.4), (6.0 / 25.0) / z),
            (share(|x| x > 0.9), (0.3 + 1.7) * 0.01 / z),
            (share(|x| x < 0.2 && x > 0.1), 6.0 * 0.01 / z),
        ];
        for (found, exact) in cases {
            let error = (exact * (1.0 - exact) / count as f64).sqrt();
            assert!((found - exact).abs() < 4.5 * error, "{found}, {exact}");
        }
        let mut out = [0.0; 2];
        reward.log_rewards(&[0.15, 0.85, 7.0, 0.5, 0.5, 7.0], &[], &mut out).unwrap();
        assert!((out[0] - 6f64.ln()).abs() < 1e-14 && (out[1] - 0.3f64.ln()).abs() < 1e-14);
    }
}
