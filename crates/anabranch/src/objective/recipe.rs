//! Every objective, as a recipe names it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{
    BackwardObjective, ChiSquare, CoordinateAscent, Craft, DetailedBalance, Drawn, Fab, FlowMatching,
    ForwardKl, Gradient, ImportanceWeighted, ImportanceWeightedElbo, LogVariance, MixedKl,
    ModifiedDetailedBalance, Needs, PathObjective, PolicyGradient, Ppo, QuantileFlowMatching,
    RelativeLogVariance, RelativeTrajectoryBalance, Renyi, ReverseKl, ScoreFunction, SelfNormalisedForwardKl,
    SoftQ, StableDetailedBalance, SubTrajectoryBalance, TrajectoryBalance, TrajectoryLikelihood, TrustPcl,
};
use crate::error::{Problem, Result};
use crate::papers::{
    ANNEALED_FLOWS, BALANCE, BLACK_BOX, CHI_SQUARE, COORDINATE_ASCENT, CRAFT, DREG, ENTROPIC_RL, FAB,
    FLOW_NETWORKS, FORWARD_LOOKING, FOUNDATIONS, IWAE, NON_ACYCLIC, PARTIAL_EPISODES, POLICY_GRADIENTS, PPO,
    QUANTILES, REINFORCE, RELATIVE, RENYI, SCHEDULING, STICKING, STOCHASTIC_FLOWS, STOCHASTIC_VI, STRUCTURES,
    TRUST_PCL, VARGRAD, WAKE_SLEEP,
};

/// The training objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ObjectiveRecipe {
    /// What flows into a state flows out of it.
    FlowMatching(FlowMatching),
    /// The same for flows that are random, given by their quantiles.
    QuantileFlowMatching(QuantileFlowMatching),
    /// Both directions of each transition carry the same flow.
    DetailedBalance(DetailedBalance),
    /// Detailed balance for graphs with cycles.
    StableDetailedBalance(StableDetailedBalance),
    /// Detailed balance without a flow, where every state is an object.
    ModifiedDetailedBalance(ModifiedDetailedBalance),
    /// Balance of all parts of a trajectory.
    SubTrajectoryBalance(SubTrajectoryBalance),
    /// Balance of whole trajectories with a learned log Z.
    TrajectoryBalance(TrajectoryBalance),
    /// The variance of the path log-weight (VarGrad).
    LogVariance(LogVariance),
    /// The posterior of a prior policy, with a learned log Z.
    RelativeTrajectoryBalance(RelativeTrajectoryBalance),
    /// The same by the variance of the relative log-weight.
    RelativeLogVariance(RelativeLogVariance),
    /// The same on the scale of values at temperature alpha.
    TrustPcl(TrustPcl),
    /// Soft Q-learning with a target network.
    SoftQ(SoftQ),
    /// A policy gradient, perhaps with a critic.
    PolicyGradient(PolicyGradient),
    /// Entropic proximal policy optimisation.
    Ppo(Ppo),
    /// Maximum likelihood of the data, or of the bound where the likelihood is not tractable.
    ForwardKl(ForwardKl),
    /// The importance-weighted bound (IWAE).
    ImportanceWeighted(ImportanceWeighted),
    /// Reverse KL from a target: maximises the ELBO on log Z, through the states.
    ReverseKl(ReverseKl),
    /// The importance-weighted bound on log Z from a target, by several paths.
    ImportanceWeightedElbo(ImportanceWeightedElbo),
    /// The variational Renyi bound of some order.
    Renyi(Renyi),
    /// The chi-square divergence from the target to the chain.
    ChiSquare(ChiSquare),
    /// Reverse KL by the score function: no gradient of the target is needed.
    ScoreFunction(ScoreFunction),
    /// Forward KL from a target, its expectation by self-normalised importance weights.
    SelfNormalisedForwardKl(SelfNormalisedForwardKl),
    /// Coordinate ascent on a target that knows its factors, or stochastic variational inference.
    CoordinateAscent(CoordinateAscent),
    /// Reverse KL and forward KL of a target that has exact samples, mixed.
    MixedKl(MixedKl),
    /// Flows between the levels of an annealed path, each learned from the particles in front of it.
    Craft(Craft),
    /// A flow learned from a buffer of annealed samples that it begins itself.
    Fab(Fab),
}

