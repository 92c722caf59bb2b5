//! What a reader is to be warned of: importance weights that are not to be trusted.

use serde_json::{Map, Value};

use super::metric::estimate;

/// The effective share of paths below which a few of them decide everything.
const TINY: f64 = 0.01;

/// A line for each reason to distrust what importance weights say, of a run's metrics.
pub fn warnings(metrics: &Map<String, Value>) -> Vec<String> {
    let value = |name: &str| estimate(metrics, name).map(|(value, _)| value);
    let mut found = Vec::new();
    if let (Some(k), Some(most)) = (value("pareto_k"), value("pareto_k_threshold"))
        && k > most
    {
        let moment = if k > 1.0 { "mean" } else { "variance" };
        found.push(format!(
            "log_z and its error are not to be trusted: the largest weights follow a law without a {moment} (pareto_k {k:.2}, \
             above {most:.2})"
        ));
    }
    if let Some(ess) = value("ess").filter(|ess| *ess < TINY) {
        found.push(format!(
            "log_z is not to be trusted: the weights of {:.2} % of the paths decide it (ess {ess:.1e})",
            100.0 * ess
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, f64)]) -> Vec<String> {
        warnings(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect())
    }

    #[test]
    fn weights_are_trusted_until_they_say_otherwise() {
        assert!(of(&[]).is_empty());
        assert!(of(&[("ess", 0.3), ("pareto_k", 0.69), ("pareto_k_threshold", 0.7)]).is_empty());
        let heavy = of(&[("ess", 0.3), ("pareto_k", 0.93), ("pareto_k_threshold", 0.7)]);
        assert!(
            heavy.len() == 1 && heavy[0].contains("without a variance") && heavy[0].contains("0.93"),
            "{heavy:?}"
        );
        let both = of(&[("ess", 2e-4), ("pareto_k", 1.4), ("pareto_k_threshold", 0.7)]);
        assert!(both[0].contains("without a mean") && both[1].contains("0.02 %"), "{both:?}");
    }
}
