//! The learned law beside the exact one, where all states can be listed.

use super::Better::{Higher, Lower};
use super::Known;

pub(super) const KNOWN: &[Known] = &[
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
];
