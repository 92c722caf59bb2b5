"""An iteration of EB-GFN on the Ising model in gfnx (JAX), compiled as a loop over a block of iterations.

Own trajectories are learned by trajectory balance against the energy as it is; their ends are proposed to data, whose trajectories are
walked backward by the uniform P_B, and accepted by Metropolis' rule; the energy learns from data against what was kept.
"""

import functools

from common import measure, options, report

arguments = options(__doc__, 5, 4, framework="jax")

import equinox as eqx
import gfnx
import jax
import jax.numpy as jnp
import optax
from gfnx.environment.ising import EnvState
from gfnx.reward.ising import IsingRewardParams

SIDE, BATCH, ROWS, L1 = 10, 64, 2000, 0.15
SITES = SIDE * SIDE

env = gfnx.IsingEnvironment(gfnx.IsingRewardModule(), dim=SITES)
fixed = env.init(jax.random.key(1))
# The time of a step does not depend on what the data are.
data = jax.random.bernoulli(jax.random.key(2), 0.5, (ROWS, SITES)).astype(jnp.int8)
network = eqx.nn.MLP(SITES, 2 * SITES, 256, 2, key=jax.random.key(0))
weights, skeleton = eqx.partition(network, eqx.is_array)
players = {"network": weights, "log_z": jnp.array(0.0), "couplings": jnp.zeros((SITES, SITES))}
optimizer = optax.multi_transform(
    {"network": optax.adam(1e-3), "log_z": optax.adam(1.0), "couplings": optax.adam(1e-3)},
    {"network": "network", "log_z": "log_z", "couplings": "couplings"},
)


def forward_policy(_, observation, weights):
    return jax.vmap(eqx.combine(weights, skeleton))(observation), {}


def backward_policy(_, observation, weights):
    return jnp.zeros((observation.shape[0], SITES)), {}


def log_forward(weights, before, action):
    """The log-probability of each action at the states before it, `[batch, time]`."""
    logits = jax.vmap(jax.vmap(eqx.combine(weights, skeleton)))(before)
    set_already = jnp.tile(before != -1, 2)
    logits = gfnx.utils.mask_logits(logits, set_already)
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], axis=-1)[..., 0]


# Under the uniform P_B all orders are alike.
LOG_BACKWARD = -jax.scipy.special.gammaln(SITES + 1.0)


def log_reward(couplings, states):
    spins = 2.0 * states - 1.0
    return jnp.einsum("bi,ij,bj->b", spins, couplings, spins)


def iteration(_, state):
    players, moments, key, _ = state
    key, own_key, back_key, row_key, accept_key = jax.random.split(key, 5)
    energy = fixed.replace(reward_params=IsingRewardParams(J=players["couplings"]))
    own, own_end = gfnx.utils.forward_rollout(own_key, BATCH, forward_policy, players["network"], env, energy)
    ends = own_end["final_env_state"].state
    own_reward = log_reward(players["couplings"], ends)

    rows = data[jax.random.randint(row_key, (BATCH,), 0, ROWS)]
    flags = functools.partial(jnp.full, (BATCH,))
    start = EnvState(
        state=rows, time=flags(SITES), is_terminal=flags(True), is_initial=flags(False), is_pad=flags(False)
    )
    back, _ = gfnx.utils.backward_rollout(back_key, start, backward_policy, None, env, energy)
    erased = back.action[:, :SITES]
    value = jnp.take_along_axis(rows, erased, axis=1).astype(jnp.int32)
    of_data = log_forward(players["network"], back.obs[:, 1 : SITES + 1], erased + SITES * value).sum(1)

    def balance(learned):
        of_own = log_forward(learned["network"], own.obs[:, :SITES], own.action[:, :SITES]).sum(1)
        return jnp.mean((learned["log_z"] + of_own - own_reward - LOG_BACKWARD) ** 2), of_own

    flow = {"network": players["network"], "log_z": players["log_z"]}
    (loss, of_own), gradient = jax.value_and_grad(balance, has_aux=True)(flow)
    ratio = (own_reward - of_own) - (log_reward(players["couplings"], rows) - of_data)
    kept = jnp.log(jax.random.uniform(accept_key, (BATCH,))) < ratio
    negatives = jnp.where(kept[:, None], ends, rows)

    def contrast(couplings):
        mean = log_reward(couplings, negatives).mean() - log_reward(couplings, rows).mean()
        return mean + L1 * jnp.abs(couplings).sum()

    gradient = {**gradient, "couplings": jax.grad(contrast)(players["couplings"])}
    updates, moments = optimizer.update(gradient, moments, players)
    return optax.apply_updates(players, updates), moments, key, loss


block = jax.jit(
    lambda state: jax.lax.fori_loop(0, arguments.inner, iteration, state), donate_argnums=0
)
state = (players, optimizer.init(players), jax.random.key(3), jnp.array(0.0))
blocks = []


def call():
    """One iteration of `inner` that are compiled together: they are made by the first call of a block."""
    global state
    if len(blocks) % arguments.inner == 0:
        state = block(state)
        float(state[3])
    blocks.append(None)


ms_all = measure(call, arguments, 3 * arguments.inner)
report("eb_gfn_ising", "gfnx", ["gfnx", "jax", "equinox", "optax"], arguments, ms_all, float(state[3]))
