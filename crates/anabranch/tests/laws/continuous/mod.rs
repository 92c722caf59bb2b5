//! Laws of continuous and hybrid flow networks, over one list of policies.

mod densities;
mod training;
mod trajectories;

use std::f64::consts::{FRAC_PI_2, TAU};
use std::sync::Arc;

use anabranch::environment::Edge;
use anabranch::environment::continuous::{CartesianBox, Continuous, Domain, Hybrid, PolarBox, Walk};
use anabranch::math::log_sum_exp;
use anabranch::math::special::ln_bessel_i0;
use anabranch::policy::{ContinuousActions, Heads, Policy, Visit};
use anabranch::rng::Stream;

/// A space, as the tests know it by themselves.
#[derive(Debug, Clone)]
enum Space {
    Cartesian { dim: usize, delta: f32 },
    Polar { delta: f32 },
    Euclidean { dim: usize, steps: usize, sigma: f32 },
    Torus { dim: usize, steps: usize },
    Hybrid { charts: Vec<Vec<Domain>> },
}

/// A neighbour of a state: the edge, the state, and the measure around it.
type Neighbour = (Edge, Vec<f32>, f64);

fn edge(action: usize, removal: usize) -> Edge {
    Edge { action: action as u32, removal: removal as u32 }
}

/// All points of a product of rules.
fn product(rules: &[Vec<(f64, f64)>]) -> Vec<(Vec<f64>, f64)> {
    rules.iter().fold(vec![(Vec::new(), 1.0)], |points, rule| {
        let longer = |(point, weight): &(Vec<f64>, f64)| {
            let (point, weight) = (point.clone(), *weight);
            rule.iter().map(move |(x, w)| ([&point[..], &[*x]].concat(), weight * w)).collect::<Vec<_>>()
        };
        points.iter().flat_map(longer).collect()
    })
}

/// A rule on an interval that is finer at both ends.
fn interval(from: f64, to: f64, count: usize) -> Vec<(f64, f64)> {
    let middle = |j: usize| (j as f64 + 0.5) / count as f64;
    let one = |t: f64| (t.powi(3) * (10.0 - 15.0 * t + 6.0 * t * t), 30.0 * (t * (1.0 - t)).powi(2));
    let scaled = |(t, weight): (f64, f64)| (from + (to - from) * t, (to - from) * weight / count as f64);
    (0..count).map(|j| scaled(one(middle(j)))).collect()
}

/// The rectangle rule.
fn even(from: f64, to: f64, count: usize) -> Vec<(f64, f64)> {
    let width = (to - from) / count as f64;
    (0..count).map(|j| (from + (j as f64 + 0.5) * width, width)).collect()
}

/// Nodes for each of `dim` coordinates.
fn nodes(dim: usize) -> usize {
    [2000, 150, 40][dim - 1]
}

/// A rule on the angles of a quarter circle whose points are inside of the unit square, its ends found by bisection.
fn arc(point: impl Fn(f64) -> [f64; 2]) -> Vec<(Vec<f64>, f64)> {
    let inside = |t: &f64| point(*t).iter().all(|x| (0.0..=1.0).contains(x));
    let angles: Vec<f64> = (0..=20_000).map(|j| FRAC_PI_2 * f64::from(j) / 20_000.0).collect();
    let Some(first) = angles.iter().position(inside) else { return Vec::new() };
    let last = angles.iter().rposition(inside).unwrap();
    let end = |mut within: f64, mut beyond: f64| {
        for _ in 0..60 {
            let middle = 0.5 * (within + beyond);
            *if inside(&middle) { &mut within } else { &mut beyond } = middle;
        }
        within
    };
    let lo = if first == 0 { 0.0 } else { end(angles[first], angles[first - 1]) };
    let hi = if last + 1 == angles.len() { FRAC_PI_2 } else { end(angles[last], angles[last + 1]) };
    interval(lo, hi, 4000).into_iter().map(|(t, weight)| (point(t).to_vec(), weight)).collect()
}

fn numbers(point: &[f64]) -> Vec<f32> {
    point.iter().map(|x| *x as f32).collect()
}

