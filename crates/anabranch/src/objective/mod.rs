//! Objectives: losses that are functions of paths' numbers, whatever the kernels are.
//!
//! ```text
//! s_0 -> s_1 -> ... -> s_n = x -> s_f         one row per state, rows of a trajectory in order
//! forward[t]   log P_F(s_{t+1} | s_t)          the last row's is log P_F(s_f | x)
//! backward[t]  log P_B(s_t | s_{t+1})          0 at the last row: nothing else leads into the sink
//! flow[t]      log F(s_t)
//! ```
//!
//! An objective answers its loss and the slopes of its loss with respect to every one of these numbers; the chain rule
//! through the kernels' networks is not its concern. Residuals are *forward side minus backward side*.
//!
//! Bengio et al., "GFlowNet Foundations" (2023); Malkin et al., "Trajectory balance" (2022).
//!
//! Every objective is a struct of its hyper-parameters; [`ObjectiveRecipe`] lists them all.
//!
//! ```text
//! delta_TB  = log Z + sum_t (log P_F - log P_B) - log R(x)                 [`TrajectoryBalance`], [`LogVariance`]
//! delta_DB  = log F(s) + log P_F(s' | s) - log F(s') - log P_B(s | s')     [`DetailedBalance`], [`SubTrajectoryBalance`]
//! delta_FM  = log sum_p F(p -> s) - log (R(s) + sum_c F(s -> c))           [`FlowMatching`], of states, not of paths
//! ```

mod backward;
mod check;
mod coordinate_ascent;
mod craft;
mod detailed;
pub mod energy;
mod expectation;
mod fab;
mod flow_matching;
mod modified;
mod needs;
mod policy_gradient;
mod quantile;
mod recipe;
mod regression;
mod relative;
mod stable;
mod sub_trajectory;
mod trajectory;
mod variational;

pub use crate::chain::{
    Paths, QuantileFlowSlopes, QuantileFlows, Reference, Slopes, StateFlowSlopes, StateFlows,
};
pub use crate::math::Risk;
pub use backward::{BackwardObjective, TrajectoryLikelihood};
pub use coordinate_ascent::CoordinateAscent;
pub use craft::Craft;
pub use detailed::{DetailedBalance, SoftQ};
pub use expectation::{ForwardKl, Gradient, ImportanceWeighted, MixedKl, ReverseKl};
pub use fab::Fab;
pub use flow_matching::FlowMatching;
pub use modified::ModifiedDetailedBalance;
pub use needs::{Drawn, Needs, PathObjective, ReferenceKind, TargetNetwork};
pub use policy_gradient::{Advantage, Critic, PolicyGradient, Ppo};
pub use quantile::QuantileFlowMatching;
pub use recipe::{Objective, ObjectiveRecipe};
pub use regression::Regression;
pub use relative::{RelativeLogVariance, RelativeTrajectoryBalance, TrustPcl};
pub use stable::StableDetailedBalance;
pub use sub_trajectory::{SubTrajectoryBalance, SubTrajectoryWeighting};
pub use trajectory::{LogVariance, TrajectoryBalance};
pub use variational::{
    Baseline, ChiSquare, ImportanceWeightedElbo, Renyi, ScoreFunction, SelfNormalisedForwardKl,
};

use crate::chain::Scratch;
