//! Networks: functions with trainable weights, each weight vector flat.

pub mod embedding;
pub mod feedforward;
pub mod taped;

pub use crate::array::shape::{Activation, Feedforward};
pub use feedforward::{MaskedNetwork, Network};
