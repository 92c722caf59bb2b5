//! Discrete and continuous at once: a chart is chosen, then a value for each of its axes, in any order.
//!
//! ```text
//! s_0 -> (c)                          one of the charts
//! (c, values) -> (c, values + z_i)    an axis i of the chart that has no value yet, and its value z_i
//! s_0 <- (c),  (c, values) <- (c, values + z_i)     any of the values is taken back, then the chart
//! ```
//!
//! An object has a value for every axis of its chart; charts may differ in dimension, and have none. Both directions have
//! densities by the counting measure on charts and axes times Lebesgue's on values; taking back has no coordinates.
//!
//! Lahlou et al. (2023), section 3.3 (hybrid spaces).

use std::ops::Range;

use super::torus::wrapped;
use super::{Continuous, Domain, check_size};
use crate::error::{Problem, Result};

/// A union of charts. A state is the number of its chart (-1 for none), then a value for each axis (0 for none), then for
/// each axis whether it has one (1 or 0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hybrid {
    charts: Vec<Vec<Domain>>,
    /// Where the axes of each chart begin in the list of all axes, and where the list ends.
    starts: Vec<usize>,
    /// The most axes that a chart has.
    width: usize,
}

/// The chart of a state that has none.
const NONE: f32 = -1.0;

impl Hybrid {
    /// The charts, each with the domains of its axes.
    ///
    /// # Errors
    /// If there are no charts, or more than 65535 charts or axes.
    pub fn new(charts: Vec<Vec<Domain>>) -> Result<Self> {
        check_size("environment.charts", charts.len())?;
        let mut starts = vec![0];
        starts.extend(charts.iter().scan(0, |end, chart| {
            *end += chart.len();
            Some(*end)
        }));
        let axes = starts[charts.len()];
        if axes > 65_535 {
            return Err(Problem::new("environment.charts", format!("{axes} axes"))
                .allowed("at most 65535")
                .into());
        }
        let width = charts.iter().map(Vec::len).max().unwrap_or(0);
        Ok(Self { charts, starts, width })
    }

    /// The state's chart.
    fn chart(&self, state: &[f32]) -> Option<usize> {
        (state[0] >= 0.0).then(|| (state[0] as usize).min(self.charts.len() - 1))
    }

    fn axes(&self) -> usize {
        self.starts[self.charts.len()]
    }

    /// The chart and the place in it of axis `index` of the list of all axes.
    fn place(&self, index: usize) -> (usize, usize) {
        let chart = self.starts.partition_point(|start| *start <= index) - 1;
        (chart, index - self.starts[chart])
    }

    fn has(&self, state: &[f32], place: usize) -> bool {
        state[1 + self.width + place] != 0.0
    }

    /// Sets `mask` of the axes of the state's chart to whether they have a value; all others to `false`.
    fn mask_axes(&self, state: &[f32], filled: bool, mask: &mut [bool]) {
        mask.fill(false);
        if let Some(chart) = self.chart(state) {
            let own = &mut mask[self.starts[chart]..self.starts[chart + 1]];
            own.iter_mut().enumerate().for_each(|(place, may)| *may = self.has(state, place) == filled);
        }
    }
}

impl Continuous for Hybrid {
    fn cells(&self) -> usize {
        1 + 2 * self.width
    }

    /// A move for each chart, then one for each axis of each chart.
    fn moves(&self) -> usize {
        self.charts.len() + self.axes()
    }

    /// A removal for each axis of each chart, then one for the chart itself.
    fn removals(&self) -> usize {
        self.axes() + 1
    }

    fn longest(&self) -> usize {
        1 + self.width
    }

    fn stops(&self) -> bool {
        false
    }

    fn source(&self, state: &mut [f32]) {
        state.fill(0.0);
        state[0] = NONE;
    }