/// A checked objective.
#[derive(Debug, Clone)]
pub enum Objective {
    /// Of trajectories.
    Paths(Arc<dyn PathObjective>),
    /// Of states with their in- and out-flows.
    States(FlowMatching),
    /// Of states with the quantiles of their in- and out-flows.
    Quantiles(QuantileFlowMatching),
    /// Of the factors of a guide.
    Factors(CoordinateAscent),
    /// Of particles in front of each flow.
    Particles(Craft),
    /// Of a buffer of annealed samples.
    Bootstrap(Fab),
}

impl Objective {
    /// What it reads.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Paths(objective) => objective.needs(),
            // Flows are the logits themselves; P_B is not read.
            Self::States(_) | Self::Quantiles(_) => {
                Needs { flow: true, trains_backward: false, ..Needs::default() }
            }
            Self::Factors(_) => Needs { every_end: true, on_policy: true, ..Needs::default() },
            // Their paths are drawn and learned from by learners of their own.
            Self::Particles(_) => Needs { on_policy: true, every_end: true, ..Needs::default() },
            Self::Bootstrap(fab) => {
                Needs { on_policy: true, every_end: true, epochs: fab.updates, ..Needs::default() }
            }
        }
    }
}

impl Default for ObjectiveRecipe {
    fn default() -> Self {
        Self::TrajectoryBalance(TrajectoryBalance::default())
    }
}

impl ObjectiveRecipe {
    /// Checks all values; `place` is the key below which they stand, such as `objective`.
    ///
    /// # Errors
    /// The first value out of range, or a backward objective that there cannot be.
    pub fn check(&self, place: &str, backward: BackwardObjective) -> Result<Objective> {
        let objective = self.objective();
        match &objective {
            Objective::Paths(objective) => objective.check(place)?,
            Objective::States(objective) => objective.check(&Check(place))?,
            Objective::Quantiles(objective) => objective.check(&Check(place))?,
            Objective::Factors(objective) => objective.check(&Check(place))?,
            Objective::Particles(objective) => objective.check(&Check(place))?,
            Objective::Bootstrap(objective) => objective.check(&Check(place))?,
        }
        match (objective, backward) {
            (objective, BackwardObjective::Joint) => Ok(objective),
            (Objective::Paths(forward), BackwardObjective::TrajectoryLikelihood) => {
                Ok(Objective::Paths(Arc::new(TrajectoryLikelihood { forward })))
            }
            (_, BackwardObjective::TrajectoryLikelihood) => {
                let found = "an objective without paths, which reads no P_B, with \"trajectory-likelihood\"";
                Err(Problem::new(format!("{place}.kind"), found)
                    .allowed("an objective of trajectories")
                    .into())
            }
        }
    }

    /// What it reads.
    pub fn needs(&self) -> Needs {
        self.objective().needs()
    }

