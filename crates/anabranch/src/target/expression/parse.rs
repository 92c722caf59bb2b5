//! From a formula's text to its program.

use std::f64::consts::{LN_2, LN_10};
use std::iter::Peekable;
use std::vec::IntoIter;

use super::{Binary, DEPTH, LN, Op, Unary};
use crate::error::{Problem, quoted};

/// The longest text, in characters.
const LONGEST: usize = 10_000;

/// The most numbers of a condition that a formula may name.
const MOST_CONDITIONS: usize = 1000;

/// Functions of one number; where one jumps its derivatives there are 0.
const FUNCTIONS: [(&str, Unary); 21] = [
    ("abs", Unary { of: f64::abs, slope: sign, bend: none }),
    (
        "acos",
        Unary {
            of: f64::acos,
            slope: |x| -1.0 / (1.0 - x * x).sqrt(),
            bend: |x| -x * (1.0 - x * x).powf(-1.5),
        },
    ),
    (
        "asin",
        Unary {
            of: f64::asin,
            slope: |x| 1.0 / (1.0 - x * x).sqrt(),
            bend: |x| x * (1.0 - x * x).powf(-1.5),
        },
    ),
    (
        "atan",
        Unary { of: f64::atan, slope: |x| 1.0 / (1.0 + x * x), bend: |x| -2.0 * x / (1.0 + x * x).powi(2) },
    ),
    ("ceil", Unary { of: f64::ceil, slope: none, bend: none }),
    ("cos", Unary { of: f64::cos, slope: |x| -x.sin(), bend: |x| -x.cos() }),
    ("cosh", Unary { of: f64::cosh, slope: f64::sinh, bend: f64::cosh }),
    ("exp", Unary { of: f64::exp, slope: f64::exp, bend: f64::exp }),
    ("floor", Unary { of: f64::floor, slope: none, bend: none }),
    ("ln", LN),
    ("log", LN),
    ("log10", Unary { of: f64::log10, slope: |x| 1.0 / (x * LN_10), bend: |x| -1.0 / (x * x * LN_10) }),
    ("log2", Unary { of: f64::log2, slope: |x| 1.0 / (x * LN_2), bend: |x| -1.0 / (x * x * LN_2) }),
    ("round", Unary { of: f64::round, slope: none, bend: none }),
    (
        "sigmoid",
        Unary {
            of: sigmoid,
            slope: |x| sigmoid(x) * sigmoid(-x),
            bend: |x| sigmoid(x) * sigmoid(-x) * (1.0 - 2.0 * sigmoid(x)),
        },
    ),
    ("sign", Unary { of: sign, slope: none, bend: none }),
    ("sin", Unary { of: f64::sin, slope: f64::cos, bend: |x| -x.sin() }),
    ("sinh", Unary { of: f64::sinh, slope: f64::cosh, bend: f64::sinh }),
    ("sqrt", Unary { of: f64::sqrt, slope: |x| 0.5 / x.sqrt(), bend: |x| -0.25 / (x * x.sqrt()) }),
    ("tan", Unary { of: f64::tan, slope: |x| x.cos().powi(-2), bend: |x| 2.0 * x.tan() * x.cos().powi(-2) }),
    (
        "tanh",
        Unary { of: f64::tanh, slope: |x| x.cosh().powi(-2), bend: |x| -2.0 * x.tanh() * x.cosh().powi(-2) },
    ),
];

const NEGATION: Unary = Unary { of: |x| -x, slope: |_| -1.0, bend: none };

fn none(_: f64) -> f64 {
    0.0
}

fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A function of two numbers that is linear in them where it does not jump.
const fn linear(of: fn(f64, f64) -> f64, slopes: fn(f64, f64) -> [f64; 2]) -> Binary {
    Binary { of, slopes, bends: |_, _| [0.0; 3] }
}

