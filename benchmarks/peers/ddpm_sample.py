"""1000 samples by ancestral sampling over 1000 steps of an MLP denoiser in PyTorch, in inference mode."""

from common import measure, options, report

arguments = options(__doc__, repeats=3, inner=1, variants=("eager", "compile"))

import torch

from ddpm import DIMENSION, EMBEDDING, STEPS, Denoiser, Schedule

SAMPLES = 1000

schedule, model = Schedule(), Denoiser().eval()


def transition(x, embedding, scale, shift):
    eps = model(x, embedding.expand(SAMPLES, EMBEDDING))
    return (x - shift * eps) * scale


def in_place(x, embedding, scale, shift):
    eps = model(x, embedding.expand(SAMPLES, EMBEDDING))
    return x.sub_(eps, alpha=shift).mul_(scale)


if arguments.variant == "compile":
    compiled = torch.compile(transition)
    # Tensors, not floats: a float would be a constant of the graph, and each step would compile anew.
    scales, shifts = torch.tensor(schedule.scale), torch.tensor(schedule.shift)

x = None


@torch.inference_mode()
def sample(steps=STEPS):
    global x
    x = torch.randn(SAMPLES, DIMENSION)
    for t in reversed(range(steps)):
        embedding = model.embedding[t : t + 1]
        if arguments.variant == "compile":
            x = compiled(x, embedding, scales[t], shifts[t])
        else:
            x = in_place(x, embedding, schedule.scale[t], schedule.shift[t])
        if t > 0:
            x.add_(torch.randn_like(x), alpha=schedule.sigma[t])


sample(100)
ms_all = measure(sample, arguments, warmup=0)
peer = "pytorch" if arguments.variant == "eager" else "pytorch-compile"
report("ddpm_sample", peer, ["torch"], arguments, ms_all, x.var().item())
