#!/usr/bin/env bash
# Installs the peers, at the pinned versions of peers/requirements*.txt, into benchmarks/.venv, those for GFlowNets into
# benchmarks/.venv-gflownets (gfnx and torchgfn need NumPy 1, the others are measured with NumPy 2) and samplers of energies
# into benchmarks/.venv-samplers. About 5.5 GB each of the first two: the Linux wheel of torch links to its CUDA libraries even where only the CPU is used. Prints what was installed.
# PYTHON chooses the interpreter (default python3; 3.11 is the one that was measured).
set -euo pipefail
cd "$(dirname "$0")"

install() { # environment requirements
    "${PYTHON:-python3}" -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "peers/$2"
}

install .venv requirements.txt
.venv/bin/python - <<'PYTHON'
import platform
from importlib.metadata import version

import normflows, zuko, torch  # an import that fails must fail here, not in the middle of a run

print("python", platform.python_version())
for name in ("torch", "normflows", "zuko", "numpy"):
    print(name, version(name))
print("torch uses", torch.backends.cpu.get_cpu_capability(), "with MKL" if torch.backends.mkl.is_available() else "")
PYTHON

install .venv-gflownets requirements-gflownets.txt
.venv-gflownets/bin/python - <<'PYTHON'
from importlib.metadata import version

import equinox, gfn, gfnx, jax, optax, torch

for name in ("gfnx", "jax", "equinox", "optax", "torchgfn", "torch", "numpy"):
    print(name, version(name))
PYTHON

install .venv-samplers requirements-samplers.txt
.venv-samplers/bin/python - <<'PYTHON'
from importlib.metadata import version

import blackjax, jax

for name in ("blackjax", "jax", "numpy"):
    print(name, version(name))
PYTHON
