"""Square f32 matrix products in PyTorch into a given output: what this machine's BLAS reaches."""

from common import measure, options, report

arguments = options(__doc__, repeats=9, inner=10, variants=("256", "1024"))

import torch

size = int(arguments.variant)
# The option counts products of 1024^3; smaller ones get as many more as keep a block's work the same.
arguments.inner *= (1024 // size) ** 3
a, b, c = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)


def product():
    torch.matmul(a, b, out=c)


ms_all = measure(product, arguments, warmup=arguments.inner)
report(f"gemm_{size}", "pytorch", ["torch"], arguments, ms_all, c.std().item())
