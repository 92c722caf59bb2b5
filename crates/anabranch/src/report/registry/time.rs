//! What things cost in time.

use super::Better::{Higher, Lower};
use super::Known;

pub(super) const KNOWN: &[Known] = &[
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
