//! A reward by a formula, such as `-(x0 - 3)^2 / 2 + sin(x1)`.
//!
//! | | |
//! |---|---|
//! | numbers | `2`, `.5`, `1e-3`, `pi`, `e` |
//! | cells | `x0`, `x1`, ...; `n` their sum, `d` how many there are |
//! | condition | `c0`, `c1`, ... |
//! | operators, tightest first | `^` (from the right), `-` before a term, `* /`, `+ -`, `< <= > >= == !=` (1 or 0) |
//! | functions | `abs acos asin atan ceil cos cosh exp floor ln log log10 log2 round sigmoid sign sin sinh sqrt tan tanh` of one, `min max` of two or more |
//! | choice | `if(condition, then, otherwise)`: `then` where the condition is not 0 |
//! | over cells | `sum(..)`, `prod(..)` of a formula in which `x` is each cell and `i` its number from 0 |
//!
//! `log` and `ln` are both the natural logarithm. Precedence climbing (Pratt 1973) turns the text into a program for a stack,
//! which is run on sixteen objects at a time; nothing nests deeper than that stack.

mod gradient;
mod parse;

use rayon::prelude::*;

use super::{Failure, Target};
use crate::environment::Number;
use crate::error::Problem;
use crate::math::{Dual, Real};
use gradient::Tape;

/// A reward by a formula.
#[derive(Debug)]
pub struct Expression {
    program: Vec<Op>,
    cells: usize,
    conditions: usize,
    log_z: Option<f64>,
}

/// Objects that the program is run on at a time.
const LANES: usize = 16;

/// The most values on the stack, and how deep a formula may nest.
const DEPTH: usize = 64;

/// A function of one value, with its first and second derivative.
#[derive(Debug, Clone, Copy)]
struct Unary {
    of: fn(f64) -> f64,
    slope: fn(f64) -> f64,
    bend: fn(f64) -> f64,
}

impl Unary {
    fn value<T: Real>(self, a: T) -> T {
        let x = a.value();
        a.chain((self.of)(x), || (self.slope)(x))
    }

    fn derivative<T: Real>(self, a: T) -> T {
        let x = a.value();
        a.chain((self.slope)(x), || (self.bend)(x))
    }
}

/// A function of two values, with its derivatives by both, and its second ones: by the first, by both, by the second.
#[derive(Debug, Clone, Copy)]
struct Binary {
    of: fn(f64, f64) -> f64,
    slopes: fn(f64, f64) -> [f64; 2],
    bends: fn(f64, f64) -> [f64; 3],
}

impl Binary {
    fn value<T: Real>(self, a: T, b: T) -> T {
        let (x, y) = (a.value(), b.value());
        a.chain_two(b, (self.of)(x, y), || (self.slopes)(x, y))
    }

    fn derivatives<T: Real>(self, a: T, b: T) -> [T; 2] {
        let (x, y) = (a.value(), b.value());
        let [by_first, by_second] = (self.slopes)(x, y);
        let bends = || (self.bends)(x, y);
        let [first, second] = [0, 1].map(|k| move || [bends()[k], bends()[k + 1]]);
        [a.chain_two(b, by_first, first), a.chain_two(b, by_second, second)]
    }
}

const LN: Unary = Unary { of: f64::ln, slope: |x| 1.0 / x, bend: |x| -1.0 / (x * x) };

/// One step of the program: takes its operands from the stack and puts its value there.
#[derive(Debug, Clone, Copy)]
enum Op {
    Constant(f64),
    Cell(usize),
    Condition(usize),
    /// The sum of all cells.
    Total,
    /// The cell that a fold is at.
    Each,
    /// Its number.
    Index,
    Unary(Unary),
    Binary(Binary),
    /// The second of three where the first is not 0, the third otherwise.
    Select,
    /// Runs the next `body` steps for each cell, and joins their values, from `start`.
    Fold {
        start: f64,
        join: Binary,
        body: usize,
    },
}

impl Expression {
    /// Reads the formula of `log R` over objects of `cells` cells; `place` names it in errors.
    ///
    /// # Errors
    /// If the text is no formula, with the character where it stops being one; if it names a cell that is not there, is too
    /// long or nests too deep.
    pub fn log_reward(place: &str, text: &str, cells: usize) -> Result<Self, Problem> {
        let (program, conditions) = parse::program(place, text, cells)?;
        Ok(Self { program, cells, conditions, log_z: None })
    }

