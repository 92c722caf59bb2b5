"""The GFlowNet benchmark cases that every side trains, and how an iteration is timed early and late in training."""

import statistics
import time
from typing import NamedTuple


class Case(NamedTuple):
    """Trajectory balance with Adam, from fresh weights, sampling from the policy as it is (no exploration).

    `warmup` iterations come first, then `repeats` blocks of `block` iterations are timed. The beginning of training
    is what is timed because the length of a trajectory changes as the policy learns.
    """

    environment: str
    settings: dict
    batch: int = 16
    learning_rate: float = 1e-3
    learning_rate_log_z: float = 0.1
    hidden: int = 256
    layers: int = 2
    warmup: int = 50
    repeats: int = 10
    block: int = 10


GRID = {"dim": 4, "side": 20, "reward": (1e-3, 0.5, 2.0)}
CASES = {
    "gfn_grid_16": Case("grid", GRID),
    "gfn_grid_512": Case("grid", GRID, batch=512, warmup=12, repeats=5, block=4),
    # A flatter reward draws the policy through the whole grid, so that trajectories soon have the length that a sampler
    # of either reward has once it is trained (39 on average).
    "gfn_grid_long_16": Case("grid", {**GRID, "reward": (0.1, 0.5, 2.0)}, warmup=300),
    "gfn_ising_16": Case("ising", {"side": 10, "coupling": 0.44}),
    "gfn_bits_16": Case("bits", {"bits": 8, "word": 1, "modes": 2, "beta": 2.0}),
    "gfn_bits_transformer_16": Case(
        "bits-transformer",
        {"bits": 120, "word": 8, "modes": 60, "beta": 3.0, "heads": 8, "weight_decay": 1e-5, "epsilon": 1e-3},
        learning_rate_log_z=5e-2,
        hidden=64,
        layers=3,
        warmup=12,
        repeats=5,
        block=4,
    ),
    "gfn_tfbind8_16": Case("tfbind8", {"exponent": 3.0, "scale": 10.0, "least": 1e-3}),
}


def torus(side, coupling):
    """The interaction matrix of the nearest-neighbour Ising model on a periodic square lattice, as nested lists."""
    sites = side * side
    matrix = [[0.0] * sites for _ in range(sites)]
    for row in range(side):
        for column in range(side):
            site = row * side + column
            for other in (row * side + (column + 1) % side, (row + 1) % side * side + column):
                matrix[site][other] = matrix[other][site] = coupling
    return matrix


def late_option(parser):
    """Adds `--late N`, which the scripts of these cases accept beyond the common options."""
    parser.add_argument("--late", type=int, default=0, help="time the blocks again after this many iterations")


def time_training(case, train_block, late):
    """Times training by `train_block()`, which does `case.block` iterations, waits for them, and returns the mean
    length of their trajectories (transitions, the stop included). Returns the ms per iteration of each block, and what
    is reported besides: batch, lengths, and the same figures once `late` iterations have been done.
    """
    done = 0

    def skip(until):
        nonlocal done
        while done < until:
            train_block()
            done += case.block

    def blocks():
        nonlocal done
        milliseconds, lengths, first = [], [], done
        for _ in range(case.repeats):
            start = time.perf_counter()
            lengths.append(train_block())
            milliseconds.append(1e3 * (time.perf_counter() - start) / case.block)
        done += case.repeats * case.block
        return milliseconds, statistics.fmean(lengths), [first, done]

    skip(case.warmup)
    ms_all, length, between = blocks()
    found = {"batch": case.batch, "iterations": between, "length": length}
    if late:
        skip(late)
        ms_late, length, between = blocks()
        found.update(ms_late=statistics.median(ms_late), iterations_late=between, length_late=length)
    return ms_all, found
