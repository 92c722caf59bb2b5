//! Networks: functions with trainable weights, each weight vector flat.

mod causal;
pub mod embedding;
mod feedforward;
mod hollow;
mod masked;
mod module;
pub(crate) mod recipe;
pub mod taped;

pub use crate::array::shape::{Activation, Feedforward};
pub use causal::CausalTransformer;
pub use hollow::{HollowNetwork, HollowTransformer};
pub use masked::MaskedNetwork;
pub use module::{Architecture, Network};
pub use recipe::NetworkRecipe;
