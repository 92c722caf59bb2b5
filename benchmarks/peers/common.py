"""What every peer script shares: its options, the timing loop and the one JSON line it prints."""

import argparse
import json
import os
import statistics
import sys
import time
from importlib.metadata import version


def options(doc, repeats, inner, variants=()):
    """Parses the options common to all cases and sets the thread count before torch is imported.

    repeats: default number of timed blocks; inner: default calls per block (a block's figure is its mean per call).
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--threads", type=int, default=1, help="intra-op threads")
    parser.add_argument("--repeats", type=int, default=repeats, help="timed blocks; the median is reported")
    parser.add_argument("--inner", type=int, default=inner, help="calls in one timed block")
    if variants:
        parser.add_argument("--variant", choices=variants, default=variants[0])
    arguments = parser.parse_args()
    for name in ("threads", "repeats", "inner"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, found {getattr(arguments, name)}")
    # The OpenMP and BLAS pools read these once, when they are loaded.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
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


def report(case, peer, packages, arguments, ms_all, check, gflop=None):
    """Prints the JSON line. `check` is a finite number that depends on the work (a loss, a sample's variance)."""
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
    print(json.dumps(line), flush=True)