impl Space {
    fn environment(&self) -> Arc<dyn Continuous> {
        match self {
            Self::Cartesian { dim, delta } => Arc::new(CartesianBox::new(*dim, *delta).unwrap()),
            Self::Polar { delta } => Arc::new(PolarBox::new(*delta).unwrap()),
            Self::Euclidean { dim, steps, sigma } => Arc::new(Walk::euclidean(*dim, *steps, *sigma).unwrap()),
            Self::Torus { dim, steps } => Arc::new(Walk::torus(*dim, *steps).unwrap()),
            Self::Hybrid { charts } => Arc::new(Hybrid::new(charts.clone()).unwrap()),
        }
    }

    /// The states that moves from `state` lead to, with a quadrature rule over them.
    fn ahead(&self, state: &[f32]) -> Vec<Neighbour> {
        let at = |i: usize| f64::from(state[i]);
        let placed = |action: usize| {
            move |(point, weight): (Vec<f64>, f64)| (edge(action, action), numbers(&point), weight)
        };
        match self {
            Self::Cartesian { dim, delta } => {
                let count = nodes(*dim);
                if state[0] < 0.0 {
                    return product(&vec![interval(0.0, 1.0, count); *dim])
                        .into_iter()
                        .map(placed(0))
                        .collect();
                }
                let rules: Vec<_> =
                    (0..*dim).map(|i| interval(at(i) + f64::from(*delta), 1.0, count)).collect();
                product(&rules).into_iter().map(placed(1)).collect()
            }
            Self::Polar { delta } => {
                let delta = f64::from(*delta);
                if state[0] < 0.0 {
                    let polar = product(&[interval(0.0, delta, 300), interval(0.0, FRAC_PI_2, 300)]);
                    let points = polar
                        .into_iter()
                        .map(|(p, w)| (vec![p[0] * p[1].cos(), p[0] * p[1].sin()], w * p[0]));
                    return points.map(placed(0)).collect();
                }
                let point = |t: f64| [at(0) + delta * t.cos(), at(1) + delta * t.sin()];
                arc(point).into_iter().map(placed(1)).collect()
            }
            Self::Euclidean { .. } | Self::Torus { .. } => self.walks(state, 1.0),
            Self::Hybrid { charts } => {
                if state[0] < 0.0 {
                    let axes = charts.iter().map(Vec::len).sum();
                    let choose = |chart: usize| {
                        let mut next = state.to_vec();
                        next[0] = chart as f32;
                        (edge(chart, axes), next, 1.0)
                    };
                    return (0..charts.len()).map(choose).collect();
                }
                let chart = state[0] as usize;
                let first: usize = charts[..chart].iter().map(Vec::len).sum();
                let width = (state.len() - 1) / 2;
                let empty = (0..charts[chart].len()).filter(|i| state[1 + width + i] == 0.0);
                let fill = |i: usize| {
                    let rule = match charts[chart][i] {
                        Domain::Unit => interval(0.0, 1.0, 4000),
                        Domain::Line => even(-30.0, 30.0, 8000),
                        Domain::Circle => even(0.0, TAU, 2000),
                    };
                    rule.into_iter().map(move |(z, weight)| {
                        let mut next = state.to_vec();
                        (next[1 + i], next[1 + width + i]) = (z as f32, 1.0);
                        (edge(charts.len() + first + i, first + i), next, weight)
                    })
                };
                empty.flat_map(fill).collect()
            }
        }
    }