/// Functions of two numbers or more; one that is no number stays one.
const JOINS: [(&str, Binary); 2] = [
    (
        "max",
        linear(
            |a, b| if a > b || a.is_nan() { a } else { b },
            |a, b| if a > b || a.is_nan() { [1.0, 0.0] } else { [0.0, 1.0] },
        ),
    ),
    (
        "min",
        linear(
            |a, b| if a < b || a.is_nan() { a } else { b },
            |a, b| if a < b || a.is_nan() { [1.0, 0.0] } else { [0.0, 1.0] },
        ),
    ),
];

const SUM: Binary = linear(|a, b| a + b, |_, _| [1.0, 1.0]);
const PRODUCT: Binary = Binary { of: |a, b| a * b, slopes: |a, b| [b, a], bends: |_, _| [0.0, 1.0, 0.0] };
const QUOTIENT: Binary = Binary {
    of: |a, b| a / b,
    slopes: |a, b| [1.0 / b, -a / (b * b)],
    bends: |a, b| [0.0, -1.0 / (b * b), 2.0 * a / (b * b * b)],
};
const EXPONENTIATION: Binary = Binary { of: f64::powf, slopes: power_slopes, bends: power_bends };

/// `b a^(b-1)` and `a^b ln a`, with their limits where a power does not depend on `a`, or `a` is 0.
fn power_slopes(a: f64, b: f64) -> [f64; 2] {
    let by_base = if b == 0.0 { 0.0 } else { b * a.powf(b - 1.0) };
    let by_exponent = if a == 0.0 && b > 0.0 { 0.0 } else { a.powf(b) * a.ln() };
    [by_base, by_exponent]
}

/// `b (b-1) a^(b-2)`, `a^(b-1) (1 + b ln a)` and `a^b ln^2 a`, with the same limits.
fn power_bends(a: f64, b: f64) -> [f64; 3] {
    let by_base = if b == 0.0 || b == 1.0 { 0.0 } else { b * (b - 1.0) * a.powf(b - 2.0) };
    let by_both = if a == 0.0 && b > 1.0 { 0.0 } else { a.powf(b - 1.0) * (1.0 + b * a.ln()) };
    let by_exponent = if a == 0.0 && b > 0.0 { 0.0 } else { a.powf(b) * a.ln().powi(2) };
    [by_base, by_both, by_exponent]
}

/// Functions over all cells, and what they start from.
const FOLDS: [(&str, f64, Binary); 2] = [("prod", 1.0, PRODUCT), ("sum", 0.0, SUM)];

/// A comparison, 1 or 0.
const fn comparison(of: fn(f64, f64) -> f64) -> Binary {
    linear(of, |_, _| [0.0; 2])
}

