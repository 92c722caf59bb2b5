//! The gradient of a formula by its cells, in reverse.
//!
//! ```text
//! values forward, operands kept;   then from the last step to the first:   a += g df/da,   b += g df/db
//! ```
//!
//! (reverse-mode differentiation, Linnainmaa 1976): it costs a few times the formula, however many cells there are. What a
//! choice did not take, and whatever else has no part in the value, has no part in the gradient, even where its own is no
//! number.

use super::{Batch, LANES, Lane, Lanes, Op, Stack};
use crate::environment::Number;
use crate::math::{Real, product_or_zero};

/// What the way back needs, kept from call to call.
#[derive(Debug)]
pub(super) struct Tape<T> {
    /// The operands of the steps that were run, in their order.
    operands: Vec<Lanes<T>>,
    /// The derivatives by what is on the stack, the last of them by its top.
    slopes: Vec<Lanes<T>>,
    /// `[cells]`: the derivatives by the cells.
    pub(super) gradient: Vec<Lanes<T>>,
    /// Where the steps of the program are, those inside of folds left out.
    places: Vec<usize>,
}

impl<T> Default for Tape<T> {
    fn default() -> Self {
        Self { operands: Vec::new(), slopes: Vec::new(), gradient: Vec::new(), places: Vec::new() }
    }
}

impl<T: Real> Tape<T> {
    fn reset(&mut self, program: &[Op], cells: usize) {
        self.operands.clear();
        self.slopes.clear();
        self.gradient.clear();
        self.gradient.resize(cells, [0.0.into(); LANES]);
        self.places.clear();
        let mut at = 0;
        while let Some(op) = program.get(at) {
            self.places.push(at);
            at += if let Op::Fold { body, .. } = op { 1 + body } else { 1 };
        }
    }

    fn pop(&mut self) -> Lanes<T> {
        self.operands.pop().expect("an operand for each that was kept")
    }

    fn slope(&mut self) -> Lanes<T> {
        self.slopes.pop().expect("a slope for each value")
    }
}

/// `g slope`, where there is a `g`.
fn times<T: Real>(g: T, slope: T) -> T {
    let (a, b) = (g.value(), slope.value());
    g.chain_two(slope, product_or_zero(a, b), || [b, a])
}

