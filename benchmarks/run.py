#!/usr/bin/env python3
"""Side-by-side run of anabranch and its peers: alternating processes, each at its best thread count, medians.

Needs nothing but the standard library; the peers run in benchmarks/.venv, those for GFlowNets in
benchmarks/.venv-gflownets, samplers of energies in benchmarks/.venv-samplers (see install-peers.sh).
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ["cargo", "build", "--release", "--workspace", "--example", "bench"]


def ours(case):
    """Our command for a case, from the root of the repository; `--threads N` is added to it."""
    return ["target/release/examples/bench", case]


def peer(script, variant=None):
    """A peer's command, from the root of the repository; `--threads N` is added to it."""
    command = ["benchmarks/.venv/bin/python", f"benchmarks/peers/{script}.py"]
    return command + (["--variant", variant] if variant else [])


def energy_train(case):
    """A step of training a sampler of an energy, compiled by JAX."""
    return ["benchmarks/.venv-samplers/bin/python", "benchmarks/peers/energy_train.py", "--variant", case]


def gflownets(case, *peers):
    """The named peers' sides of a GFlowNet case, in an environment of their own, and ours."""
    python = "benchmarks/.venv-gflownets/bin/python"
    sides = {name: [python, f"benchmarks/peers/gfn_{name}.py", "--variant", case] for name in peers}
    return {**sides, "anabranch": ours(case)}


# Work of one call in GFLOP: the matrix products alone, 2 per multiply-add, counted densely (masks save nothing).
# A training step costs a forward product, a product for the weights' gradient and one for the input's, except
# that no gradient is asked of the data. The GFlowNet cases have no entry: a side that stops with the last living
# trajectory does less work than one that pads to the longest possible, and the length changes as the policy learns.
DENOISER = 96 * 256 + 2 * 256 * 256 + 256 * 64
COUPLING = 5 * (4 * 128 + 4 * 128 * 128 + 128 * 4 * 23)
AUTOREGRESSIVE = 5 * (8 * 128 + 128 * 128 + 128 * 8 * 23)
GFLOP = {
    "gemm_256": 2e-9 * 256**3,
    "gemm_1024": 2e-9 * 1024**3,
    "ddpm_train": 2e-9 * 256 * (3 * DENOISER - 96 * 256),
    "ddpm_sample": 2e-9 * 1000 * 1000 * DENOISER,
    "rqs_coupling_train": 2e-9 * 512 * 3 * COUPLING,
    "rqs_coupling_sample": 2e-9 * 512 * COUPLING,
    "rqs_autoregressive_train": 2e-9 * 512 * (3 * AUTOREGRESSIVE - 8 * 128),
    "rqs_autoregressive_sample": 2e-9 * 512 * 8 * AUTOREGRESSIVE,
}

# Every case with its sides; the first peer is the anchor of the printed ratio.
CASES = {
    "gemm_256": {"pytorch": peer("gemm_peak", "256"), "anabranch": ours("gemm_256")},
    "gemm_1024": {"pytorch": peer("gemm_peak", "1024"), "anabranch": ours("gemm_1024")},
    "ddpm_train": {
        "pytorch": peer("ddpm_train", "eager"),
        "pytorch-compile": peer("ddpm_train", "compile"),
        "anabranch": ours("ddpm_train"),
    },
    "ddpm_sample": {
        "pytorch": peer("ddpm_sample", "eager"),
        "pytorch-compile": peer("ddpm_sample", "compile"),
        "anabranch": ours("ddpm_sample"),
    },
    "rqs_coupling_train": {"normflows": peer("rqs_coupling_train"), "anabranch": ours("rqs_coupling_train")},
    "rqs_coupling_sample": {"normflows": peer("rqs_coupling_sample"), "anabranch": ours("rqs_coupling_sample")},
    "rqs_autoregressive_train": {
        "zuko": peer("rqs_autoregressive_train"),
        "anabranch": ours("rqs_autoregressive_train"),
    },
    "rqs_autoregressive_sample": {
        "zuko": peer("rqs_autoregressive_sample"),
        "anabranch": ours("rqs_autoregressive_sample"),
    },
    "smc_manywell": {
        "blackjax": ["benchmarks/.venv-samplers/bin/python", "benchmarks/peers/smc_blackjax.py"],
        "anabranch": ours("smc_manywell"),
    },
    "dds_train": {"jax": energy_train("dds_train"), "anabranch": ours("dds_train")},
    "mcd_train": {"jax": energy_train("mcd_train"), "anabranch": ours("mcd_train")},
    "masked_train": {"pytorch": peer("masked", "train"), "anabranch": ours("masked_train")},
    "masked_sample": {"pytorch": peer("masked", "sample"), "anabranch": ours("masked_sample")},
    "eb_gfn_ising": {
        "gfnx": ["benchmarks/.venv-gflownets/bin/python", "benchmarks/peers/eb_gfn_gfnx.py"],
        "anabranch": ours("eb_gfn_ising"),
    },
    "gfn_grid_16": gflownets("gfn_grid_16", "gfnx", "torchgfn"),
    "gfn_grid_512": gflownets("gfn_grid_512", "gfnx", "torchgfn"),
    "gfn_grid_long_16": gflownets("gfn_grid_long_16", "gfnx", "torchgfn"),
    "gfn_ising_16": gflownets("gfn_ising_16", "gfnx", "torchgfn"),
    "gfn_bits_16": gflownets("gfn_bits_16", "gfnx", "torchgfn"),
    "gfn_bits_transformer_16": gflownets("gfn_bits_transformer_16", "gfnx"),
    "gfn_tfbind8_16": gflownets("gfn_tfbind8_16", "gfnx"),
}


