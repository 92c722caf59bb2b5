"""Trajectory balance in torchgfn (PyTorch): sample a batch with the current policy, loss, backward, Adam."""

from common import options, report
from gfn_cases import CASES, late_option, time_training, torus

SUPPORTED = tuple(name for name, case in CASES.items() if case.environment in ("grid", "ising", "bits"))

arguments = options(__doc__, None, None, variants=SUPPORTED, more=late_option)
case = CASES[arguments.variant]

import torch
from gfn.estimators import DiscretePolicyEstimator
from gfn.gflownet import TBGFlowNet
from gfn.gym import DiscreteEBM, HyperGrid, NonAutoregressiveBitSequence
from gfn.gym.discrete_ebm import IsingModel
from gfn.preprocessors import IdentityPreprocessor, KHotPreprocessor
from gfn.samplers import Sampler
from gfn.utils.modules import MLP

settings = case.settings
if case.environment == "grid":
    env = HyperGrid(settings["dim"], settings["side"],
                    reward_fn_kwargs=dict(zip(("R0", "R1", "R2"), settings["reward"])))
    preprocessor = KHotPreprocessor(height=env.height, ndim=env.ndim)
elif case.environment == "ising":
    energy = IsingModel(torch.tensor(torus(settings["side"], settings["coupling"]))).requires_grad_(False)
    env = DiscreteEBM(settings["side"] ** 2, energy=energy)
    preprocessor = IdentityPreprocessor(output_dim=env.ndim)
else:
    env = NonAutoregressiveBitSequence(settings["word"], settings["bits"], settings["modes"], settings["beta"])
    preprocessor = IdentityPreprocessor(output_dim=env.words_per_seq)

forward = MLP(preprocessor.output_dim, env.n_actions, case.hidden, case.layers)
backward = MLP(preprocessor.output_dim, env.n_actions - 1, trunk=forward.trunk)
policy = DiscretePolicyEstimator(forward, env.n_actions, preprocessor=preprocessor)
model = TBGFlowNet(
    pf=policy,
    pb=DiscretePolicyEstimator(backward, env.n_actions, preprocessor=preprocessor, is_backward=True),
    init_logZ=0.0,
)
optimizer = torch.optim.Adam(
    [
        {"params": list(model.pf_pb_parameters()), "lr": case.learning_rate},
        {"params": list(model.logz_parameters()), "lr": case.learning_rate_log_z},
    ],
    fused=True,
)
sampler = Sampler(policy)
loss = None


def train_block():
    global loss
    lengths = []
    for _ in range(case.block):
        # Sampling without a graph and evaluating log P_F once more, in one pass over all steps, is faster than
        # keeping the graph of every step.
        with torch.no_grad():
            paths = sampler.sample_trajectories(env, n=case.batch)
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss_from_trajectories(env, paths, recalculate_all_logprobs=True)
        loss.backward()
        optimizer.step()
        lengths.append(paths.terminating_idx)
    return torch.stack(lengths).float().mean().item()


ms_all, found = time_training(case, train_block, arguments.late)
parameters = sum(p.numel() for p in model.pf_pb_parameters())
report(arguments.variant, "torchgfn", ["torchgfn", "torch"], arguments, ms_all, loss.item(),
       parameters=parameters, log_z=model.logZ.item(), **found)
