"""What every peer script shares: its options, the timing loop and the one JSON line it prints."""

import argparse
import json
import os
import statistics
import sys
import time
from importlib.metadata import version


def options(doc, repeats, inner, variants=(), more=None, framework="torch"):
    """Parses the options common to all cases and sets the thread count before torch or jax is imported.

    repeats: default number of timed blocks; inner: default calls per block (a block's figure is its mean per call),
    both None where the case itself says how it is timed; more: a function that adds a script's own options.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--threads", type=int, default=1, help="intra-op threads")
    counts = ["threads"]
    if repeats is not None:
        counts += ["repeats", "inner"]
        parser.add_argument("--repeats", type=int, default=repeats, help="timed blocks; the median is reported")
        parser.add_argument("--inner", type=int, default=inner, help="calls in one timed block")
    if variants:
        parser.add_argument("--variant", choices=variants, default=variants[0])
    if more:
        more(parser)
    arguments = parser.parse_args()
    for name in counts:
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, found {getattr(arguments, name)}")
    # The OpenMP and BLAS pools read these once, when they are loaded.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    if framework == "jax":
        # The pool of XLA's CPU client has NPROC threads; the flag governs the pool inside a matrix product.
        os.environ["NPROC"] = str(arguments.threads)
        eigen = "true" if arguments.threads > 1 else "false"
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen}"
        os.environ["JAX_PLATFORMS"] = "cpu"
        return arguments
    if "torch" in sys.modules:
        raise RuntimeError("torch was imported before the thread count was set")
    import torch

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    return arguments


def measure(call, arguments, warmup):
    """Calls `call` `warmup` times, then times `repeats` blocks of `inner` calls; returns ms per call of each block."""
    for _ in range(warmup):
        call()
    result = []
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        for _ in range(arguments.inner):
            call()
        result.append(1e3 * (time.perf_counter() - start) / arguments.inner)
    return result


def report(case, peer, packages, arguments, ms_all, check, gflop=None, **more):
    """Prints the JSON line. `check` is a finite number that depends on the work (a loss, a sample's variance);
    what else a case measures, such as the mean length of its trajectories, is added as it is.
    """
    if not check == check or check in (float("inf"), float("-inf")):
        sys.exit(f"{case} ({peer}): the computation ended in {check}; its timing means nothing")
    line = {
        "case": case,
        "peer": peer,
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in packages}},
        "threads": arguments.threads,
        "ms": statistics.median(ms_all),
        "ms_all": ms_all,
        "check": check,
    }
    if gflop is not None:
        line["gflop"] = gflop
    line.update(more)
    print(json.dumps(line), flush=True)
