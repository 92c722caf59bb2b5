"""512 samples with their log-density from a rational-quadratic coupling flow in normflows, in inference mode."""

from common import measure, options, report

arguments = options(__doc__, repeats=7, inner=20)

import torch

from coupling import BATCH, flow

model = flow().eval()
x = None


@torch.inference_mode()
def sample():
    global x
    # normflows computes the log-density along with the samples; there is no cheaper call.
    x, _ = model.sample(BATCH)


ms_all = measure(sample, arguments, warmup=10)
report("rqs_coupling_sample", "normflows", ["torch", "normflows"], arguments, ms_all, x.var().item())
