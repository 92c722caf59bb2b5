//! What the report of a flow network shows besides its numbers: laws of objects, flows, trajectories.
//!
//! ```text
//! log P_T(x)            learned: exact where all states can be listed, else by backward trajectories
//! log R(x) - log Z      exact
//! u(s) P_F(s' | s)      the share of all flow that goes along an edge, learned and of the reward
//! ```

mod gather;
mod pictures;

pub(super) use gather::gather;
pub(super) use pictures::{sections, side_by_side};

/// What is known of a flow network's objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flow {
    /// How states are drawn.
    pub form: Form,
    /// The learned law of objects beside the exact one; empty where it depends on a condition, or is not known.
    pub law: LawShown,
    /// The laws at some conditions, where they depend on one.
    pub conditional: Vec<(String, LawShown)>,
    /// The objects with the highest rewards, the highest first.
    pub top: Vec<Object>,
    /// The flow through the states, where they are few.
    pub graph: Option<Graph>,
    /// The first trajectories of those whose objects are the run's samples.
    pub walks: Vec<Walk>,
}

/// How states are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// As text.
    #[default]
    Text,
    /// As points of a square grid with so many values along each side.
    Grid(usize),
    /// As spins on a square lattice with so many sites along each side; 1 is down, 2 up, 0 not yet set.
    Lattice(usize),
}

/// Laws over objects, nats.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LawShown {
    /// Whether these are all objects (on a grid row by row, from the lowest) and their probabilities exact; else they are
    /// samples without repetition, and [`LawShown::learned`] is an estimate.
    pub whole: bool,
    /// `log P_T(x)`.
    pub learned: Vec<f64>,
    /// `log R(x)`.
    pub log_rewards: Vec<f64>,
    /// `log Z`, where it is known.
    pub log_z: Option<f64>,
    /// The objects as text, where they are few.
    pub names: Vec<String>,
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The object as text.
    pub name: String,
    /// `log R(x)`, nats.
    pub log_reward: f64,
    /// `log P_T(x)`, nats.
    pub learned: f64,
}

/// The flow through all states, as shares of all flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The states as text, in topological order.
    pub names: Vec<String>,
    /// What flows from each state into the sink, learned and exact; none where the state is no object.
    pub stops: Vec<Option<[f64; 2]>>,
    /// The edges: parent, child, learned flow, exact flow.
    pub edges: Vec<(usize, usize, f64, f64)>,
}

/// One trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// The states from the source on.
    pub states: Vec<Vec<u16>>,
    /// The same as text.
    pub names: Vec<String>,
    /// `log R(x)` of the last, nats.
    pub log_reward: f64,
}
