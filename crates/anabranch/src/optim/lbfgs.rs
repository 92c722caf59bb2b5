//! L-BFGS: minimising a smooth function by gradients alone.
//!
//! ```text
//! direction   p = -H g,   H from the last m pairs  s = x' - x,  y = g' - g      (two-loop recursion)
//! step        f(x + t p) <= f + c_1 t g^T p   and   g(x + t p)^T p >= c_2 g^T p     (weak Wolfe, by bisection)
//! ```
//!
//! The second condition gives `s^T y > 0`, so that every pair keeps H positive definite. A function may be infinite or no number
//! away from its domain: there the step is too long. Where a function is given to few digits, no step may be found at last: the
//! iteration then ends where it is.
//!
//! Nocedal and Wright, "Numerical optimization" (2006), algorithms 7.4 and 7.5; Lewis and Overton (2013), algorithm 2.6, for the
//! search.

use std::collections::VecDeque;

use crate::math::eigen::dot;

/// How long, and how well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lbfgs {
    /// The most iterations.
    pub iterations: usize,
    /// How many pairs are kept.
    pub history: usize,
    /// The largest entry of a gradient, relative to `max(1, |f|)`, at which it ends.
    pub tolerance: f64,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self { iterations: 1000, history: 6, tolerance: 1e-8 }
    }
}

/// A point on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Iterate {
    /// Where it is.
    pub point: Vec<f64>,
    /// The function there.
    pub value: f64,
    /// Its gradient.
    pub gradient: Vec<f64>,
}

/// `s = x' - x` and `y = g' - g` of two neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The step.
    pub s: Vec<f64>,
    /// How the gradient changed.
    pub y: Vec<f64>,
}

impl Pair {
    /// Of two neighbours; none where the curvature along the step is not clearly positive.
    pub fn between(before: &Iterate, after: &Iterate) -> Option<Self> {
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let pair = Self {
            s: difference(&after.point, &before.point),
            y: difference(&after.gradient, &before.gradient),
        };
        (dot(&pair.s, &pair.y) > 1e-12 * dot(&pair.y, &pair.y)).then_some(pair)
    }
}

const SUFFICIENT: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Halvings and doublings of a step.
const TRIALS: usize = 50;

impl Lbfgs {
    /// All iterates from `start` on; `function` answers the value and the gradient.
    ///
    /// # Errors
    /// As `function`.
    pub fn minimise<E>(
        &self,
        start: Vec<f64>,
        mut function: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>), E>,
    ) -> Result<Vec<Iterate>, E> {
        let (value, gradient) = function(&start)?;
        let mut path = vec![Iterate { point: start, value, gradient }];
        let mut pairs: VecDeque<Pair> = VecDeque::new();
        for _ in 0..self.iterations {
            let here = path.last().expect("the start is there");
            let steepest = here.gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
            if !here.value.is_finite() || steepest <= self.tolerance * here.value.abs().max(1.0) {
                break;
            }
            let Some(next) = search(here, &direction(&here.gradient, &pairs), &mut function)? else { break };
            let still = next.value == here.value;
            if let Some(pair) = Pair::between(here, &next) {
                pairs.push_back(pair);
                if pairs.len() > self.history {
                    pairs.pop_front();
                }
            }
            path.push(next);
            if still {
                break;
            }
        }
        Ok(path)
    }
}

/// `-H g`.
fn direction(gradient: &[f64], pairs: &VecDeque<Pair>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let add = |q: &mut [f64], scale: f64, v: &[f64]| q.iter_mut().zip(v).for_each(|(q, v)| *q += scale * v);
    let mut along = Vec::new();
    for Pair { s, y } in pairs.iter().rev() {
        let a = dot(s, &q) / dot(s, y);
        add(&mut q, -a, y);
        along.push(a);
    }
    let scale = match pairs.back() {
        Some(Pair { s, y }) => dot(s, y) / dot(y, y),
        // The first step is at most as long as a unit.
        None => dot(gradient, gradient).sqrt().max(1.0).recip(),
    };
    q.iter_mut().for_each(|q| *q *= scale);
    for (Pair { s, y }, a) in pairs.iter().zip(along.into_iter().rev()) {
        let b = dot(y, &q) / dot(s, y);
        add(&mut q, a - b, s);
    }
    q
}

/// The point at a step that meets both conditions; the last one that descended enough where none does, and none where none did.
fn search<E>(
    here: &Iterate,
    direction: &[f64],
    function: &mut impl FnMut(&[f64]) -> Result<(f64, Vec<f64>), E>,
) -> Result<Option<Iterate>, E> {
    let slope = dot(&here.gradient, direction);
    let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
    let mut found = None;
    for _ in 0..TRIALS {
        let point: Vec<f64> = here.point.iter().zip(direction).map(|(x, p)| x + step * p).collect();
        let (value, gradient) = function(&point)?;
        let usable = value.is_finite() && gradient.iter().all(|g| g.is_finite());
        if !usable || value > here.value + SUFFICIENT * step * slope {
            high = step;
        } else {
            let flat = dot(&gradient, direction) >= CURVATURE * slope;
            found = Some(Iterate { point, value, gradient });
            if flat {
                break;
            }
            low = step;
        }
        step = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * step };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn minimise(start: Vec<f64>, f: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Vec<Iterate> {
        Lbfgs::default().minimise(start, |x| Ok::<_, Infallible>(f(x))).unwrap()
    }

    #[test]
    fn rosenbrock_is_minimised() {
        let path = minimise(vec![-1.2, 1.0], |x| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
        });
        let last = path.last().unwrap();
        assert!(path.len() < 80 && last.point.iter().all(|x| (x - 1.0).abs() < 1e-6), "{last:?}");
        assert!(path.windows(2).all(|pair| pair[1].value <= pair[0].value));
    }

    /// A badly scaled quadratic, and a domain with an edge.
    #[test]
    fn scales_and_edges_are_no_obstacle() {
        let scales: Vec<f64> = (0..20).map(|i| 10f64.powf(i as f64 / 5.0)).collect();
        let path = minimise(vec![1.0; 20], |x| {
            let value = 0.5 * x.iter().zip(&scales).map(|(x, s)| s * x * x).sum::<f64>();
            (value, x.iter().zip(&scales).map(|(x, s)| s * x).collect())
        });
        assert!(path.last().unwrap().value < 1e-12, "{:?}", path.last());
        // x - ln x: infinite or no number at and below 0.
        let path = minimise(vec![50.0], |x| (x[0] - x[0].ln(), vec![1.0 - 1.0 / x[0]]));
        assert!((path.last().unwrap().point[0] - 1.0).abs() < 1e-7);
    }
}