    fn is_object(&self, state: &[f32]) -> bool {
        self.chart(state)
            .is_some_and(|chart| (0..self.charts[chart].len()).all(|place| self.has(state, place)))
    }

    fn is_last(&self, state: &[f32]) -> bool {
        self.is_object(state)
    }

    fn allowed(&self, state: &[f32], mask: &mut [bool]) {
        let (charts, axes) = mask.split_at_mut(self.charts.len());
        charts.fill(self.chart(state).is_none());
        self.mask_axes(state, false, axes);
    }

    fn removable(&self, state: &[f32], mask: &mut [bool]) {
        let (axes, chart) = mask.split_at_mut(self.axes());
        self.mask_axes(state, true, axes);
        chart[0] = self.chart(state).is_some() && !axes.contains(&true);
    }

    fn move_domains(&self) -> Vec<Domain> {
        self.charts.concat()
    }

    fn move_coordinates(&self, action: usize) -> Range<usize> {
        match action.checked_sub(self.charts.len()) {
            Some(axis) => axis..axis + 1,
            None => 0..0,
        }
    }

    fn removal_domains(&self) -> Vec<Domain> {
        Vec::new()
    }

    fn removal_coordinates(&self, _removal: usize) -> Range<usize> {
        0..0
    }

    fn apply(&self, state: &mut [f32], action: usize, z: &[f64]) -> usize {
        let Some(axis) = action.checked_sub(self.charts.len()) else {
            state[0] = action as f32;
            return self.axes();
        };
        let (chart, place) = self.place(axis);
        state[1 + place] =
            if self.charts[chart][place] == Domain::Circle { wrapped(z[0]) } else { z[0] as f32 };
        state[1 + self.width + place] = 1.0;
        axis
    }

    fn undo(&self, state: &mut [f32], removal: usize, _z: &[f64]) -> usize {
        if removal == self.axes() {
            let chart = self.chart(state).unwrap_or(0);
            state[0] = NONE;
            return chart;
        }
        let (_, place) = self.place(removal);
        state[1 + place] = 0.0;
        state[1 + self.width + place] = 0.0;
        self.charts.len() + removal
    }

    fn read_move(&self, _state: &[f32], action: usize, next: &[f32], z: &mut [f64]) -> f64 {
        if let Some(axis) = action.checked_sub(self.charts.len()) {
            z[0] = f64::from(next[1 + self.place(axis).1]);
        }
        0.0
    }

    fn read_removal(&self, _state: &[f32], _removal: usize, _before: &[f32], _z: &mut [f64]) -> f64 {
        0.0
    }

    fn features(&self) -> usize {
        1 + self.charts.len() + self.width
    }

    fn dense(&self) -> usize {
        2 * self.width
    }

    /// A feature for each chart and for none, and for each axis that has a value; two numbers for each value.
    fn encode(&self, state: &[f32], on: &mut Vec<u32>, dense: &mut Vec<f32>) {
        let chart = self.chart(state);
        on.push(chart.map_or(0, |chart| 1 + chart as u32));
        for place in 0..self.width {
            let value = state[1 + place];
            let domain = chart.and_then(|chart| self.charts[chart].get(place));
            let Some(domain) = domain.filter(|_| self.has(state, place)) else {
                dense.extend([0.0; 2]);
                continue;
            };
            on.push((1 + self.charts.len() + place) as u32);
            dense.extend(match domain {
                Domain::Unit => [2.0 * value - 1.0, 0.0],
                Domain::Line => [value, 0.0],
                Domain::Circle => [value.cos(), value.sin()],
            });
        }
    }

    fn describe(&self, state: &[f32]) -> String {
        let Some(chart) = self.chart(state) else { return "the source".to_owned() };
        let value =
            |place| if self.has(state, place) { state[1 + place].to_string() } else { "-".to_owned() };
        let values: Vec<String> = (0..self.charts[chart].len()).map(value).collect();
        format!("chart {chart} at ({})", values.join(", "))
    }
}
