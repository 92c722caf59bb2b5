"""torchgfn's quality and time on the 2-D grid of side 16: exact total variation and log Z at a budget of trajectories.

Reward R0, R1, R2 = 0.1, 0.5, 2; MLP 2 x 256 with a learned backward policy; Adam 1e-3 (log Z 0.1); batch 16; on-policy.
The distance to the target is exact: the terminating distribution is propagated over all states, nothing is sampled.
"""

import time

from common import options, report

LOSSES = ("tb", "db")


def more(parser):
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trajectories", type=int, default=32_000)


arguments = options(__doc__, None, None, variants=LOSSES, more=more)

import torch
from gfn.estimators import DiscretePolicyEstimator, ScalarEstimator
from gfn.gflownet import DBGFlowNet, TBGFlowNet
from gfn.gym import HyperGrid
from gfn.preprocessors import KHotPreprocessor
from gfn.samplers import Sampler
from gfn.utils.modules import MLP

SIDE, BATCH = 16, 16
torch.manual_seed(arguments.seed)


def target():
    """The reward of every state (side x side, f64) from the integer rule, which no rounding can break."""
    edge = SIDE - 1
    distance = (2 * torch.arange(SIDE) - edge).abs()
    outer = 2 * distance > edge
    band = (10 * distance > 6 * edge) & (10 * distance < 8 * edge)
    return 0.1 + 0.5 * (outer[:, None] & outer).double() + 2.0 * (band[:, None] & band).double()


def terminating(policy):
    """P_T of every state: the probability of reaching it times that of stopping there, in order of the diagonals."""
    states = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE))
    with torch.no_grad():
        chances = policy.to_probability_distribution(env.states_from_tensor(states),
                                                     policy(env.states_from_tensor(states))).probs
    right, up, stop = chances.double().T.reshape(3, SIDE, SIDE)
    reached = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    reached[0, 0] = 1.0
    for i in range(SIDE):
        for j in range(SIDE):
            if i > 0:
                reached[i, j] += reached[i - 1, j] * right[i - 1, j]
            if j > 0:
                reached[i, j] += reached[i, j - 1] * up[i, j - 1]
    return reached * stop


env = HyperGrid(2, SIDE, reward_fn_kwargs={"R0": 0.1, "R1": 0.5, "R2": 2.0})
preprocessor = KHotPreprocessor(height=SIDE, ndim=2)
reward = target()
states = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE))
disagreeing = int((env.reward(env.states_from_tensor(states)).double() - reward.flatten()).abs().gt(1e-5).sum())

forward = MLP(preprocessor.output_dim, env.n_actions)
backward = MLP(preprocessor.output_dim, env.n_actions - 1, trunk=forward.trunk)
policy = DiscretePolicyEstimator(forward, env.n_actions, preprocessor=preprocessor)
reverse = DiscretePolicyEstimator(backward, env.n_actions, preprocessor=preprocessor, is_backward=True)
if arguments.variant == "tb":
    model = TBGFlowNet(pf=policy, pb=reverse, init_logZ=0.0)
    extra = {"params": list(model.logz_parameters()), "lr": 0.1}
else:
    flow = ScalarEstimator(MLP(preprocessor.output_dim, 1), preprocessor=preprocessor)
    model = DBGFlowNet(pf=policy, pb=reverse, logF=flow)
    extra = {"params": list(flow.parameters()), "lr": 1e-3}
optimizer = torch.optim.Adam([{"params": list(model.pf_pb_parameters()), "lr": 1e-3}, extra], fused=True)
sampler = Sampler(policy)

iterations = arguments.trajectories // BATCH
start = time.perf_counter()
for _ in range(iterations):
    with torch.no_grad():
        paths = sampler.sample_trajectories(env, n=BATCH)
    optimizer.zero_grad(set_to_none=True)
    loss = model.loss_from_trajectories(env, paths, recalculate_all_logprobs=True)
    loss.backward()
    optimizer.step()
seconds = time.perf_counter() - start

distribution = terminating(policy)
assert abs(distribution.sum().item() - 1.0) < 1e-5, "the terminating distribution does not sum to one"
exact = reward / reward.sum()
if arguments.variant == "tb":
    log_z = model.logZ.item()
else:
    log_z = flow(env.states_from_tensor(torch.zeros(1, 2, dtype=torch.long))).item()
report(f"gfn_quality_{arguments.variant}", "torchgfn", ["torchgfn", "torch"], arguments, [1e3 * seconds / iterations],
       loss.item(), seed=arguments.seed, trajectories=iterations * BATCH, seconds=seconds,
       tv=0.5 * (distribution - exact).abs().sum().item(), log_z=log_z, log_z_exact=reward.sum().log().item(),
       states_with_another_reward=disagreeing, length=paths.terminating_idx.float().mean().item())