    /// Reads the formula of `R`.
    ///
    /// # Errors
    /// As [`Expression::log_reward`].
    pub fn reward(place: &str, text: &str, cells: usize) -> Result<Self, Problem> {
        let mut formula = Self::log_reward(place, text, cells)?;
        formula.program.push(Op::Unary(LN));
        Ok(formula)
    }

    /// With the `log Z` that somebody knows, nats.
    #[must_use]
    pub fn with_log_z(self, log_z: Option<f64>) -> Self {
        Self { log_z, ..self }
    }

    /// How many numbers of a condition it reads.
    pub fn conditions(&self) -> usize {
        self.conditions
    }

    /// Its value at one object.
    ///
    /// # Panics
    /// If it reads a condition, or the object has not its cells.
    pub fn value<C: Number>(&self, object: &[C]) -> f64 {
        let mut out = [f64::NAN];
        self.run(object, &[], &mut out);
        out[0]
    }

    /// The values of at most [`LANES`] objects.
    fn run<C: Number>(&self, objects: &[C], conditions: &[f32], out: &mut [f64]) {
        let mut stack = Stack::empty();
        self.batch(objects, conditions, out.len()).run(&self.program, &mut stack, ([0.0; LANES], 0.0));
        out.copy_from_slice(&stack.values[0][..out.len()]);
    }

    fn batch<'a, C>(&self, objects: &'a [C], conditions: &'a [f32], rows: usize) -> Batch<'a, C> {
        Batch { objects, cells: self.cells, conditions, width: self.conditions, rows, directions: &[] }
    }

    /// The values of at most [`LANES`] objects, and their gradients, `[rows, cells]`.
    fn differentiate<C: Number>(
        &self,
        (objects, conditions): (&[C], &[f32]),
        (out, scores): (&mut [f64], &mut [f64]),
        tape: &mut Tape<f64>,
    ) {
        let mut stack = Stack::empty();
        self.batch(objects, conditions, out.len()).differentiate(&self.program, &mut stack, tape);
        out.copy_from_slice(&stack.values[0][..out.len()]);
        for (row, score) in scores.chunks_exact_mut(self.cells).enumerate() {
            score.iter_mut().zip(&tape.gradient).for_each(|(to, by_cell)| *to = by_cell[row]);
        }
    }

    /// The derivatives of the gradients of at most [`LANES`] objects along directions, `[rows, cells]`.
    fn bend<C: Number>(
        &self,
        (objects, conditions): (&[C], &[f32]),
        directions: &[f64],
        out: &mut [f64],
        tape: &mut Tape<Dual>,
    ) {
        let batch = self.batch(objects, conditions, out.len() / self.cells);
        Batch { directions, ..batch }.differentiate(&self.program, &mut Stack::empty(), tape);
        for (row, out) in out.chunks_exact_mut(self.cells).enumerate() {
            out.iter_mut().zip(&tape.gradient).for_each(|(to, by_cell)| [*to] = by_cell[row].slopes);
        }
    }
}

/// The objects that a program is run on.
struct Batch<'a, C> {
    objects: &'a [C],
    cells: usize,
    conditions: &'a [f32],
    width: usize,
    rows: usize,
    /// `[rows, cells]`: where the cells move, or nothing.
    directions: &'a [f64],
}

type Lanes<T> = [T; LANES];

struct Stack<T> {
    values: [Lanes<T>; DEPTH],
    height: usize,
}

impl<T: Real> Stack<T> {
    fn empty() -> Self {
        Self { values: [[0.0.into(); LANES]; DEPTH], height: 0 }
    }

    fn push(&mut self, value: Lanes<T>) {
        self.values[self.height] = value;
        self.height += 1;
    }

    fn pop(&mut self) -> Lanes<T> {
        self.height -= 1;
        self.values[self.height]
    }
}

/// A number that a program is run over.
trait Lane: Real {
    /// One that moves so fast.
    fn moving(value: f64, speed: impl FnOnce() -> f64) -> Self;
}

impl Lane for f64 {
    fn moving(value: f64, _: impl FnOnce() -> f64) -> Self {
        value
    }
}

impl Lane for Dual {
    fn moving(value: f64, speed: impl FnOnce() -> f64) -> Self {
        Self { value, slopes: [speed()] }
    }
}

