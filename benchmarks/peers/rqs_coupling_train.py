"""One maximum-likelihood step (forward KL, backward, Adam) of a rational-quadratic coupling flow in normflows."""

from common import measure, options, report

arguments = options(__doc__, repeats=7, inner=10)

import torch

from coupling import BATCH, DIMENSION, flow

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
    loss = model.forward_kld(x)
    loss.backward()
    optimizer.step()


ms_all = measure(step, arguments, warmup=10)
report("rqs_coupling_train", "normflows", ["torch", "normflows"], arguments, ms_all, loss.item())
