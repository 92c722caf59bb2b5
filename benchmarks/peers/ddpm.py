"""The denoiser and the noise schedule that ddpm_train.py and ddpm_sample.py share (Ho et al. 2020, arXiv 2006.11239)."""

import math

import torch
from torch import nn

DIMENSION, EMBEDDING, HIDDEN, STEPS = 64, 32, 256, 1000


class Schedule:
    """Linear betas from 1e-4 to 0.02 and the quantities that training and ancestral sampling read."""

    def __init__(self):
        beta = torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)
        alpha_bar = torch.cumprod(1.0 - beta, 0)
        previous = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
        self.signal = alpha_bar.sqrt().float()
        self.noise = (1.0 - alpha_bar).sqrt().float()
        # x_{t-1} = scale_t (x_t - shift_t eps) + sigma_t z, as Python floats: no tensor is indexed in the sampling loop.
        self.scale = (1.0 - beta).rsqrt().tolist()
        self.shift = (beta / (1.0 - alpha_bar).sqrt()).tolist()
        self.sigma = (beta * (1.0 - previous) / (1.0 - alpha_bar)).sqrt().tolist()


class Denoiser(nn.Module):
    """eps(x, t): [x, sinusoidal embedding of t] -> three hidden layers of 256 with SiLU -> 64."""

    def __init__(self):
        super().__init__()
        half = EMBEDDING // 2
        frequency = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        angle = torch.arange(STEPS)[:, None] * frequency
        # The embedding of every step is a table: looking a row up is cheaper than sines in each call.
        self.register_buffer("embedding", torch.cat([angle.sin(), angle.cos()], dim=1))
        self.net = nn.Sequential(
            nn.Linear(DIMENSION + EMBEDDING, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, DIMENSION),
        )

    def forward(self, x, embedding):
        return self.net(torch.cat([x, embedding], dim=1))