    /// The states that removals from `state` lead to, with a quadrature rule over them.
    fn behind(&self, state: &[f32]) -> Vec<Neighbour> {
        let at = |i: usize| f64::from(state[i]);
        let placed = |(point, weight): (Vec<f64>, f64)| (edge(1, 1), numbers(&point), weight);
        let home = || (edge(0, 0), vec![-1.0; state.len()], 1.0);
        match self {
            Self::Cartesian { dim, delta } => {
                let mut all = vec![home()];
                if state.iter().all(|x| f64::from(*x) >= f64::from(*delta) + 1e-5) {
                    let rules: Vec<_> =
                        (0..*dim).map(|i| interval(0.0, at(i) - f64::from(*delta), nodes(*dim))).collect();
                    all.extend(product(&rules).into_iter().map(placed));
                }
                all
            }
            Self::Polar { delta } => {
                let delta = f64::from(*delta);
                if at(0).hypot(at(1)) < delta {
                    return vec![home()];
                }
                let point = |t: f64| [at(0) - delta * t.cos(), at(1) - delta * t.sin()];
                arc(point).into_iter().map(placed).collect()
            }
            Self::Euclidean { .. } | Self::Torus { .. } => {
                if state[state.len() - 1] == 1.0 {
                    return vec![(edge(0, 0), vec![0.0; state.len()], 1.0)];
                }
                self.walks(state, -1.0)
            }
            Self::Hybrid { charts } => {
                let chart = state[0] as usize;
                let first: usize = charts[..chart].iter().map(Vec::len).sum();
                let width = (state.len() - 1) / 2;
                let filled = (0..charts[chart].len()).filter(|i| state[1 + width + i] != 0.0);
                let erase = |i: usize| {
                    let mut before = state.to_vec();
                    (before[1 + i], before[1 + width + i]) = (0.0, 0.0);
                    (edge(charts.len() + first + i, first + i), before, 1.0)
                };
                let mut all: Vec<Neighbour> = filled.map(erase).collect();
                if all.is_empty() {
                    let mut before = state.to_vec();
                    before[0] = -1.0;
                    all.push((edge(chart, charts.iter().map(Vec::len).sum()), before, 1.0));
                }
                all
            }
        }
    }

    /// All points one step later or earlier on a walk.
    fn walks(&self, state: &[f32], step: f32) -> Vec<Neighbour> {
        let (rule, dim) = match self {
            Self::Euclidean { dim, .. } => (even(-30.0, 30.0, 4 * nodes(*dim)), *dim),
            Self::Torus { dim, .. } => (even(0.0, TAU, nodes(*dim)), *dim),
            _ => unreachable!("no walk"),
        };
        let time = state[dim] + step;
        let removal = usize::from(time.max(state[dim]) > 1.0);
        let neighbour = |(point, weight): (Vec<f64>, f64)| {
            (edge(0, removal), [&numbers(&point)[..], &[time]].concat(), weight)
        };
        product(&vec![rule; dim]).into_iter().map(neighbour).collect()
    }

    /// States near corners, edges and thresholds.
    fn awkward(&self) -> Vec<Vec<f32>> {
        match self {
            Self::Cartesian { dim, delta } => {
                let first = [1.0 - delta - 1e-3, 1.0 - delta, delta + 1e-3, *delta, 0.0, 1e-4];
                let rest = |i: usize| [0.4, 0.9 * (1.0 - delta), 1.0][i % 3];
                first
                    .iter()
                    .map(|x| (0..*dim).map(|i| if i == 0 { *x } else { rest(i - 1) }).collect())
                    .collect()
            }
            Self::Polar { delta } => vec![
                vec![0.999, 0.3],
                vec![0.01, 0.98],
                vec![0.999, 1e-3],
                vec![1.0 - delta * 0.6, 1.0 - delta * 0.81],
                vec![delta * 0.6, delta * 0.81],
                vec![1e-3, 1.0 - 1e-3],
                vec![1e-3, 1e-3],
                vec![1.0 - delta * 0.3, 1.0 - delta * 0.4],
            ],
            _ => Vec::new(),
        }
    }
}

