"""Masked diffusion over 64 sites of two values by a bidirectional transformer in PyTorch: a training step, or 64 samples in 64 steps."""

from common import measure, options, report

arguments = options(__doc__, repeats=5, inner=5, variants=("train", "sample"))

import torch
from torch import nn
from torch.nn import functional as F

SITES, VALUES, BATCH, BATCHES, STEPS = 64, 2, 64, 7, 64
LAYERS, HEADS, WIDTH = 3, 4, 64


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.attention = nn.Linear(WIDTH, 3 * WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.before_perceptron = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        rows, sites, _ = x.shape
        asked = self.attention(self.before_attention(x)).view(rows, sites, 3, HEADS, WIDTH // HEADS)
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        read = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(rows, sites, WIDTH)
        x = x + self.mix(read)
        return x + self.narrow(F.gelu(self.widen(self.before_perceptron(x)), approximate="tanh"))


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VALUES + 1, WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(SITES, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.head = nn.Linear(WIDTH, VALUES)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.tokens(x) + self.places)))


model = Denoiser()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
data = torch.randint(VALUES, (BATCH * BATCHES, SITES)).split(BATCH)
count, check = 0, None


def step():
    """The bound of 64 levels at a stratified one for each row: a cross-entropy at masked sites, weighed by its chance to appear."""
    global count, check
    x = data[count % BATCHES]
    count += 1
    optimizer.zero_grad(set_to_none=True)
    level = ((torch.arange(BATCH) + torch.rand(1)) * STEPS / BATCH).floor() % STEPS + 1
    masked = torch.rand(BATCH, SITES) < (level / STEPS)[:, None]
    logits = model(x.masked_fill(masked, VALUES))
    entropy = F.cross_entropy(logits.flatten(0, 1), x.flatten(), reduction="none").view(BATCH, SITES)
    loss = ((entropy * masked).sum(1) * STEPS / level).mean()
    loss.backward()
    optimizer.step()
    check = loss


@torch.inference_mode()
def sample():
    global check
    x = torch.full((BATCH, SITES), VALUES)
    for level in range(STEPS, 0, -1):
        appear = (x == VALUES) & (torch.rand(BATCH, SITES) < 1 / level)
        # A row in which nothing appears needs no answer.
        rows = appear.any(1).nonzero()[:, 0]
        drawn = torch.distributions.Categorical(logits=model(x[rows]), validate_args=False).sample()
        x[rows] = torch.where(appear[rows], drawn, x[rows])
    check = x.float().mean()


call = step if arguments.variant == "train" else sample
ms_all = measure(call, arguments, warmup=arguments.inner)
report(f"masked_{arguments.variant}", "pytorch", ["torch"], arguments, ms_all, check.item())
