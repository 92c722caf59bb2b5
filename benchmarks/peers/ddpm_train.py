"""One DDPM training step of an MLP denoiser in PyTorch: random t, noise, forward, eps-MSE, backward, Adam."""

from common import measure, options, report

arguments = options(__doc__, repeats=9, inner=100, variants=("eager", "compile"))

import torch
from torch.nn import functional as F

from ddpm import DIMENSION, STEPS, Denoiser, Schedule

BATCH, BATCHES = 256, 7

schedule, model = Schedule(), Denoiser()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
# Stands for 8x8 digits scaled to [-1, 1]; a batch is a contiguous view, so drawing it costs nothing.
data = (torch.rand(BATCH * BATCHES, DIMENSION) * 2 - 1).split(BATCH)


def objective(x, t, noise):
    noisy = schedule.signal[t, None] * x + schedule.noise[t, None] * noise
    return F.mse_loss(model(noisy, model.embedding[t]), noise)


if arguments.variant == "compile":
    objective = torch.compile(objective)

count, loss = 0, None


def step():
    global count, loss
    x = data[count % BATCHES]
    count += 1
    optimizer.zero_grad(set_to_none=True)
    loss = objective(x, torch.randint(STEPS, (BATCH,)), torch.randn(BATCH, DIMENSION))
    loss.backward()
    optimizer.step()


ms_all = measure(step, arguments, warmup=100)
peer = "pytorch" if arguments.variant == "eager" else "pytorch-compile"
report("ddpm_train", peer, ["torch"], arguments, ms_all, loss.item())