/// A binary operator: its text, how tight it binds, and what it does. `^` alone binds from the right.
type Operator = (&'static str, u8, Binary);

const OPERATORS: [Operator; 11] = [
    ("<", 1, comparison(|a, b| f64::from(u8::from(a < b)))),
    ("<=", 1, comparison(|a, b| f64::from(u8::from(a <= b)))),
    (">", 1, comparison(|a, b| f64::from(u8::from(a > b)))),
    (">=", 1, comparison(|a, b| f64::from(u8::from(a >= b)))),
    ("==", 1, comparison(|a, b| f64::from(u8::from(a == b)))),
    ("!=", 1, comparison(|a, b| f64::from(u8::from(a != b)))),
    ("+", 2, SUM),
    ("-", 2, linear(|a, b| a - b, |_, _| [1.0, -1.0])),
    ("*", 3, PRODUCT),
    ("/", 3, QUOTIENT),
    ("^", POWER, EXPONENTIATION),
];

/// How tight a sign before a term and a power bind.
const SIGN: u8 = 4;
const POWER: u8 = 5;

/// The program of a formula over `cells` cells, and how many numbers its condition has.
pub(super) fn program(place: &str, text: &str, cells: usize) -> Result<(Vec<Op>, usize), Problem> {
    let length = text.chars().count();
    if length > LONGEST {
        let allowed = format!("at most {LONGEST} characters");
        return Err(Problem::new(place, format!("{length} characters")).allowed(allowed));
    }
    let tokens = tokens(place, text)?.into_iter().peekable();
    let end = length + 1;
    let mut parser = Parser {
        place,
        tokens,
        end,
        cells,
        program: Vec::new(),
        conditions: 0,
        height: 0,
        nested: 0,
        inside: false,
    };
    parser.formula(0)?;
    match parser.tokens.next() {
        None => Ok((parser.program, parser.conditions)),
        Some(token) => Err(parser.wrong(token.at, &token.found()).allowed("an operator, or the end")),
    }
}

/// A piece of the text, and the character at which it begins, from 1.
#[derive(Debug, Clone, PartialEq)]
struct Token {
    at: usize,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Number(f64),
    Name(String),
    /// An operator, a bracket or a comma.
    Sign(&'static str),
}

impl Token {
    fn found(&self) -> String {
        match &self.kind {
            Kind::Number(value) => value.to_string(),
            Kind::Name(name) => quoted(name),
            Kind::Sign(sign) => quoted(sign),
        }
    }
}

fn tokens(place: &str, text: &str) -> Result<Vec<Token>, Problem> {
    let wrong = |at: usize, found: &str| Problem::new(format!("{place}, character {at}"), quoted(found));
    let signs = || OPERATORS.iter().map(|operator| operator.0).chain(["(", ")", ","]);
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let start = at;
        let mut take_while = |belongs: &dyn Fn(usize) -> bool| {
            while at < chars.len() && belongs(at) {
                at += 1;
            }
            chars[start..at].iter().collect::<String>()
        };
        let kind = if chars[start].is_whitespace() {
            take_while(&|at| chars[at].is_whitespace());
            continue;
        } else if chars[start].is_ascii_digit() || chars[start] == '.' {
            let exponent = |at: usize| matches!(chars[at], 'e' | 'E');
            let digits = take_while(&|at| {
                let sign = matches!(chars[at], '+' | '-') && at > start && exponent(at - 1);
                chars[at].is_ascii_alphanumeric() || matches!(chars[at], '.' | '_') || sign
            });
            Kind::Number(
                digits
                    .parse()
                    .map_err(|_| wrong(start + 1, &digits).allowed("a number such as 2 or 1e-3"))?,
            )
        } else if chars[start].is_alphabetic() || chars[start] == '_' {
            Kind::Name(take_while(&|at| chars[at].is_alphanumeric() || chars[at] == '_'))
        } else {
            let pair: String = chars[start..].iter().take(2).collect();
            // The longest that fits: <= before <.
            let fits = signs().filter(|sign| pair.starts_with(sign)).max_by_key(|sign| sign.len());
            let Some(sign) = fits else {
                let allowed = "numbers, names, brackets, commas and the operators + - * / ^ < <= > >= == !=";
                return Err(wrong(start + 1, &chars[start].to_string()).allowed(allowed));
            };
            at += sign.len();
            Kind::Sign(sign)
        };
        tokens.push(Token { at: start + 1, kind });
    }
    Ok(tokens)
}

struct Parser<'a> {
    place: &'a str,
    tokens: Peekable<IntoIter<Token>>,
    /// The character behind the last.
    end: usize,
    cells: usize,
    program: Vec<Op>,
    conditions: usize,
    /// Values on the stack after the program so far.
    height: usize,
    /// Formulas inside of each other.
    nested: usize,
    /// Whether this is inside a sum or product over cells.
    inside: bool,
}

