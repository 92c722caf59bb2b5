//! Objectives: losses that are functions of paths' numbers, for any chain.

pub mod balance;

pub use balance::ObjectiveRecipe;