class Failed(Exception):
    """A command that gave no timing, with the reason in one line."""


def run(command, case, side, threads):
    """Runs one process and returns its JSON line, checked."""
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    environment.update(PYTHONWARNINGS="ignore", PYTHONDONTWRITEBYTECODE="1")
    command = [*command, "--threads", str(threads)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error).replace(f"{ROOT}/", "")) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Failed(f"exit code {done.returncode}: {last.replace(f'{ROOT}/', '')}")
    try:
        line = json.loads(done.stdout.strip().splitlines()[-1])
        found = (line["case"], line["peer"], line["threads"])
        milliseconds = float(line["ms"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise Failed(f"its last line is not the JSON object expected ({error!r})") from error
    if found != (case, side, threads):
        raise Failed(f"it reports {found}, asked was {(case, side, threads)}")
    if not 0 < milliseconds < float("inf"):
        raise Failed(f"it reports {milliseconds} ms")
    gflop = line.get("gflop")
    if gflop is not None and case in GFLOP and abs(gflop / GFLOP[case] - 1) > 0.02:
        note(f"{case}: {side} counts {gflop:.4g} GFLOP a call, this table {GFLOP[case]:.4g}")
    return line


NOTES = []


def note(text):
    """Prints a remark once and keeps it for the results file."""
    if text not in NOTES:
        NOTES.append(text)
        print("note:", text, file=sys.stderr, flush=True)


def progress(text):
    """Tells on standard error how far the run is; standard output holds the table alone."""
    print(text, file=sys.stderr, flush=True)


def measure(cases, thread_counts, rounds, skip):
    """Tries every thread count once (which also warms caches), then alternates the sides for `rounds` rounds."""
    results, missing = {}, {}
    for case in cases:
        for side, command in CASES[case].items():
            if side in skip:
                continue
            try:
                tried = [(n, run(command, case, side, n)) for n in thread_counts]
            except Failed as error:
                missing.setdefault(case, {})[side] = str(error)
                note(f"{case}: no figure for {side}: {error}")
                continue
            best, line = min(tried, key=lambda pair: pair[1]["ms"])
            results.setdefault(case, {})[side] = {
                "versions": line.get("versions", {}),
                "threads": best,
                "trial_ms": {str(n): trial["ms"] for n, trial in tried},
                "ms_rounds": [],
                "length_rounds": [],
            }
            progress(f"{case}, {side}: " + ", ".join(f"{n} threads {t['ms']:.3f} ms" for n, t in tried))
    # Round by round, case by case, side after side; every second round goes backwards, so that no side is always
    # the one that runs on the cooler processor.
    for number in range(rounds):
        for case, sides in results.items():
            for side in sorted(sides, reverse=number % 2 == 1):
                entry = sides[side]
                try:
                    line = run(CASES[case][side], case, side, entry["threads"])
                except Failed as error:
                    sys.exit(f"{case}: {side} ran in the trial and failed in round {number + 1}: {error}")
                entry["ms_rounds"].append(line["ms"])
                if line.get("length") is not None:
                    entry["length_rounds"].append(line["length"])
        progress(f"round {number + 1} of {rounds} done")
    for case, sides in results.items():
        for entry in sides.values():
            entry["ms"] = statistics.median(entry["ms_rounds"])
            entry["gflops"] = 1e3 * GFLOP[case] / entry["ms"] if case in GFLOP else None
            lengths = entry.pop("length_rounds")
            if lengths:
                entry["length"] = statistics.median(lengths)
    return results, missing


def gemm_peak(results):
    """The largest GFLOP/s of any matrix product in this run, of whichever side, or None."""
    reached = [e["gflops"] for case in ("gemm_256", "gemm_1024") for e in results.get(case, {}).values()]
    return max(reached, default=None)


def table(results, peak):
    """Markdown: one row for each case and side; ratio = the peer's time over ours, above 1 where anabranch is faster."""
    rows = [
        "| case | side | threads | median ms | spread | mean length | GFLOP/s | of GEMM peak | peer / anabranch |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for case, sides in results.items():
        us = sides.get("anabranch")
        for side, entry in sides.items():
            spread = (max(entry["ms_rounds"]) - min(entry["ms_rounds"])) / entry["ms"]
            length = f"{entry['length']:.1f}" if "length" in entry else "-"
            speed = f"{entry['gflops']:.1f}" if entry["gflops"] else "-"
            share = f"{entry['gflops'] / peak:.0%}" if peak and entry["gflops"] else "-"
            ratio = f"{entry['ms'] / us['ms']:.2f}" if us and side != "anabranch" else "-"
            rows.append(
                f"| {case} | {side} | {entry['threads']} | {entry['ms']:.4g} | {spread:.0%} | "
                f"{length} | {speed} | {share} | {ratio} |"
            )
    return "\n".join(rows)


def machine():
    """What the figures depend on: processor, cores, system, the moment and the load at the start."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            model = next((l.split(":", 1)[1].strip() for l in info if l.startswith("model name")), model)
    except OSError:
        pass
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.date.today().isoformat(),
        "load_at_start": load,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--threads", default="1,2", help="thread counts that are tried (default 1,2)")
    parser.add_argument("--case", action="append", choices=CASES, help="run this case only; may be repeated")
    parser.add_argument("--skip", action="append", default=[], metavar="SIDE", help="leave a side out, e.g. pytorch-compile")
    parser.add_argument("--no-build", action="store_true", help="use the bench example as it was built last")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results.json", help="results file")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1, found {arguments.rounds}")
    try:
        thread_counts = [int(part) for part in arguments.threads.split(",")]
    except ValueError:
        thread_counts = []
    if not thread_counts or min(thread_counts) < 1:
        parser.error(f"--threads takes positive whole numbers with commas between them, found {arguments.threads!r}")
    known = {side for sides in CASES.values() for side in sides}
    if unknown := set(arguments.skip) - known:
        parser.error(f"--skip {sorted(unknown)[0]}: not a side; the sides are {', '.join(sorted(known))}")

    for environment in (".venv", ".venv-gflownets"):
        if not (HERE / environment / "bin/python").exists():
            sys.exit(f"benchmarks/{environment} is not there: run benchmarks/install-peers.sh first")
    if "anabranch" not in arguments.skip and not arguments.no_build:
        if subprocess.run(BUILD, cwd=ROOT).returncode != 0:
            sys.exit("the build of our side failed: " + " ".join(BUILD))
    about = machine()
    if about["load_at_start"] is not None and about["load_at_start"] > 0.5:
        note(f"the load average is {about['load_at_start']:.2f} at the start: other programs may disturb the figures")

    results, missing = measure(arguments.case or list(CASES), thread_counts, arguments.rounds, arguments.skip)
    if not results:
        sys.exit("no case gave a figure")
    peak = gemm_peak(results)
    markdown = table(results, peak)
    versions = {}
    for sides in results.values():
        for entry in sides.values():
            versions.update(entry.pop("versions"))
    document = {
        "machine": about,
        "versions": versions,
        "rounds": arguments.rounds,
        "gemm_peak_gflops": peak,
        "gflop_per_call": {case: GFLOP[case] for case in results if case in GFLOP},
        "results": results,
        "missing": missing,
        "notes": NOTES,
    }
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{about['processor']}, {about['cores']} cores, {about['date']}; "
          + ", ".join(f"{name} {number}" for name, number in versions.items()))
    if peak:
        print(f"GEMM peak of this run: {peak:.1f} GFLOP/s")
    print("\n" + markdown)


if __name__ == "__main__":
    main()