impl Parser<'_> {
    fn wrong(&self, at: usize, found: &str) -> Problem {
        Problem::new(format!("{}, character {at}", self.place), found)
    }

    /// Appends a step that makes one value of `operands`.
    fn emit(&mut self, at: usize, op: Op, operands: usize) -> Result<(), Problem> {
        self.height = self.height + 1 - operands;
        if self.height > DEPTH {
            return Err(self.too_deep(at));
        }
        self.program.push(op);
        Ok(())
    }

    fn too_deep(&self, at: usize) -> Problem {
        self.wrong(at, "too many formulas inside of each other").allowed(format!("at most {DEPTH}"))
    }

    /// Reads terms joined by operators that bind at least as tight as `least`.
    fn formula(&mut self, least: u8) -> Result<(), Problem> {
        self.nested += 1;
        if self.nested > DEPTH {
            let at = self.tokens.peek().map_or(self.end, |token| token.at);
            return Err(self.too_deep(at));
        }
        self.term()?;
        while let Some(&Token { at, kind: Kind::Sign(sign) }) = self.tokens.peek() {
            let found = OPERATORS.iter().find(|operator| operator.0 == sign && operator.1 >= least);
            let Some((_, tight, of)) = found else { break };
            self.tokens.next();
            self.formula(if *tight == POWER { POWER } else { tight + 1 })?;
            self.emit(at, Op::Binary(*of), 2)?;
        }
        self.nested -= 1;
        Ok(())
    }

    fn term(&mut self) -> Result<(), Problem> {
        let wanted = "a number, a name, a bracket or a sign";
        let Some(token) = self.tokens.next() else {
            return Err(self.wrong(self.end, "the end").allowed(wanted));
        };
        match token.kind {
            Kind::Number(value) => self.emit(token.at, Op::Constant(value), 0),
            Kind::Name(ref name) => self.name(token.at, name),
            Kind::Sign("(") => {
                self.formula(0)?;
                self.expect(")")
            }
            Kind::Sign("-") => {
                self.formula(SIGN)?;
                self.emit(token.at, Op::Unary(NEGATION), 1)
            }
            Kind::Sign("+") => self.formula(SIGN),
            Kind::Sign(_) => Err(self.wrong(token.at, &token.found()).allowed(wanted)),
        }
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Problem> {
        match self.tokens.next() {
            Some(Token { kind: Kind::Sign(found), .. }) if found == sign => Ok(()),
            Some(token) => {
                Err(self.wrong(token.at, &token.found()).allowed(format!("\"{sign}\" or an operator")))
            }
            None => Err(self.wrong(self.end, "the end").allowed(format!("\"{sign}\""))),
        }
    }

    /// Reads what follows a name.
    fn name(&mut self, at: usize, name: &str) -> Result<(), Problem> {
        let numbered = |letter: char| {
            let digits = name.strip_prefix(letter)?;
            let plain = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
            plain.then(|| digits.parse::<usize>().unwrap_or(usize::MAX))
        };
        match name {
            "pi" => return self.emit(at, Op::Constant(std::f64::consts::PI), 0),
            "e" => return self.emit(at, Op::Constant(std::f64::consts::E), 0),
            "d" => return self.emit(at, Op::Constant(self.cells as f64), 0),
            "n" => return self.emit(at, Op::Total, 0),
            "x" if self.inside => return self.emit(at, Op::Each, 0),
            "i" if self.inside => return self.emit(at, Op::Index, 0),
            "x" | "i" => {
                let allowed = "inside sum(..) or prod(..) alone; one cell is x0, x1, ...";
                return Err(self.wrong(at, &quoted(name)).allowed(allowed));
            }
            "if" => return self.choice(at),
            _ => {}
        }
        if let Some(cell) = numbered('x').filter(|cell| *cell < self.cells) {
            return self.emit(at, Op::Cell(cell), 0);
        }
        if let Some(c) = numbered('c').filter(|c| *c < MOST_CONDITIONS) {
            self.conditions = self.conditions.max(c + 1);
            return self.emit(at, Op::Condition(c), 0);
        }
        if let Some((_, of)) = FUNCTIONS.iter().find(|function| function.0 == name) {
            self.expect("(")?;
            self.formula(0)?;
            self.expect(")")?;
            return self.emit(at, Op::Unary(*of), 1);
        }
        if let Some((_, join)) = JOINS.iter().find(|function| function.0 == name) {
            return self.join(at, *join);
        }
        if let Some((_, start, join)) = FOLDS.iter().find(|function| function.0 == name) {
            return self.fold(at, *start, *join);
        }
        Err(self.unknown(at, name))
    }

    fn join(&mut self, at: usize, join: Binary) -> Result<(), Problem> {
        self.expect("(")?;
        self.formula(0)?;
        self.expect(",")?;
        loop {
            self.formula(0)?;
            self.emit(at, Op::Binary(join), 2)?;
            if self.tokens.next_if(|token| token.kind == Kind::Sign(",")).is_none() {
                return self.expect(")");
            }
        }
    }

    fn choice(&mut self, at: usize) -> Result<(), Problem> {
        for sign in ["(", ",", ","] {
            self.expect(sign)?;
            self.formula(0)?;
        }
        self.expect(")")?;
        self.emit(at, Op::Select, 3)
    }

    fn fold(&mut self, at: usize, start: f64, join: Binary) -> Result<(), Problem> {
        if self.inside {
            return Err(self.wrong(at, "a sum or product inside of another").allowed("one at a time"));
        }
        self.inside = true;
        let fold = self.program.len();
        self.program.push(Op::Fold { start, join, body: 0 });
        self.expect("(")?;
        // Its value takes the place of what its body leaves.
        self.formula(0)?;
        self.expect(")")?;
        self.program[fold] = Op::Fold { start, join, body: self.program.len() - fold - 1 };
        self.inside = false;
        Ok(())
    }

    fn unknown(&self, at: usize, name: &str) -> Problem {
        let cells: Vec<String> = (0..self.cells.min(1000)).map(|cell| format!("x{cell}")).collect();
        let functions = FUNCTIONS.iter().map(|function| function.0);
        let others = functions.chain(JOINS.iter().map(|f| f.0)).chain(FOLDS.iter().map(|f| f.0));
        let names: Vec<&str> =
            cells.iter().map(String::as_str).chain(["n", "d", "pi", "e", "if"]).chain(others).collect();
        let known = names[cells.len()..].join(", ");
        let last = self.cells.saturating_sub(1);
        self.wrong(at, &quoted(name)).choices(&names).allowed(format!("x0 to x{last}, c0, c1, ..., {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        program("reward.log_reward", text, 4).expect_err(text).to_string()
    }

    /// By difference quotients to fourth order, where a function has values, of itself and of its derivative.
    #[test]
    fn every_function_has_its_derivatives() {
        let quotient = |of: &dyn Fn(f64) -> f64, x: f64| {
            let one = |step: f64| (of(x + step) - of(x - step)) / (2.0 * step);
            (4.0 * one(1e-3) - one(2e-3)) / 3.0
        };
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-6 * (1.0 + expected.abs());
        let mut compared = 0;
        let points = [-2.3, -0.8, -0.3, 0.2, 0.6, 1.7];
        for (name, Unary { of, slope, bend }) in FUNCTIONS.into_iter().chain([("-", NEGATION)]) {
            for x in points.into_iter().filter(|x| quotient(&of, *x).is_finite()) {
                assert!(close(slope(x), quotient(&of, x)), "{name}({x}): {}", slope(x));
                assert!(close(bend(x), quotient(&slope, x)), "{name}''({x}): {}", bend(x));
                compared += 2;
            }
        }
        let operators = OPERATORS.into_iter().map(|(name, _, of)| (name, of));
        for (name, Binary { of, slopes, bends }) in operators.chain(JOINS) {
            for (a, b) in points.into_iter().flat_map(|a| points.map(|b| (a, 1.1 * b + 0.07))) {
                let expected = [quotient(&|x| of(x, b), a), quotient(&|x| of(a, x), b)];
                for k in (0..2).filter(|k| expected[*k].is_finite()) {
                    assert!(close(slopes(a, b)[k], expected[k]), "{a} {name} {b}: {:?}", slopes(a, b));
                    let second = [quotient(&|x| slopes(x, b)[k], a), quotient(&|x| slopes(a, x)[k], b)];
                    for i in (0..2).filter(|i| second[*i].is_finite()) {
                        assert!(close(bends(a, b)[k + i], second[i]), "{a} {name} {b}: {:?}", bends(a, b));
                    }
                    compared += 1;
                }
            }
        }
        assert!(compared > 900, "{compared}");
    }

    #[test]
    fn errors_name_the_place_and_the_nearest_name() {
        assert_eq!(
            message("x0 + sine(x1)"),
            "reward.log_reward, character 6: found \"sine\"; allowed: x0 to x3, c0, c1, ..., n, d, pi, e, if, abs, acos, \
             asin, atan, ceil, cos, cosh, exp, floor, ln, log, log10, log2, round, sigmoid, sign, sin, sinh, sqrt, tan, \
             tanh, max, min, prod, sum; did you mean \"sin\"?"
        );
        for (text, expected) in [
            ("x4", "character 1: found \"x4\"; allowed: x0 to x3"),
            ("x99999999999999999999999", "character 1: found \"x99999999999999999999999\"; allowed: x0"),
            ("c1000", "character 1: found \"c1000\"; allowed: x0"),
            ("1 +", "character 4: found the end; allowed: a number, a name, a bracket or a sign"),
            ("", "character 1: found the end"),
            ("(1 + 2", "character 7: found the end; allowed: \")\""),
            ("1 + 2)", "character 6: found \")\"; allowed: an operator, or the end"),
            ("2 x0", "character 3: found \"x0\"; allowed: an operator, or the end"),
            ("2x0", "character 1: found \"2x0\"; allowed: a number such as 2"),
            ("1.2.3", "character 1: found \"1.2.3\"; allowed: a number"),
            ("é * 2", "character 1: found \"é\"; allowed: x0"),
            ("1 $ 2", "character 3: found \"$\"; allowed: numbers, names"),
            ("x0 = 1", "character 4: found \"=\"; allowed: numbers, names"),
            ("1 * * 2", "character 5: found \"*\"; allowed: a number, a name"),
            ("sin x0", "character 5: found \"x0\"; allowed: \"(\" or an operator"),
            ("max(1)", "character 6: found \")\"; allowed: \",\" or an operator"),
            ("if(1, 2)", "character 8: found \")\"; allowed: \",\" or an operator"),
            ("sin(1, 2)", "character 6: found \",\"; allowed: \")\" or an operator"),
            ("x + 1", "character 1: found \"x\"; allowed: inside sum(..) or prod(..) alone"),
            ("sum(x) + i", "character 10: found \"i\"; allowed: inside"),
            ("sum(prod(x))", "character 5: found a sum or product inside of another; allowed: one at a time"),
        ] {
            let found = message(text);
            assert!(found.starts_with(&format!("reward.log_reward, {expected}")), "{text}: {found}");
        }
    }

    /// Whatever nests is refused before it could overflow a stack, and what does not nest is not.
    #[test]
    fn everything_is_bounded() {
        for (open, close) in [("(", ")"), ("-", ""), ("sin(", ")"), ("2^", ""), ("1+(", ")"), ("max(1,", ")")]
        {
            let nested = |times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
            assert!(program("f", &nested(30), 1).is_ok(), "{open}");
            let found = message(&nested(1000));
            assert!(
                found.contains("found too many formulas inside of each other; allowed: at most 64"),
                "{found}"
            );
        }
        assert!(program("f", &format!("1{}", " + 1".repeat(2000)), 1).is_ok());
        assert!(program("f", &format!("max(1{})", ", 1".repeat(2000)), 1).is_ok());
        assert_eq!(
            message(&"1".repeat(10_001)),
            "reward.log_reward: found 10001 characters; allowed: at most 10000 characters"
        );
    }
}