impl<C: Number> Batch<'_, C> {
    /// Runs the whole program and leaves its gradient on the tape.
    pub(super) fn differentiate<T: Lane>(&self, program: &[Op], stack: &mut Stack<T>, tape: &mut Tape<T>) {
        tape.reset(program, self.cells);
        self.keep(program, stack, ([0.0.into(); LANES], 0.0), tape);
        tape.slopes.push([1.0.into(); LANES]);
        let places = std::mem::take(&mut tape.places);
        self.back(program, places.iter().copied(), None, tape);
        tape.places = places;
    }

    /// [`Batch::run`], keeping operands.
    fn keep<T: Lane>(&self, program: &[Op], stack: &mut Stack<T>, each: (Lanes<T>, f64), tape: &mut Tape<T>) {
        let mut at = 0;
        while let Some(op) = program.get(at) {
            let kept = match op {
                Op::Unary(_) => 1,
                Op::Binary(_) => 2,
                Op::Select => 3,
                _ => 0,
            };
            tape.operands.extend_from_slice(&stack.values[stack.height - kept..stack.height]);
            if let Op::Fold { start, join, body } = *op {
                let body = &program[at + 1..][..body];
                let mut joined = [T::from(start); LANES];
                for cell in 0..self.cells {
                    self.keep(body, stack, (self.column(cell), cell as f64), tape);
                    let value = stack.pop();
                    tape.operands.extend([joined, value]);
                    joined = std::array::from_fn(|lane| join.value(joined[lane], value[lane]));
                }
                stack.push(joined);
                at += body.len();
            } else {
                self.run(&program[at..=at], stack, each);
            }
            at += 1;
        }
    }

    /// Takes the slope by the program's value from the tape, and adds those by the cells; `places` are those of its steps, and
    /// `each` is the cell that a fold is at.
    fn back<T: Lane>(
        &self,
        program: &[Op],
        places: impl DoubleEndedIterator<Item = usize>,
        each: Option<usize>,
        tape: &mut Tape<T>,
    ) {
        for at in places.rev() {
            let g = tape.slope();
            match program[at] {
                Op::Constant(_) | Op::Condition(_) | Op::Index => {}
                Op::Cell(cell) => add(&mut tape.gradient[cell], &g),
                Op::Each => add(&mut tape.gradient[each.expect("inside of a fold")], &g),
                Op::Total => tape.gradient.iter_mut().for_each(|by_cell| add(by_cell, &g)),
                Op::Unary(of) => {
                    let a = tape.pop();
                    tape.slopes.push(std::array::from_fn(|lane| times(g[lane], of.derivative(a[lane]))));
                }
                Op::Binary(of) => {
                    let (b, a) = (tape.pop(), tape.pop());
                    let slopes: [[T; 2]; LANES] =
                        std::array::from_fn(|lane| of.derivatives(a[lane], b[lane]));
                    let by = |k: usize| std::array::from_fn(|lane| times(g[lane], slopes[lane][k]));
                    tape.slopes.extend([by(0), by(1)]);
                }
                Op::Select => {
                    let (_, _, condition) = (tape.pop(), tape.pop(), tape.pop());
                    let part = |taken: bool| {
                        let chosen = |lane: usize| (condition[lane].value() != 0.0) == taken;
                        std::array::from_fn(|lane| if chosen(lane) { g[lane] } else { 0.0.into() })
                    };
                    tape.slopes.extend([[0.0.into(); LANES], part(true), part(false)]);
                }
                Op::Fold { join, body, .. } => {
                    let body = &program[at + 1..][..body];
                    let mut g = g;
                    for cell in (0..self.cells).rev() {
                        let (value, joined) = (tape.pop(), tape.pop());
                        let slopes: [[T; 2]; LANES] =
                            std::array::from_fn(|lane| join.derivatives(joined[lane], value[lane]));
                        tape.slopes.push(std::array::from_fn(|lane| times(g[lane], slopes[lane][1])));
                        g = std::array::from_fn(|lane| times(g[lane], slopes[lane][0]));
                        self.back(body, 0..body.len(), Some(cell), tape);
                    }
                }
            }
        }
    }
}

fn add<T: Real>(to: &mut Lanes<T>, g: &Lanes<T>) {
    to.iter_mut().zip(g).for_each(|(to, g)| *to += *g);
}

#[cfg(test)]
mod tests {
    use crate::target::{Expression, Target};

    /// The gradient at a point under the condition 0.5, and the difference quotients there, to fourth order.
    fn both(text: &str, point: [f32; 3]) -> ([f64; 3], [f64; 3]) {
        let formula = Expression::log_reward("f", text, 3).unwrap_or_else(|problem| panic!("{problem}"));
        let conditions = &[0.5][..formula.conditions()];
        let (mut out, mut scores) = ([f64::NAN], [f64::NAN; 3]);
        formula.log_rewards_with_scores(&point, conditions, &mut out, &mut scores).unwrap();
        let value = |point: &[f32]| {
            let mut out = [f64::NAN];
            formula.log_rewards(point, conditions, &mut out).unwrap();
            out[0]
        };
        assert_eq!(out[0].to_bits(), value(&point).to_bits(), "{text}");
        // Steps that f32 makes exactly.
        let quotient = |i: usize, step: f32| {
            let [mut up, mut down] = [point; 2];
            (up[i], down[i]) = (point[i] + step, point[i] - step);
            (value(&up) - value(&down)) / (2.0 * f64::from(step))
        };
        let (fine, coarse) = (2f32.powi(-9), 2f32.powi(-8));
        (scores, [0, 1, 2].map(|i| (4.0 * quotient(i, fine) - quotient(i, coarse)) / 3.0))
    }

