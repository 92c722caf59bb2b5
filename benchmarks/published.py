#!/usr/bin/env python3
"""log Z of the targets that papers report, each by its recipe of particles, over seeds: a table beside the truth.

Runs `anabranch compare RECIPE --seeds N` for each recipe and prints one line for each. Needs nothing but the standard library and the
program; `brownian-smc` begins at the run `brownian-gaussian`, which is made first.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The recipe, log Z, and how far the mean over seeds may be from it.
RECIPES = {
    "gmm25-smc": (0.0, 0.02),
    "gmm40-smc": (0.0, 0.02),
    "manywell-smc": (164.6957, 0.07),
    "funnel-smc": (0.0, 0.05),
    "ionosphere-smc": (-111.61, 0.2),
    "sonar-smc": (-108.386, 0.3),
    "seeds-smc": (-73.4062, 0.15),
    "brownian-smc": (1.187749, 0.05),
}


def answer(program, directory, *words):
    """The JSON object that the program prints."""
    command = [program, *words, "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=directory)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"of {', '.join(RECIPES)}; all unless given")
    parser.add_argument("--seeds", default="5", help="how many")
    parser.add_argument("--program", default=str(ROOT / "target/release/anabranch"))
    arguments = parser.parse_args()
    program = os.path.abspath(arguments.program)
    print("| recipe | log Z, mean ± sd | exact, or reference | error | particles' own error | evaluations of a particle |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for recipe in arguments.recipes or RECIPES:
            exact, allowed = RECIPES[recipe]
            if recipe == "brownian-smc":
                answer(program, directory, "run", "brownian-gaussian", "--out", "brownian-gaussian")
            found = answer(program, directory, "compare", recipe, "--seeds", arguments.seeds, "--out", recipe)
            metrics = found["variants"][0]["metrics"]
            log_z = metrics["log_z_smc"]
            errors = [run["metrics"]["log_z_smc_se"] for run in found["runs"]]
            error = sum(errors) / len(errors)
            off = log_z["mean"] - exact
            verdict = "" if abs(off) <= allowed else f" (more than {allowed})"
            row = [
                f"`{recipe}`",
                f"{log_z['mean']:.4f} ± {log_z.get('sd') or 0:.4f}",
                f"{exact:g}",
                f"{off:+.4f}{verdict}",
                f"{error:.4f}",
                f"{metrics['evaluations_smc']['mean']:.0f}",
            ]
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