impl<C: Number> Batch<'_, C> {
    /// `each` is the cell that a fold is at and its number.
    fn run<T: Lane>(&self, program: &[Op], stack: &mut Stack<T>, each: (Lanes<T>, f64)) {
        let mut at = 0;
        while let Some(op) = program.get(at) {
            at += 1;
            match *op {
                Op::Constant(value) => stack.push([value.into(); LANES]),
                Op::Cell(cell) => stack.push(self.column(cell)),
                Op::Condition(c) => {
                    stack.push(self.rows_of(|row| f64::from(self.conditions[row * self.width + c]).into()))
                }
                Op::Total => stack.push(self.rows_of(|row| {
                    let cells = row * self.cells..(row + 1) * self.cells;
                    let total = self.objects[cells.clone()].iter().map(|cell| cell.number()).sum();
                    T::moving(total, || self.directions[cells].iter().sum())
                })),
                Op::Each => stack.push(each.0),
                Op::Index => stack.push([each.1.into(); LANES]),
                Op::Unary(of) => {
                    let a = stack.pop();
                    stack.push(a.map(|a| of.value(a)));
                }
                Op::Binary(of) => {
                    let (b, a) = (stack.pop(), stack.pop());
                    stack.push(std::array::from_fn(|lane| of.value(a[lane], b[lane])));
                }
                Op::Select => {
                    let (no, yes, condition) = (stack.pop(), stack.pop(), stack.pop());
                    let choose =
                        |lane: usize| if condition[lane].value() != 0.0 { yes[lane] } else { no[lane] };
                    stack.push(std::array::from_fn(choose));
                }
                Op::Fold { start, join, body } => {
                    let mut joined = [T::from(start); LANES];
                    for cell in 0..self.cells {
                        self.run(&program[at..at + body], stack, (self.column(cell), cell as f64));
                        let value = stack.pop();
                        joined = std::array::from_fn(|lane| join.value(joined[lane], value[lane]));
                    }
                    stack.push(joined);
                    at += body;
                }
            }
        }
    }

    fn column<T: Lane>(&self, cell: usize) -> Lanes<T> {
        self.rows_of(|row| {
            let at = row * self.cells + cell;
            T::moving(self.objects[at].number(), || self.directions[at])
        })
    }

    fn rows_of<T: Real>(&self, value: impl Fn(usize) -> T) -> Lanes<T> {
        std::array::from_fn(|lane| if lane < self.rows { value(lane) } else { 0.0.into() })
    }
}

impl<C: Number> Target<C> for Expression {
    fn log_rewards(&self, objects: &[C], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let run = |(chunk, out): (usize, &mut [f64])| {
            let (first, rows) = (chunk * LANES, out.len());
            let objects = &objects[first * self.cells..][..rows * self.cells];
            self.run(objects, &conditions[first * self.conditions..][..rows * self.conditions], out);
        };
        if out.len() <= 4 * LANES {
            out.chunks_mut(LANES).enumerate().for_each(run);
        } else {
            out.par_chunks_mut(LANES).with_min_len(4).enumerate().for_each(run);
        }
        Ok(())
    }

    fn has_scores(&self) -> bool {
        true
    }

    fn log_rewards_with_scores(
        &self,
        objects: &[C],
        conditions: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        out.par_chunks_mut(LANES).zip(scores.par_chunks_mut(LANES * self.cells)).enumerate().for_each_init(
            Tape::default,
            |tape, (chunk, (out, scores))| {
                let (first, rows) = (chunk * LANES, out.len());
                let objects = &objects[first * self.cells..][..rows * self.cells];
                let conditions = &conditions[first * self.conditions..][..rows * self.conditions];
                self.differentiate((objects, conditions), (out, scores), tape);
            },
        );
        Ok(())
    }

    fn has_curvature(&self) -> bool {
        true
    }

    fn score_derivatives(
        &self,
        objects: &[C],
        conditions: &[f32],
        directions: &[f64],
        out: &mut [f64],
    ) -> Result<(), Failure> {
        let size = LANES * self.cells;
        out.par_chunks_mut(size).zip(directions.par_chunks(size)).enumerate().for_each_init(
            Tape::default,
            |tape, (chunk, (out, directions))| {
                let (first, rows) = (chunk * LANES, out.len() / self.cells);
                let objects = &objects[first * self.cells..][..rows * self.cells];
                let conditions = &conditions[first * self.conditions..][..rows * self.conditions];
                self.bend((objects, conditions), directions, out, tape);
            },
        );
        Ok(())
    }

