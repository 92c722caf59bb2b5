//! Networks: functions with trainable weights, each weight vector flat.

pub mod embedding;
pub mod feedforward;
pub mod taped;
pub mod weights;

pub use feedforward::{Activation, Feedforward, MaskedNetwork, Network};
