"""512 samples from an autoregressive neural spline flow in zuko, in inference mode: eight passes for each transform."""

from common import measure, options, report

arguments = options(__doc__, repeats=7, inner=5)

import torch

from autoregressive import BATCH, flow

model = flow().eval()
x = None


@torch.inference_mode()
def sample():
    global x
    x = model().sample((BATCH,))


ms_all = measure(sample, arguments, warmup=5)
report("rqs_autoregressive_sample", "zuko", ["torch", "zuko"], arguments, ms_all, x.var().item())
