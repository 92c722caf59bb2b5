#!/usr/bin/env bash
# Installs the peers, at the pinned versions of peers/requirements.txt, into benchmarks/.venv (about 5.5 GB: the
# Linux wheel of torch links to its CUDA libraries even where only the CPU is used) and prints what was installed.
# PYTHON chooses the interpreter (default python3; 3.11 is the one that was measured).
set -euo pipefail
cd "$(dirname "$0")"

"${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement peers/requirements.txt
.venv/bin/python - <<'PYTHON'
import platform
from importlib.metadata import version

import normflows, zuko, torch  # an import that fails must fail here, not in the middle of a run

print("python", platform.python_version())
for name in ("torch", "normflows", "zuko", "numpy"):
    print(name, version(name))
print("torch uses", torch.backends.cpu.get_cpu_capability(), "with MKL" if torch.backends.mkl.is_available() else "")
PYTHON
