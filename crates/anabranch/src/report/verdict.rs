//! What a model of data is worth, in words: beside the simple densities that it has to beat, and on rows that it has not seen.

use serde_json::{Map, Value};

use super::metric::{estimate, with_error};

/// How many standard errors tell two numbers apart.
const APART: f64 = 2.0;

/// How many standard errors, and nats, lie at least between rows that were learned by heart and others.
const BY_HEART: f64 = 3.0;
const NATS: f64 = 0.05;

/// A line for each thing to be said of a run's metrics; none of what is no model of data.
pub fn verdict(metrics: &Map<String, Value>) -> Vec<String> {
    let found = |name: &str| {
        let (value, error) = estimate(metrics, name)?;
        value.is_finite().then_some((value, error.filter(|error| error.is_finite())))
    };
    let mut lines = Vec::new();
    if let Some((gain, error)) = found("nll_gain") {
        let bits = |name: &str| found(name).map_or(f64::INFINITY, |(value, _)| value);
        let baseline = if bits("bits_per_dim_histogram") < bits("bits_per_dim_gaussian") {
            "independent histograms"
        } else if bits("nll_independent") < bits("nll_gaussian") {
            "independent columns"
        } else {
            "a Gaussian with full covariance"
        };
        let (by, apart) = (with_error(gain.abs(), error), error.map(|error| APART * error));
        lines.push(match apart {
            Some(apart) if gain > apart => format!("better than {baseline}: by {by} nats a row of held-out data"),
            Some(apart) if gain < -apart => {
                format!("worse than {baseline}: by {by} nats a row of held-out data; take that one, or train differently")
            }
            _ => format!(
                "not told apart from {baseline}: {} nats a row; more held-out rows would tell",
                with_error(gain, error)
            ),
        });
    }
    if let (Some((new, a)), Some((old, b))) = (found("nll"), found("nll_train")) {
        let error = a.unwrap_or(0.0).hypot(b.unwrap_or(0.0));
        let gap = new - old;
        if gap > BY_HEART * error && gap > NATS {
            lines.push(format!(
                "overfitted: rows that it learned from are {} nats likelier to it than new ones",
                with_error(gap, Some(error))
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, f64)]) -> Vec<String> {
        verdict(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect())
    }

    #[test]
    fn models_are_worth_what_they_gain() {
        assert!(of(&[("elbo", 1.0)]).is_empty(), "of an energy there is nothing to say");
        let gain = |gain: f64| {
            of(&[("nll", 5.0), ("nll_gaussian", 5.0 + gain), ("nll_gain", gain), ("nll_gain_se", 0.1)])
        };
        assert!(
            gain(0.3)[0].starts_with("better than a Gaussian with full covariance: by 0.30"),
            "{:?}",
            gain(0.3)
        );
        assert!(gain(0.1)[0].contains("not told apart"), "{:?}", gain(0.1));
        assert!(gain(-0.1)[0].contains("not told apart"), "{:?}", gain(-0.1));
        assert!(
            gain(-0.3)[0].starts_with("worse than a Gaussian with full covariance: by 0.30"),
            "{:?}",
            gain(-0.3)
        );
        let bits = [
            ("nll_gain", 1.0),
            ("nll_gain_se", 0.1),
            ("bits_per_dim_gaussian", 3.0),
            ("bits_per_dim_histogram", 2.0),
        ];
        assert!(of(&bits)[0].contains("independent histograms"));
    }

    #[test]
    fn rows_learned_by_heart_are_named() {
        let gap = |old: f64| of(&[("nll", 5.0), ("nll_se", 0.1), ("nll_train", old), ("nll_train_se", 0.1)]);
        assert!(gap(4.8).is_empty() && gap(5.5).is_empty());
        assert!(gap(4.0)[0].contains("overfitted") && gap(4.0)[0].contains("1.00"), "{:?}", gap(4.0));
    }
}