/// A policy with a target whose normaliser is known.
struct Instance {
    name: &'static str,
    space: Space,
    policy: ContinuousActions,
    log_reward: fn(&[f32]) -> f64,
    log_z: f64,
    /// An object drawn from `R / Z`.
    sample: fn(&Space, &mut Stream<'_>) -> Vec<f32>,
}

/// `ln N(x; mean, deviation^2)`.
fn log_normal(x: f32, mean: f64, deviation: f64) -> f64 {
    -0.5 * ((f64::from(x) - mean) / deviation).powi(2) - deviation.ln() - 0.5 * TAU.ln()
}

/// A number between 0 and 1 with a density below `bound`, by rejection.
fn rejected(bound: f64, density: impl Fn(f64) -> f64, stream: &mut Stream<'_>) -> f64 {
    loop {
        let x = stream.uniform();
        if stream.uniform() * bound < density(x) {
            return x;
        }
    }
}

/// `0.3 prod_i (1 + (i + 1) x_i^2)` on the box.
fn polynomial(point: &[f32]) -> f64 {
    let factors = point.iter().enumerate().map(|(i, x)| (1.0 + (i as f64 + 1.0) * f64::from(x * x)).ln());
    0.3f64.ln() + factors.sum::<f64>()
}

fn polynomial_log_z(dim: usize) -> f64 {
    0.3f64.ln() + (0..dim).map(|i| (1.0 + (i as f64 + 1.0) / 3.0).ln()).sum::<f64>()
}

fn polynomial_sample(space: &Space, stream: &mut Stream<'_>) -> Vec<f32> {
    let axis = |i: usize| {
        let c = i as f64 + 1.0;
        rejected(1.0 + c, |x| 1.0 + c * x * x, stream) as f32
    };
    (0..space.environment().cells()).map(axis).collect()
}

/// `3 N(x; -1, 0.6^2) + 2 N(x; 1.5, 1)` on every axis; the last cell is the number of steps.
fn two_modes(state: &[f32]) -> f64 {
    let axis = |x: &f32| {
        let modes = [3f64.ln() + log_normal(*x, -1.0, 0.6), 2f64.ln() + log_normal(*x, 1.5, 1.0)];
        log_sum_exp(&modes)
    };
    state[..state.len() - 1].iter().map(axis).sum()
}

fn two_modes_sample(space: &Space, stream: &mut Stream<'_>) -> Vec<f32> {
    let environment = space.environment();
    let mut axis =
        || if stream.uniform() < 0.6 { -1.0 + 0.6 * stream.normal() } else { 1.5 + stream.normal() };
    let point = (1..environment.cells()).map(|_| axis() as f32);
    point.chain([environment.longest() as f32]).collect()
}

/// `exp((i + 1.5) cos(x_i - i - 1))` on the torus.
fn von_mises(state: &[f32]) -> f64 {
    let axis = |(i, x): (usize, &f32)| (i as f64 + 1.5) * (f64::from(*x) - i as f64 - 1.0).cos();
    state[..state.len() - 1].iter().enumerate().map(axis).sum()
}

fn von_mises_log_z(dim: usize) -> f64 {
    (0..dim).map(|i| TAU.ln() + ln_bessel_i0(i as f64 + 1.5)).sum()
}

fn von_mises_sample(space: &Space, stream: &mut Stream<'_>) -> Vec<f32> {
    let environment = space.environment();
    let axis = |i: usize| {
        let density = |turn: f64| ((i as f64 + 1.5) * ((TAU * turn - i as f64 - 1.0).cos() - 1.0)).exp();
        (TAU * rejected(1.0, density, stream)) as f32
    };
    let point = (0..environment.cells() - 1).map(axis).collect::<Vec<f32>>().into_iter();
    point.chain([environment.longest() as f32]).collect()
}

/// Charts of weight 1, 2, 3 and 0.5: a point; `2 u`; `N(x; 2 u, 0.7^2) 3 u^2`; `(1 + cos a / 2) N(x; -1, 1) (0.5 + u)`.
fn charts(state: &[f32]) -> f64 {
    let [x, y, z] = [1, 2, 3].map(|i| state[i]);
    let double = f64::from;
    match state[0] as usize {
        0 => 0.0,
        1 => (2.0 * 2.0 * double(x)).ln(),
        2 => 3f64.ln() + log_normal(x, 2.0 * double(y), 0.7) + (3.0 * double(y * y)).ln(),
        _ => {
            (0.5 * (1.0 + 0.5 * double(x).cos()) / TAU).ln()
                + log_normal(y, -1.0, 1.0)
                + (0.5 + double(z)).ln()
        }
    }
}

fn charts_sample(_space: &Space, stream: &mut Stream<'_>) -> Vec<f32> {
    let total: f64 = CHART_WEIGHTS.iter().sum();
    let mut left = stream.uniform() * total;
    let chart = CHART_WEIGHTS.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    let chart = chart.unwrap_or(3);
    let values = match chart {
        0 => vec![],
        1 => vec![stream.uniform().sqrt()],
        2 => {
            let u = stream.uniform().cbrt();
            vec![2.0 * u + 0.7 * stream.normal(), u]
        }
        _ => {
            let turn = rejected(1.5, |turn| 1.0 + 0.5 * (TAU * turn).cos(), stream);
            let x = -1.0 + stream.normal();
            vec![TAU * turn, x, rejected(1.5, |u| 0.5 + u, stream)]
        }
    };
    let mut state = vec![0.0; 7];
    state[0] = chart as f32;
    for (i, value) in values.into_iter().enumerate() {
        (state[1 + i], state[4 + i]) = (value as f32, 1.0);
    }
    state
}

const CHART_WEIGHTS: [f64; 4] = [1.0, 2.0, 3.0, 0.5];

fn hybrid() -> Space {
    let charts = vec![
        vec![],
        vec![Domain::Unit],
        vec![Domain::Line, Domain::Unit],
        vec![Domain::Circle, Domain::Line, Domain::Unit],
    ];
    Space::Hybrid { charts }
}

/// Every kind of continuous policy.
fn instances() -> Vec<Instance> {
    type Target = (fn(&[f32]) -> f64, fn(&Space, &mut Stream<'_>) -> Vec<f32>);
    let instance = |name, space: Space, heads, (log_reward, sample): Target, log_z| {
        let policy = ContinuousActions::new(space.environment(), heads).unwrap();
        Instance { name, space, policy, log_reward, log_z, sample }
    };
    let polynomial: Target = (polynomial, polynomial_sample);
    let two_modes: Target = (two_modes, two_modes_sample);
    let von_mises: Target = (von_mises, von_mises_sample);
    let charts: Target = (charts, charts_sample);
    let learned = Heads::default();
    let fixed = Heads { components: 3, backward: false, flow: true, ..learned };
    let flow = Heads { components: 1, flow: true, ..learned };
    let cartesian = |dim, delta| Space::Cartesian { dim, delta };
    let euclidean = |dim, steps, sigma| Space::Euclidean { dim, steps, sigma };
    let torus = |dim, steps| Space::Torus { dim, steps };
    let modes = 5f64.ln();
    vec![
        instance("interval", cartesian(1, 0.3), flow, polynomial, polynomial_log_z(1)),
        instance("square", cartesian(2, 0.25), learned, polynomial, polynomial_log_z(2)),
        instance("cube", cartesian(3, 0.4), fixed, polynomial, polynomial_log_z(3)),
        instance("polar", Space::Polar { delta: 0.25 }, flow, polynomial, polynomial_log_z(2)),
        instance("fine polar", Space::Polar { delta: 0.1 }, fixed, polynomial, polynomial_log_z(2)),
        instance("coarse polar", Space::Polar { delta: 0.7 }, learned, polynomial, polynomial_log_z(2)),
        instance("line", euclidean(1, 5, 1.0), learned, two_modes, modes),
        instance("bridge", euclidean(1, 4, 0.8), fixed, two_modes, modes),
        instance("plane", euclidean(2, 3, 1.2), flow, two_modes, 2.0 * modes),
        instance("circle", torus(1, 3), fixed, von_mises, von_mises_log_z(1)),
        instance("torus", torus(2, 4), learned, von_mises, von_mises_log_z(2)),
        instance("charts", hybrid(), flow, charts, CHART_WEIGHTS.iter().sum::<f64>().ln()),
        instance("charts, uniform", hybrid(), fixed, charts, CHART_WEIGHTS.iter().sum::<f64>().ln()),
    ]
}

impl Instance {
    fn source(&self) -> Vec<f32> {
        let mut state = vec![0.0; self.policy.cells()];
        self.policy.source(&mut state);
        state
    }

    /// What a network answers at a state that answers the same everywhere, prepared.
    fn row(&self, outputs: &[f32], state: &[f32]) -> Vec<f32> {
        let mut row = outputs.to_vec();
        self.policy.prepare(state, &mut row, &mut Default::default());
        row
    }

    /// `log P_F` of a move.
    fn log_forward(&self, row: &[f32], state: &[f32], edge: Edge, next: &[f32]) -> f64 {
        let visit = Visit { state, came: None, went: Some((edge, next)) };
        self.policy.log_probabilities(visit, row, &mut Default::default()).forward
    }

    /// `log P_B` of a removal.
    fn log_backward(&self, row: &[f32], state: &[f32], edge: Edge, before: &[f32]) -> f64 {
        let visit = Visit { state, came: Some((edge, before)), went: None };
        self.policy.log_probabilities(visit, row, &mut Default::default()).backward
    }

    /// `log P_F(s_f | s)`.
    fn log_stop(&self, row: &[f32], state: &[f32]) -> f64 {
        self.policy
            .log_probabilities(Visit { state, came: None, went: None }, row, &mut Default::default())
            .stop
    }
}