    /// Its name and what it compares, in one line.
    pub fn formula(&self) -> &'static str {
        match self {
            Self::FlowMatching(_) => "flow matching: log sum_p F(p -> s) - log (R(s) + sum_c F(s -> c))",
            Self::QuantileFlowMatching(_) => "quantile flow matching: the same of random flows",
            Self::DetailedBalance(_) => {
                "detailed balance: log F(s) + log P_F(s' | s) - log F(s') - log P_B(s | s')"
            }
            Self::StableDetailedBalance(_) => {
                "stable detailed balance: log(1 + eps d^2) (1 + eta F(s)), d on the scale of flows"
            }
            Self::ModifiedDetailedBalance(_) => {
                "modified detailed balance: log R(s) + log P_F(s' | s) + log P_F(s_f | s') - log R(s') - log P_B(s | s') - \
             log P_F(s_f | s)"
            }
            Self::SubTrajectoryBalance(_) => {
                "sub-trajectory balance: log F(s_i) + sum_i^j (log P_F - log P_B) - log F(s_j), all i < j"
            }
            Self::TrajectoryBalance(_) => "trajectory balance: log Z + sum (log P_F - log P_B) - log R(x)",
            Self::LogVariance(_) => "log-variance: Var(log R + sum (log P_B - log P_F))",
            Self::RelativeTrajectoryBalance(_) => {
                "relative trajectory balance: log Z + sum (log P_F - log P_prior) - beta log R(x)"
            }
            Self::RelativeLogVariance(_) => {
                "relative log-variance: Var(beta log R + sum (log P_prior - log P_F))"
            }
            Self::TrustPcl(_) => "trust-PCL: relative trajectory balance at temperature alpha",
            Self::SoftQ(_) => "soft Q-learning: Q(s, s') - log P_B(s | s') - V_target(s')",
            Self::PolicyGradient(_) => {
                "policy gradient of E[log R + sum (log P_B - log P_F)], in an entropic decision process"
            }
            Self::Ppo(_) => "proximal policy optimisation of E[log R + sum (log P_B - log P_F)]",
            Self::ForwardKl(_) => "forward KL: -E_backward[log mu + sum (log P_F - log P_B)]",
            Self::ImportanceWeighted(_) => "importance-weighted bound: -E log mean_k exp(log p - log q)",
            Self::ReverseKl(_) => "reverse KL: -E_forward[log w]",
            Self::ImportanceWeightedElbo(_) => "importance-weighted ELBO: -E log mean_k w_k",
            Self::Renyi(_) => "Renyi bound: -E log mean_k w_k^(1 - alpha) / (1 - alpha)",
            Self::ChiSquare(_) => "chi-square: E log mean_k w_k^2 / 2",
            Self::ScoreFunction(_) => "score function: reverse KL by -(log w - baseline) grad log P_F",
            Self::SelfNormalisedForwardKl(_) => "forward KL: -sum_b w_b log P_F / sum_b w_b",
            Self::CoordinateAscent(_) => "coordinate ascent: -ELBO of means and allocations",
            Self::MixedKl(_) => "mixed KL: -(1 - s) E_forward[log w] + s E_backward[log w]",
            Self::Craft(_) => {
                "CRAFT: sum_k sum_i W_i [log gamma_{k-1}(x_i) - log gamma_k(T_k x_i) - log |det DT_k|]"
            }
            Self::Fab(_) => {
                "FAB: -mean_i min(c, (q / q_i)^(1 - a)) log q(x_i), x_i annealed from q to p^a q^(1 - a)"
            }
        }
    }

    /// The papers that it comes from, as BibTeX.
    pub fn papers(&self) -> Vec<&'static str> {
        match self {
            Self::FlowMatching(_) => vec![FLOW_NETWORKS],
            Self::QuantileFlowMatching(_) => vec![QUANTILES],
            Self::DetailedBalance(balance) if balance.forward_looking => vec![FORWARD_LOOKING],
            Self::DetailedBalance(_) => vec![FOUNDATIONS],
            Self::StableDetailedBalance(_) => vec![NON_ACYCLIC],
            Self::ModifiedDetailedBalance(_) => vec![STRUCTURES],
            Self::SubTrajectoryBalance(_) => vec![PARTIAL_EPISODES],
            Self::TrajectoryBalance(_) => vec![BALANCE],
            Self::LogVariance(_) => vec![VARGRAD, SCHEDULING],
            Self::RelativeTrajectoryBalance(_) | Self::RelativeLogVariance(_) => vec![RELATIVE],
            Self::TrustPcl(_) => vec![TRUST_PCL, RELATIVE],
            Self::SoftQ(_) => vec![ENTROPIC_RL],
            Self::PolicyGradient(_) => vec![POLICY_GRADIENTS],
            Self::Ppo(_) => vec![POLICY_GRADIENTS, PPO],
            Self::ReverseKl(ReverseKl { gradient: Gradient::Path }) => vec![STICKING],
            Self::ForwardKl(_) | Self::ReverseKl(_) => Vec::new(),
            Self::ImportanceWeightedElbo(bound) if bound.gradient == Gradient::Path => vec![IWAE, DREG],
            Self::ImportanceWeightedElbo(_) => vec![IWAE],
            Self::Renyi(_) => vec![RENYI],
            Self::ChiSquare(_) => vec![CHI_SQUARE],
            Self::ScoreFunction(_) => vec![REINFORCE, BLACK_BOX],
            Self::SelfNormalisedForwardKl(_) => vec![WAKE_SLEEP],
            Self::CoordinateAscent(CoordinateAscent { rows: 0, .. }) => vec![COORDINATE_ASCENT],
            Self::CoordinateAscent(_) => vec![COORDINATE_ASCENT, STOCHASTIC_VI],
            Self::MixedKl(_) => vec![STOCHASTIC_FLOWS],
            Self::Craft(_) => vec![CRAFT, ANNEALED_FLOWS],
            Self::Fab(_) => vec![FAB],
            Self::ImportanceWeighted(_) => vec![IWAE],
        }
    }

    /// Whether it learns from `log R`, and not from data.
    pub fn needs_target(&self) -> bool {
        self.needs().drawn == Drawn::Forward
    }

    fn objective(&self) -> Objective {
        fn paths(objective: impl PathObjective + 'static) -> Objective {
            Objective::Paths(Arc::new(objective))
        }
        match *self {
            Self::FlowMatching(objective) => Objective::States(objective),
            Self::QuantileFlowMatching(objective) => Objective::Quantiles(objective),
            Self::DetailedBalance(objective) => paths(objective),
            Self::StableDetailedBalance(objective) => paths(objective),
            Self::ModifiedDetailedBalance(objective) => paths(objective),
            Self::SubTrajectoryBalance(objective) => paths(objective),
            Self::TrajectoryBalance(objective) => paths(objective),
            Self::LogVariance(objective) => paths(objective),
            Self::RelativeTrajectoryBalance(objective) => paths(objective),
            Self::RelativeLogVariance(objective) => paths(objective),
            Self::TrustPcl(objective) => paths(objective),
            Self::SoftQ(objective) => paths(objective),
            Self::PolicyGradient(objective) => paths(objective),
            Self::Ppo(objective) => paths(objective),
            Self::ForwardKl(objective) => paths(objective),
            Self::ImportanceWeighted(objective) => paths(objective),
            Self::ReverseKl(objective) => paths(objective),
            Self::ImportanceWeightedElbo(objective) => paths(objective),
            Self::Renyi(objective) => paths(objective),
            Self::ChiSquare(objective) => paths(objective),
            Self::ScoreFunction(objective) => paths(objective),
            Self::SelfNormalisedForwardKl(objective) => paths(objective),
            Self::CoordinateAscent(objective) => Objective::Factors(objective),
            Self::MixedKl(objective) => paths(objective),
            Self::Craft(objective) => Objective::Particles(objective),
            Self::Fab(objective) => Objective::Bootstrap(objective),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ObjectiveRecipe, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn message(json: &str, backward: BackwardObjective) -> String {
        let recipe = read(json).expect("the shape is right");
        recipe.check("objective", backward).expect_err("a value is wrong").to_string()
    }

    /// The kinds that the schema offers.
    fn kinds() -> Vec<String> {
        let schema = schemars::schema_for!(ObjectiveRecipe).to_value();
        let variants = schema["oneOf"].as_array().expect("a tagged union");
        let kind =
            |variant: &serde_json::Value| variant["properties"]["kind"]["const"].as_str().map(str::to_owned);
        variants.iter().map(|variant| kind(variant).expect("a kind")).collect()
    }

    /// A recipe of that kind, with defaults where there are such.
    fn of_kind(kind: &str) -> ObjectiveRecipe {
        let needed = if kind == "importance-weighted" { ", \"samples\": 3" } else { "" };
        read(&format!("{{\"kind\": \"{kind}\"{needed}}}")).expect("all other values have defaults")
    }

    #[test]
    fn every_kind_has_defaults_that_pass_the_check_and_come_back() {
        assert_eq!(kinds().len(), 26);
        for kind in kinds() {
            let recipe = of_kind(&kind);
            assert!(recipe.check("objective", BackwardObjective::Joint).is_ok(), "{kind}");
            let text = serde_json::to_string(&recipe).expect("plain values");
            assert_eq!(read(&text), Ok(recipe), "{kind}: {text}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_and_the_schema_knows_them() {
        let schema = schemars::schema_for!(ObjectiveRecipe).to_value();
        for (kind, variant) in kinds().iter().zip(schema["oneOf"].as_array().expect("a tagged union")) {
            let found = read(&format!("{{\"kind\": \"{kind}\", \"lamda\": 1.0}}")).expect_err("a slip");
            assert!(found.contains("unknown field `lamda`"), "{kind}: {found}");
            assert_eq!(variant["additionalProperties"], false, "{kind}");
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let joint = BackwardObjective::Joint;
        let cases = [
            (
                r#"{"kind": "detailed-balance", "regression": {"kind": "huber", "delta": 0.0}}"#,
                "objective.regression.delta: found 0; allowed: a positive number up to 1000000",
            ),
            (
                r#"{"kind": "trajectory-balance", "regression": {"kind": "linex", "alpha": 0.0}}"#,
                "objective.regression.alpha: found 0; allowed: a number from 0.001 to 1000, or from -1000 to -0.001",
            ),
            (
                r#"{"kind": "soft-q", "target": {"rate": 1.5}}"#,
                "objective.target.rate: found 1.5; allowed: a positive number up to 1",
            ),
            (
                r#"{"kind": "modified-detailed-balance", "target": {"every": 0}}"#,
                "objective.target.every: found 0; allowed: an integer of at least 1",
            ),
            (
                r#"{"kind": "sub-trajectory-balance", "lambda": -0.5}"#,
                "objective.lambda: found -0.5; allowed: a number from 0 to 1000000",
            ),
            (
                r#"{"kind": "ppo", "epochs": 0}"#,
                "objective.epochs: found 0; allowed: a number from 1 to 1000",
            ),
            (
                r#"{"kind": "policy-gradient", "advantage": "total", "critic": {"kind": "sub-eb"}}"#,
                "objective.critic: found a critic for an advantage that reads no value; allowed: none, or advantage = \
                 \"baseline\" or \"gae\"",
            ),
            (
                r#"{"kind": "quantile-flow-matching", "risk": {"kind": "cvar", "eta": 0.0}}"#,
                "objective.risk.eta: found 0; allowed: a positive number up to 1",
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(message(json, joint), expected);
        }
        let found = message(r#"{"kind": "flow-matching"}"#, BackwardObjective::TrajectoryLikelihood);
        assert!(found.starts_with("objective.kind: found an objective without paths"), "{found}");
    }

    #[test]
    fn the_likelihood_of_trajectories_is_a_way_to_train_p_b_beside_any_objective_of_paths() {
        let without_paths = |kind: &String| {
            kind.ends_with("flow-matching") || ["coordinate-ascent", "craft", "fab"].contains(&kind.as_str())
        };
        for kind in kinds().iter().filter(|kind| !without_paths(kind)) {
            let recipe = of_kind(kind);
            let checked = recipe.check("objective", BackwardObjective::TrajectoryLikelihood);
            let Ok(Objective::Paths(objective)) = checked else { panic!("{kind} is of paths") };
            let Ok(Objective::Paths(alone)) = recipe.check("objective", BackwardObjective::Joint) else {
                panic!("{kind} is of paths")
            };
            let needs = objective.needs();
            assert!(needs.trains_backward && needs.on_policy, "{kind}");
            assert_eq!(
                (needs.epochs, needs.reference),
                (alone.needs().epochs, alone.needs().reference),
                "{kind}"
            );
        }
    }
}
