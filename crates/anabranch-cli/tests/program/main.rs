//! The program from outside: what it says, what it leaves on disk and the code it ends with, above all where
//! something is wrong.

mod bad_data;
mod bad_recipes;
mod book;
mod checkpoints;
mod disk_full;
mod door;
mod environment;
mod export;
mod json;
mod many;
mod memory;
mod mixed;
mod outputs;
mod particles;
mod progress;
mod propose;
mod runs;
mod schema;
mod signals;
mod snapshots;
mod support;
mod trust;