    #[test]
    fn gradients_are_difference_quotients() {
        let point = [0.75, -1.25, 2.5];
        for text in [
            "-(x0 - 3)^2 / 2 + sin(x1)",
            "x0 * x1 * x2 - x2 / x0 - -x1",
            "x2^x0 + x1^3 + x1^-2 + 2^x1 + x0^0",
            "exp(ln(x2) * tanh(x0)) + sigmoid(x1) * log10(x2) - log2(x0 + 1)",
            "if(x0 > x1, sin(x0 * x2), sqrt(x1))",
            "if(x1, cosh(x0), 1) * if(0, x1, x2 * atan(x1))",
            "max(x0, x1 * x1, x2 - 4) + min(exp(x0), x2)",
            "sum((x - i)^2 * c0) + n * d",
            "sum(x * x2) * prod(x + 0.5) + prod(cos(i * x)) / x0",
            "sum(if(x < 0, -x^3, sqrt(x)) * x0) - abs(x1) * abs(x2)",
            "acos(x0 / 2) + asin(x1 / 2) + tan(x0) + sinh(x1) + cos(x2)",
            "floor(x0) * x1 + ceil(x2) + round(x1) + sign(x2) * x0",
            "(x0 < x2) * x1 + (x0 == 0.75) * x2",
            "3 + pi",
        ] {
            let (found, expected) = both(text, point);
            let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-7 * (1.0 + b.abs()));
            assert!(close, "{text}: {found:?}, {expected:?}");
        }
    }

    /// What has no part in the value has none in the gradient; powers have their limits; products need no division.
    #[test]
    fn edges_have_their_limits() {
        for (text, point, expected) in [
            ("if(x0 > 0, ln(x0), x1)", [-1.0, 2.0, 0.0], [0.0, 1.0, 0.0]),
            ("if(x0, sqrt(x0), x0)", [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
            ("0 * sqrt(x0) + x1", [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
            ("x0^2 + x1^1 + x2^0", [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
            ("prod(x)", [0.0, 3.0, 5.0], [15.0, 0.0, 0.0]),
            ("prod(x)", [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]),
            ("abs(x0) + max(x1, x2)", [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]),
            ("x0^x1", [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]),
        ] {
            let formula = Expression::log_reward("f", text, 3).unwrap();
            let mut scores = [f64::NAN; 3];
            formula
                .log_rewards_with_scores(&point.map(|x: f64| x as f32), &[], &mut [0.0], &mut scores)
                .unwrap();
            assert_eq!(scores, expected, "{text}");
        }
        let (found, _) = both("sqrt(x0 - 0.75)", [0.75, 0.0, 0.0]);
        assert_eq!(found[0], f64::INFINITY);
    }

    #[test]
    fn gradients_of_a_reward_are_of_its_logarithm_and_rows_are_apart() {
        let formula = Expression::reward("f", "1 + x0^2 * c0", 1).unwrap();
        for rows in [0, 1, 15, 16, 17, 100] {
            let points: Vec<f32> = (0..rows).map(|i| i as f32 / 8.0).collect();
            let conditions: Vec<f32> = (0..rows).map(|i| 1.0 + i as f32).collect();
            let (mut out, mut scores) = (vec![f64::NAN; rows], vec![f64::NAN; rows]);
            formula.log_rewards_with_scores(&points, &conditions, &mut out, &mut scores).unwrap();
            for ((x, c), score) in points.iter().zip(&conditions).zip(scores) {
                let (x, c) = (f64::from(*x), f64::from(*c));
                assert!((score - 2.0 * x * c / (1.0 + x * x * c)).abs() < 1e-14);
            }
        }
    }
}