    fn condition_width(&self) -> usize {
        self.conditions()
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        self.log_z.filter(|_| beta == 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Cell;

    /// The value at the cells 3, 0, 7, 2 under the conditions 0.5 and -2.
    fn value(text: &str) -> f64 {
        let formula = Expression::log_reward("f", text, 4).unwrap_or_else(|problem| panic!("{problem}"));
        let mut out = [f64::NAN];
        let conditions = [0.5, -2.0];
        formula.log_rewards(&[3 as Cell, 0, 7, 2], &conditions[..formula.conditions], &mut out).unwrap();
        out[0]
    }

    #[test]
    fn formulas_have_their_values() {
        for (text, exact) in [
            ("-(x0 - 3)^2 / 2 + sin(x2)", 7f64.sin()),
            ("2 + 3 * 4 - 5", 9.0),
            ("8 - 4 - 2", 2.0),
            ("8 / 4 / 2", 1.0),
            ("2^3^2", 512.0),
            ("-2^2", -4.0),
            ("2^-1", 0.5),
            ("-x0^2 * -1", 9.0),
            ("--3 - -+1", 4.0),
            ("2 * (3 + 4)", 14.0),
            ("1e-3 + .5 + 2.", 2.501),
            ("1E+2e", f64::NAN),
            ("pi + e", std::f64::consts::PI + std::f64::consts::E),
            ("n + 10 * d", 52.0),
            ("c0 * c1", -1.0),
            ("exp(ln(x2)) + log(e) + log10(100) + log2(8)", 13.0),
            ("sqrt(abs(-16)) + floor(2.7) + ceil(2.2) + round(2.5)", 12.0),
            ("sign(-3) + sign(0) + sign(5) * 10", 9.0),
            ("tanh(0.3) - sinh(0.3) / cosh(0.3)", 0.0),
            ("sigmoid(-2) - 1 / (1 + exp(2))", 0.0),
            ("asin(1) + acos(1) + atan(1) * 2 - tan(0)", std::f64::consts::PI),
            ("min(4, x1, 2) + 10 * max(x0, x2)", 70.0),
            (
                "(x0 < x2) + 2 * (x0 >= 3) + 4 * (x0 == 3) + 8 * (x0 != 3) + 16 * (x0 > 3) + 32 * (x0 <= 3)",
                39.0,
            ),
            ("1 + 1 < 3", 1.0),
            ("if(x1, 1 / x1, -7)", -7.0),
            ("if(x0 > 2, x2, ln(-1))", 7.0),
            ("sum(x)", 12.0),
            ("sum((x - 1)^2)", 42.0),
            ("sum(i * x) + 1", 21.0),
            ("prod(x + 1) - x2", 89.0),
            ("sum(x) * prod(if(i == 1, 5, c0))", 7.5),
            ("cos(x1)", 1.0),
        ] {
            if exact.is_nan() {
                assert!(Expression::log_reward("f", text, 4).is_err(), "{text}");
            } else {
                assert!((value(text) - exact).abs() < 1e-13, "{text}: {}, {exact}", value(text));
            }
        }
        assert!(
            value("ln(x1 - 1)").is_nan()
                && value("max(ln(-1), 1)").is_nan()
                && value("min(1, ln(-1))").is_nan()
        );
        assert_eq!(value("ln(x1)"), f64::NEG_INFINITY);
    }

    #[test]
    fn batches_of_any_size_are_rows() {
        let formula = Expression::reward("f", "1 + x0 + c1 * sum(i * x)", 3).unwrap();
        assert_eq!(formula.conditions, 2);
        for rows in [0, 1, 15, 16, 17, 100, 1000] {
            let objects: Vec<Cell> = (0..rows * 3).map(|i| (i * i % 11) as Cell).collect();
            let conditions: Vec<f32> = (0..rows * 2).map(|i| i as f32).collect();
            let mut out = vec![f64::NAN; rows];
            formula.log_rewards(&objects, &conditions, &mut out).unwrap();
            for (row, (found, x)) in out.iter().zip(objects.chunks(3)).enumerate() {
                let weighted = f64::from(x[1]) + 2.0 * f64::from(x[2]);
                let exact = (1.0 + f64::from(x[0]) + (2 * row + 1) as f64 * weighted).ln();
                assert_eq!(*found, exact);
            }
        }
    }
}
