//! What the names of metrics mean, and how numbers are written.

use serde_json::{Map, Value};

use crate::plot::superscript;

/// Which of two values of a metric is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// Neither: it says something else.
    Neither,
}

/// A metric in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name for people.
    pub label: String,
    /// Its unit; empty for none.
    pub unit: &'static str,
    /// What it means, in a line; empty where that is not known.
    pub meaning: &'static str,
    /// Which value is better.
    pub better: Better,
}

type Known = (&'static str, &'static str, &'static str, Better, &'static str);

use Better::{Higher, Lower, Neither};

const KNOWN: &[Known] = &[
    (
        "nll",
        "Negative log-likelihood",
        "nats",
        Lower,
        "Mean over held-out rows of −log p(x), or of its bound where log p is not tractable.",
    ),
    (
        "nll_exact",
        "Entropy of the target",
        "nats",
        Neither,
        "The negative log-likelihood of the true density on the same rows: no model can beat it on average.",
    ),
    (
        "nll_importance",
        "Importance-weighted NLL",
        "nats",
        Lower,
        "A tighter bound on the negative log-likelihood, from several paths per row.",
    ),
    (
        "nll_ode",
        "NLL along the ODE",
        "nats",
        Lower,
        "The negative log-likelihood of the deterministic chain with the diffusion's marginals: another model from the same network.",
    ),
    (
        "bits_per_dim",
        "Bits per dimension",
        "bits",
        Lower,
        "The negative log-likelihood over the number of dimensions: what a lossless code would need for each.",
    ),
    (
        "bits_per_dim_ode",
        "Bits per dimension, along the ODE",
        "bits",
        Lower,
        "The same of the likelihood along the probability-flow ODE.",
    ),
    (
        "bits_per_dim_gaussian",
        "Gaussian baseline",
        "bits",
        Neither,
        "Bits per dimension of one Gaussian with a full covariance.",
    ),
    (
        "bits_per_dim_histogram",
        "Histogram baseline",
        "bits",
        Neither,
        "Bits per dimension of independent histograms, one for each dimension.",
    ),
    ("elbo", "Evidence lower bound", "nats", Higher, "The mean log-weight of forward paths: at most log Z."),
    (
        "eubo",
        "Evidence upper bound",
        "nats",
        Lower,
        "The mean log-weight of backward paths from exact samples: at least log Z, and far above where a mode is missed.",
    ),
    ("log_z", "log Z, importance-weighted", "nats", Neither, "The log of the mean weight of forward paths."),
    ("log_z_exact", "log Z, exact", "nats", Neither, "The log of the normalising constant, in closed form."),
    (
        "ess",
        "Effective sample size",
        "fraction",
        Higher,
        "The share of forward paths that carry weight, from 0 to 1; blind to modes that no path reaches.",
    ),
    (
        "forward_ess",
        "Effective sample size, backward paths",
        "fraction",
        Higher,
        "From exact samples, from 0 to 1: near 0 where the model misses part of the target.",
    ),
    (
        "mmd",
        "Maximum mean discrepancy, squared",
        "",
        Lower,
        "Unbiased: 0 on average where samples and data have one law, and may be negative.",
    ),
    (
        "mmd_p",
        "p-value of the MMD",
        "",
        Neither,
        "Uniform where samples and data have one law; small where they differ.",
    ),
    (
        "energy_distance",
        "Energy distance",
        "",
        Lower,
        "Unbiased, in the units of the data: 0 on average where both have one law.",
    ),
    (
        "energy_distance_p",
        "p-value of the energy distance",
        "",
        Neither,
        "Uniform where samples and data have one law; small where they differ.",
    ),
    (
        "wasserstein",
        "Wasserstein distance",
        "",
        Lower,
        "In the units of the data; above 0 for finite samples even of one law.",
    ),
    (
        "sliced_wasserstein",
        "Sliced Wasserstein distance",
        "",
        Lower,
        "Over random directions, in the units of the data; above 0 for finite samples even of one law.",
    ),
    (
        "sliced_wasserstein_p",
        "p-value of the sliced Wasserstein distance",
        "",
        Neither,
        "Uniform where samples and data have one law; small where they differ.",
    ),
    (
        "c2st",
        "Classifier two-sample accuracy",
        "fraction",
        Lower,
        "How often a trained classifier tells samples from data: 1/2 where it cannot.",
    ),
    (
        "c2st_p",
        "p-value of the classifier test",
        "",
        Neither,
        "Small where the classifier tells samples from data better than by chance.",
    ),
    ("precision", "Precision", "fraction", Higher, "The share of samples that lie near data."),
    ("recall", "Recall", "fraction", Higher, "The share of data that lie near samples."),
    (
        "density",
        "Density",
        "",
        Higher,
        "How many neighbourhoods of data hold a sample, over what is expected: near 1 where both have one law.",
    ),
    ("coverage", "Coverage", "fraction", Higher, "The share of data with a sample in their neighbourhood."),
    (
        "tv",
        "Total variation",
        "",
        Lower,
        "Half the sum of absolute differences of the probabilities, from 0 to 1.",
    ),
    (
        "jsd",
        "Jensen-Shannon divergence",
        "nats",
        Lower,
        "Of the model's law and the target, from 0 to log 2.",
    ),
    ("l1", "L1 distance", "", Lower, "The sum of absolute differences of the probabilities."),
    ("reverse_kl", "KL of the model to the target", "nats", Lower, "E[log P_T - log P], x from the model."),
    ("forward_kl", "KL of the target to the model", "nats", Lower, "E[log P - log P_T], x from the target."),
    (
        "pearson",
        "Correlation (Pearson)",
        "",
        Higher,
        "Of log-probabilities and log-rewards, over all objects.",
    ),
    (
        "spearman",
        "Rank correlation (Spearman)",
        "",
        Higher,
        "The same of their ranks; equal rewards share one.",
    ),
    (
        "log_z_learned",
        "log Z, learned",
        "nats",
        Neither,
        "What training holds log Z to be; of conditions the mean.",
    ),
    (
        "log_z_rmse",
        "Error of log Z",
        "nats",
        Lower,
        "Root mean square over conditions, by importance weights.",
    ),
    ("log_z_learned_rmse", "Error of the learned log Z", "nats", Lower, "Root mean square over conditions."),
    (
        "free_energy_rmse",
        "Error of free energies",
        "nats",
        Lower,
        "Root mean square over roots, by walks from them.",
    ),
    (
        "free_energy_learned_rmse",
        "Error of learned free energies",
        "nats",
        Lower,
        "Root mean square over all states as roots, of the flow that the network says.",
    ),
    ("entropy_rmse", "Error of entropies", "nats", Lower, "Root mean square over roots, by walks from them."),
    (
        "tv_samples",
        "Total variation of samples",
        "",
        Lower,
        "Of the empirical law of forward paths from R / Z; that of a perfect sampler is not 0.",
    ),
    ("distinct_samples", "Different objects", "", Higher, "Among the objects of forward paths."),
    ("mean_length", "Moves of a trajectory", "", Neither, "The mean number, stopping not counted."),
    (
        "cut_share",
        "Walks given up",
        "fraction",
        Lower,
        "Forward paths that had not stopped after the most moves.",
    ),
    (
        "cut_trajectories",
        "Walks given up in training",
        "",
        Neither,
        "Trajectories that had not stopped after the most moves.",
    ),
    (
        "modes_found",
        "Modes found",
        "",
        Higher,
        "Of the modes of the reward, those that samples of forward paths hit.",
    ),
    ("modes", "Modes", "", Neither, "How many the reward has."),
    ("front_size", "Points on the front", "", Higher, "Samples that no other beats in every reward."),
    (
        "front_size_exact",
        "Points on the exact front",
        "",
        Neither,
        "Objects that no other beats in every reward.",
    ),
    ("hypervolume", "Hypervolume", "", Higher, "What the front of samples dominates above 0."),
    ("hypervolume_exact", "Hypervolume, exact", "", Neither, "What the exact front dominates above 0."),
    ("igd", "Inverted generational distance", "", Lower, "From the exact front to the samples' one."),
    ("igd_plus", "IGD+", "", Lower, "The same of what the samples fall short by."),
    (
        "r2",
        "R2 indicator",
        "",
        Lower,
        "The mean over weights of how near the front comes to the ideal point, in the worst weighed reward.",
    ),
    (
        "proxy_accuracy",
        "Accuracy of the classifier",
        "fraction",
        Neither,
        "The reward's own, on held-out examples.",
    ),
    (
        "proxy_auc",
        "Area under the classifier's curve",
        "",
        Neither,
        "The reward's own, on held-out examples.",
    ),
    (
        "seconds_per_sample",
        "Time per sample",
        "s",
        Lower,
        "Wall-clock time of sampling over the number of samples.",
    ),
    ("steps_per_second", "Training steps per second", "1/s", Higher, "Wall-clock rate of optimiser steps."),
    (
        "trajectories_per_second",
        "Trajectories per second",
        "1/s",
        Higher,
        "Wall-clock rate of simulated paths.",
    ),
];

/// The words for a metric; an unknown one is called by its name.
pub fn describe(name: &str) -> Description {
    if let Some((_, label, unit, better, meaning)) = KNOWN.iter().find(|known| known.0 == name) {
        return Description { label: (*label).to_owned(), unit, meaning, better: *better };
    }
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    let label = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    Description { label, unit: "", meaning: "", better: Better::Neither }
}

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

fn minus(text: &str) -> String {
    text.replace('-', "\u{2212}")
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

    #[test]
    fn known_names_are_unique_and_unknown_ones_are_made_readable() {
        let mut seen = std::collections::HashSet::new();
        assert!(KNOWN.iter().all(|known| seen.insert(known.0)));
        assert_eq!(describe("some_new_metric").label, "Some new metric");
        assert_eq!(describe("ess").better, Better::Higher);
    }
}
