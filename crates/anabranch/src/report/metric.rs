//! How metrics are written: with as many digits as their errors leave room for.

use serde_json::{Map, Value};

use super::registry::describe;
use crate::plot::superscript;

/// The names of the metrics themselves, without their standard errors, in order.
pub(super) fn names(metrics: &Map<String, Value>) -> Vec<&str> {
    let is_error = |name: &str| name.strip_suffix("_se").is_some_and(|base| metrics.contains_key(base));
    metrics.keys().map(String::as_str).filter(|name| !is_error(name)).collect()
}

/// A metric's value (NaN where it is not a finite number) and its standard error; `None` where there is no such metric.
pub(super) fn estimate(metrics: &Map<String, Value>, name: &str) -> Option<(f64, Option<f64>)> {
    let value = metrics.get(name)?;
    let value = if value.is_null() { f64::NAN } else { value.as_f64()? };
    Some((value, metrics.get(&format!("{name}_se")).and_then(Value::as_f64)))
}

/// A metric as text, whatever it holds.
pub(super) fn text(metrics: &Map<String, Value>, name: &str) -> Option<String> {
    match (estimate(metrics, name), metrics.get(name)) {
        // Nats and bits without an error are exact, and are compared with estimates of several digits.
        (Some((value, None)), _) if ["nats", "bits"].contains(&describe(name).unit) => Some(number(value, 6)),
        (Some((value, error)), _) => Some(with_error(value, error)),
        (None, Some(Value::String(text))) => Some(text.clone()),
        (None, Some(other)) => Some(other.to_string()),
        (None, None) => None,
    }
}

/// A number with its standard error, as many digits as the error leaves room for: two digits of the error are shown.
/// Without an error, four significant digits.
///
/// ```
/// assert_eq!(anabranch::report::with_error(2.34567, Some(0.0123)), "2.346 ± 0.012");
/// assert_eq!(anabranch::report::with_error(0.012_345, None), "0.01235");
/// ```
pub fn with_error(value: f64, error: Option<f64>) -> String {
    let Some(error) = error.filter(|error| value.is_finite() && error.is_finite() && *error > 0.0) else {
        return number(value, 4);
    };
    if value.abs() >= 1e6 || !(1e-7..1e6).contains(&error) {
        let exponent = value.abs().max(error).log10().floor() as i32;
        let scale = 10f64.powi(exponent);
        let decimals = decimals_for(error / scale, 2);
        let inner = format!("{:.decimals$} \u{b1} {:.decimals$}", value / scale, error / scale);
        if exponent == 0 {
            return minus(&inner);
        }
        return minus(&format!("({inner})\u{d7}10{}", superscript(exponent)));
    }
    let decimals = decimals_for(error, 2);
    minus(&format!("{value:.decimals$} \u{b1} {error:.decimals$}"))
}

/// A number with so many significant digits.
fn number(value: f64, digits: i32) -> String {
    if value.is_nan() {
        return "not finite".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "\u{221e}" } else { "\u{2212}\u{221e}" }.to_owned();
    }
    if value == 0.0 || (value.fract() == 0.0 && value.abs() < 1e6) {
        return minus(&format!("{value:.0}"));
    }
    if (1e-4..1e6).contains(&value.abs()) {
        let decimals = decimals_for(value, digits);
        return minus(&format!("{value:.decimals$}"));
    }
    let exponent = value.abs().log10().floor() as i32;
    let decimals = digits.max(1) as usize - 1;
    minus(&format!("{:.decimals$}\u{d7}10{}", value / 10f64.powi(exponent), superscript(exponent)))
}

/// How many decimals show `digits` significant digits of a value.
fn decimals_for(value: f64, digits: i32) -> usize {
    (digits - 1 - value.abs().log10().floor() as i32).clamp(0, 12) as usize
}

/// Text of numbers with a proper minus, which zero has none of.
fn minus(text: &str) -> String {
    let signed = |word: &str| match word.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| matches!(c, '0' | '.')) => digits.to_owned(),
        Some(digits) => format!("\u{2212}{digits}"),
        None => word.to_owned(),
    };
    text.split(' ').map(signed).collect::<Vec<_>>().join(" ")
}

/// A count in groups of three digits.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("\u{202f}")
}

/// A duration in the units a person would use.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "an unknown time".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => {
            format!("{} s", number(seconds, 2))
        }
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_error() {
        let cases = [
            (2.34567, Some(0.0123), "2.346 \u{b1} 0.012"),
            (-1234.5678, Some(3.21), "\u{2212}1234.6 \u{b1} 3.2"),
            (1234.5, Some(321.0), "1234 \u{b1} 321"),
            (1.0, Some(0.0), "1"),
            (0.5, Some(f64::NAN), "0.5000"),
            (123_456_789.0, Some(1000.0), "(1.234568 \u{b1} 0.000010)\u{d7}10\u{2078}"),
            (2e-9, Some(3e-10), "(2.00 \u{b1} 0.30)\u{d7}10\u{207b}\u{2079}"),
            (4.7, Some(4.8e-8), "4.700000000 \u{b1} 0.000000048"),
            (f64::NAN, Some(1.0), "not finite"),
            (f64::NEG_INFINITY, None, "\u{2212}\u{221e}"),
            (1.5e-5, None, "1.500\u{d7}10\u{207b}\u{2075}"),
            (300.0, None, "300"),
            (-0.0, None, "0"),
            (-0.04, Some(1.2), "0.0 \u{b1} 1.2"),
            (-0.06, Some(1.2), "\u{2212}0.1 \u{b1} 1.2"),
        ];
        for (value, error, expected) in cases {
            assert_eq!(with_error(value, error), expected);
        }
    }

    #[test]
    fn counts_and_durations_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        let cases = [
            (0.1234, "0.12 s"),
            (12.34, "12 s"),
            (59.7, "1 min 0 s"),
            (3725.0, "1 h 2 min"),
            (f64::NAN, "an unknown time"),
        ];
        cases.iter().for_each(|(seconds, text)| assert_eq!(duration(*seconds), *text));
    }

    #[test]
    fn names_leave_out_errors_but_no_metric() {
        let metrics = serde_json::json!({ "nll": 1.0, "nll_se": 0.1, "lone_se": 2.0, "note": "x", "bad": null, "log_z_exact": 1.25f64.ln() });
        let metrics = metrics.as_object().unwrap();
        assert_eq!(names(metrics), ["nll", "lone_se", "note", "bad", "log_z_exact"]);
        assert_eq!(text(metrics, "nll").unwrap(), "1.00 \u{b1} 0.10");
        assert_eq!(text(metrics, "note").unwrap(), "x");
        assert_eq!(text(metrics, "bad").unwrap(), "not finite");
        assert_eq!(text(metrics, "log_z_exact").unwrap(), "0.223144");
        assert_eq!(text(metrics, "none"), None);
    }
}
