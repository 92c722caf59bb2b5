//! What the names of metrics mean: every name that a run or an evaluation writes, in the order in which the book lists them.

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
        "Mean over held-out rows of −log p(x), or of its bound where log p is not tractable: of the chain that samples.",
    ),
    (
        "nll_sampler",
        "NLL of the sampler",
        "nats",
        Lower,
        "The same of the chain that draws, where `sampler.kind` is \"discrete\": another one on the same weights.",
    ),
    (
        "nll_continuous",
        "NLL, continuous time",
        "nats",
        Lower,
        "The same bound in the limit of ever more steps between noise levels, which a learned schedule is trained by.",
    ),
    (
        "nll_exact",
        "Entropy of the target",
        "nats",
        Neither,
        "The negative log-likelihood of the true density on the same rows: no model can beat it on average.",
    ),
    (
        "nll_gaussian",
        "Gaussian baseline, NLL",
        "nats",
        Neither,
        "The negative log-likelihood of one Gaussian with a full covariance (under numeric conditions of linear regression), fitted to the training rows, on the same held-out rows.",
    ),
    (
        "nll_gain",
        "Gain over the best baseline",
        "nats",
        Higher,
        "Mean over held-out rows of how much likelier they are to the model than to the best of the simple densities fitted to the training rows: at least so much, where nll is a bound.",
    ),
    (
        "nll_train",
        "NLL of training rows",
        "nats",
        Neither,
        "The negative log-likelihood, or its bound, of rows that were learned from (as many as are held out, at most 1000): far below that of held-out rows, it has learned them by heart.",
    ),
    (
        "nll_importance",
        "Importance-weighted NLL",
        "nats",
        Lower,
        "A tighter bound on the negative log-likelihood, from several paths per row.",
    ),
    (
        "accepted_negatives",
        "Accepted negatives",
        "",
        Neither,
        "States that the flow network made of data and that took their place, over all steps of training.",
    ),
    (
        "nll_lower",
        "NLL, lower bound",
        "nats",
        Neither,
        "Of an energy whose log Z is not known: with the mean log-weight of forward annealed paths in its place, at most the negative log-likelihood in expectation.",
    ),
    (
        "nll_upper",
        "NLL, upper bound",
        "nats",
        Lower,
        "Of such an energy, by annealing backward from the rows: at least the negative log-likelihood of the annealed sampler in expectation.",
    ),
    (
        "neg_log_rmse",
        "−log RMSE of couplings",
        "",
        Higher,
        "Minus the logarithm of the root mean squared error of all entries of the matrix J of an Ising model, against those of the data's law.",
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
        "bits_per_char",
        "Bits per character",
        "bits",
        Lower,
        "The same in bits per character of the text: of a word its letters and the blank behind it.",
    ),
    (
        "bits_per_dim_continuous",
        "Bits per dimension, continuous time",
        "bits",
        Lower,
        "The same of the bound in the limit of ever more steps between noise levels.",
    ),
    (
        "bits_per_dim_ode",
        "Bits per dimension, along the ODE",
        "bits",
        Lower,
        "The same of the likelihood along the probability-flow ODE.",
    ),
    (
        "bits_per_dim_importance",
        "Bits per dimension, importance-weighted",
        "bits",
        Lower,
        "The same of the tighter bound from several paths per row.",
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
    (
        "class_accuracy",
        "Accuracy by Bayes' rule",
        "",
        Higher,
        "The share of held-out rows (at most 1000) whose own class has the largest p(y) p(x | y), the shares of classes being those of the training rows.",
    ),
    (
        "elbo",
        "Evidence lower bound",
        "nats",
        Higher,
        "The mean log-weight of forward paths, those without weight left out and their share accounted for: at most log Z.",
    ),
    (
        "eubo",
        "Evidence upper bound",
        "nats",
        Lower,
        "The mean log-weight of backward paths from exact samples, or of the prior's paths as R weighs them: at least log Z, and far above where a mode is missed.",
    ),
    ("log_z", "log Z, importance-weighted", "nats", Neither, "The log of the mean weight of forward paths."),
    (
        "log_z_smc",
        "log Z by sequential Monte Carlo",
        "nats",
        Neither,
        "Of particles that are resampled on their way: the log of the mean over independent runs, which give its error.",
    ),
    (
        "ess_smc",
        "Effective sample size of particles",
        "",
        Higher,
        "Of the weighted particles at the end, as a share of their number; 1 after they were resampled.",
    ),
    (
        "evaluations",
        "Evaluations of a path",
        "",
        Lower,
        "How often the target's log R was asked for along a path of log_z, with or without its gradient.",
    ),
    ("gradients", "Gradients of a path", "", Lower, "How many of them were with the gradient."),
    (
        "evaluations_smc",
        "Evaluations of a particle",
        "",
        Lower,
        "How often the target's log R was asked for in a run of sequential Monte Carlo, for each of its particles.",
    ),
    ("gradients_smc", "Gradients of a particle", "", Lower, "How many of them were with the gradient."),
    (
        "log_z_prior",
        "log Z by the prior",
        "nats",
        Neither,
        "The log of the mean likelihood of the prior's own samples, of which a posterior is learned.",
    ),
    (
        "ess_prior",
        "Effective sample size, prior",
        "fraction",
        Higher,
        "The share of the prior's samples that carry the likelihood, from 0 to 1.",
    ),
    (
        "log_z_reference",
        "log Z, published",
        "nats",
        Neither,
        "An estimate of the log of the normalising constant by others, with its standard error.",
    ),
    ("log_z_exact", "log Z, exact", "nats", Neither, "The log of the normalising constant, in closed form."),
    (
        "ess",
        "Effective sample size",
        "fraction",
        Higher,
        "The share of forward paths that carry weight, from 0 to 1; blind to modes that no path reaches.",
    ),
    (
        "pareto_k",
        "Tail of the weights",
        "",
        Lower,
        "The shape of the generalised Pareto law that the largest weights follow: above 1/2 their variance, above 1 their mean is infinite.",
    ),
    (
        "pareto_k_threshold",
        "Largest trusted tail",
        "",
        Neither,
        "Above it, min(1 − 1 / log10 paths, 0.7), neither log Z by the weights nor its error is to be trusted.",
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
        "mmd_hamming",
        "MMD of bits",
        "",
        Lower,
        "Unbiased squared MMD between up to 4096 samples and rows of the data, with the kernel exp(−Hamming distance / 10).",
    ),
    (
        "mmd_root",
        "Root of the MMD, with diagonals",
        "",
        Lower,
        "Not unbiased: about √(2 / rows) where both laws agree, as benchmarks of samplers have it (Blessing et al. 2024).",
    ),
    (
        "sinkhorn",
        "Sinkhorn distance",
        "squared units",
        Lower,
        "Cost of entropic optimal transport (squared distances, ε = 10⁻³) between at most 500 samples and as many exact ones; above 0 where laws agree.",
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
        "sliced_wasserstein",
        "Sliced Wasserstein distance",
        "",
        Lower,
        "Over random directions, in the units of the data; above 0 for finite samples even of one law.",
    ),
    (
        "wasserstein",
        "Wasserstein distance under conditions",
        "",
        Lower,
        "Exact, of 500 samples from as many exact ones under each of some conditions: their mean, in the units of the points.",
    ),
    (
        "wasserstein_floor",
        "Wasserstein distance of exact samples",
        "",
        Neither,
        "The same between exact samples and others: no sampler is closer on average.",
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
    (
        "posterior_c2st",
        "Classifier accuracy on posteriors",
        "fraction",
        Lower,
        "How often a cross-validated classifier tells draws of the learned posterior from exact ones, mean over ten observations: 1/2 where it cannot.",
    ),
    (
        "posterior_nll",
        "NLL of the observations' parameters",
        "nats",
        Lower,
        "Mean over the ten observations of −log p(θ | x) of the parameters that made them, or of its bound.",
    ),
    (
        "posterior_inside",
        "Draws within the prior's support",
        "fraction",
        Higher,
        "The share of draws of the learned posteriors to which the prior gives a density; the others are drawn again.",
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
        "log_z_error",
        "Error of log Z, absolute",
        "nats",
        Lower,
        "Of the importance-weighted log Z from the exact one, while a run trains.",
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
    (
        "free_energy",
        "Free energy",
        "nats",
        Neither,
        "Minus the log of the sum of rewards ahead of a state, by walks from it.",
    ),
    (
        "free_energy_learned",
        "Free energy, learned",
        "nats",
        Neither,
        "The same by the flow that the network says.",
    ),
    ("entropy", "Entropy", "nats", Neither, "Of the objects ahead of a state, by walks from it."),
    ("entropy_rmse", "Error of entropies", "nats", Lower, "Root mean square over roots, by walks from them."),
    (
        "tv_samples",
        "Total variation of samples",
        "",
        Lower,
        "Of the empirical law of forward paths from R / Z; that of a perfect sampler is not 0.",
    ),
    ("distinct_samples", "Different objects", "", Higher, "Among the objects of forward paths."),
    (
        "probability",
        "Probability of a state",
        "",
        Neither,
        "That an object ahead of a state has another state on a way to it, by walks from both.",
    ),
    (
        "probability_learned",
        "Probability of a state, learned",
        "",
        Neither,
        "The same by the flows that the network says.",
    ),
    (
        "probability_that",
        "Probability of a property",
        "",
        Neither,
        "That a formula is not 0 at an object ahead of a state.",
    ),
    ("entropy_a", "Entropy of the first part", "nats", Neither, "H(A) over the objects ahead of a state."),
    ("entropy_b", "Entropy of the second part", "nats", Neither, "H(B) over the objects ahead of a state."),
    (
        "entropy_a_given_b",
        "Entropy of the first part, given the second",
        "nats",
        Neither,
        "H(A | B) over the objects ahead of a state.",
    ),
    (
        "entropy_b_given_a",
        "Entropy of the second part, given the first",
        "nats",
        Neither,
        "H(B | A) over the objects ahead of a state.",
    ),
    (
        "mutual_information",
        "Mutual information of both parts",
        "nats",
        Neither,
        "I(A; B) over the objects ahead of a state.",
    ),
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
        "skipped_batches",
        "Batches without rewards",
        "",
        Neither,
        "Steps of training whose rewards were not to be had.",
    ),
    ("objects", "Objects scored", "", Neither, "How many a file has."),
    (
        "modes_found",
        "Modes found",
        "",
        Higher,
        "Of the modes of the reward, those that samples of forward paths hit.",
    ),
    ("modes", "Modes", "", Neither, "How many the reward has."),
    (
        "mode_coverage",
        "Entropic mode coverage",
        "",
        Higher,
        "The entropy of the modes that samples hit, over the logarithm of how many there are: 1 where all are hit alike, 0 where one has everything.",
    ),
    (
        "class_share",
        "Share of the class",
        "fraction",
        Neither,
        "The samples that the target's classifier puts into the class whose probability is the reward.",
    ),
    ("class_shares", "Shares of all classes", "", Neither, "The same of every class, in order."),
    (
        "class_share_prior",
        "Share of the class, prior",
        "fraction",
        Neither,
        "The same of the prior's samples.",
    ),
    (
        "class_share_weighted",
        "Share of the class, exact posterior",
        "fraction",
        Neither,
        "The same of the prior's samples as R weighs them: what a perfect posterior has.",
    ),
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
    (
        "environment_calls",
        "Questions to the environment program",
        "1",
        Lower,
        "How often the program that builds objects was asked in this process, by training and evaluation; more threads ask more often.",
    ),
    (
        "seconds_per_call",
        "Time per question to the environment program",
        "s",
        Lower,
        "Wall-clock time of waiting for the program that builds objects over the number of questions.",
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

/// The headings under which metrics stand, each with the first of them in the order of the list.
const GROUPS: [(&str, &str); 7] = [
    ("nll", "Likelihood"),
    ("elbo", "log Z: bounds and weights"),
    ("mmd", "Samples against what they are to resemble"),
    ("tv", "The learned law against the exact one"),
    ("log_z_learned", "What the network says of log Z and free energies"),
    ("mean_length", "Objects, modes and counts"),
    ("seconds_per_sample", "Time"),
];

/// The heading under which a metric stands.
pub(super) fn group(name: &str) -> &'static str {
    let place = |name: &str| KNOWN.iter().position(|known| known.0 == name);
    let own = place(name);
    let before = GROUPS.iter().rev().find(|(first, _)| place(first) <= own);
    before.map_or("Others", |(_, heading)| heading)
}

/// The names of all metrics.
pub fn known_metrics() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.0)
}

#[cfg(test)]
mod tests;
