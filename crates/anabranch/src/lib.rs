pub mod error; pub mod rng;
