"""One maximum-likelihood step (log-density, backward, Adam) of an autoregressive neural spline flow in zuko."""

from common import measure, options, report

arguments = options(__doc__, repeats=7, inner=10)

import torch

from autoregressive import BATCH, DIMENSION, flow

BATCHES = 8

model = flow()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
data = torch.randn(BATCH * BATCHES, DIMENSION).split(BATCH)
count, loss = 0, None


def step():
    global count, loss
    x = data[count % BATCHES]
    count += 1
    optimizer.zero_grad(set_to_none=True)
    loss = -model().log_prob(x).mean()
    loss.backward()
    optimizer.step()


ms_all = measure(step, arguments, warmup=10)
report("rqs_autoregressive_train", "zuko", ["torch", "zuko"], arguments, ms_all, loss.item())
