"""Trajectory balance in gfnx (JAX): rollout, loss, gradient and Adam, compiled as a loop over a block of iterations."""

from common import options, report
from gfn_cases import CASES, late_option, time_training, torus

arguments = options(__doc__, None, None, variants=tuple(CASES), more=late_option, framework="jax")
case = CASES[arguments.variant]

import functools

import equinox as eqx
import gfnx
import jax
import jax.numpy as jnp
import optax
from gfnx.base import BaseRewardModule
from gfnx.reward.hypergrid import GeneralHypergridRewardModule
from gfnx.reward.ising import IsingRewardParams


class TableReward(BaseRewardModule):
    """A TFBind8 reward that is read from a random table: uniform scores, normalised as gfnx does the measured ones."""

    def init(self, rng_key, dummy_state):
        score = jax.random.uniform(rng_key, (4**8,)) ** case.settings["exponent"]
        return {"rewards": jnp.clip(case.settings["scale"] * score / score.max(), case.settings["least"])}

    def reward(self, state, env_params):
        index = jnp.sum(state.tokens * 4 ** jnp.arange(7, -1, -1), axis=-1)
        return jnp.take(env_params.reward_params["rewards"], index, mode="clip")

    def log_reward(self, state, env_params):
        return jnp.log(self.reward(state, env_params))


def environment():
    """The case's environment and its parameters."""
    settings = case.settings
    if case.environment == "grid":
        reward = GeneralHypergridRewardModule(*settings["reward"])
        env = gfnx.HypergridEnvironment(reward, dim=settings["dim"], side=settings["side"])
    elif case.environment == "ising":
        env = gfnx.IsingEnvironment(gfnx.IsingRewardModule(), dim=settings["side"] ** 2)
        coupling = IsingRewardParams(J=jnp.array(torus(settings["side"], settings["coupling"])))
        return env, env.init(jax.random.key(1)).replace(reward_params=coupling)
    elif case.environment == "tfbind8":
        env = gfnx.TFBind8Environment(TableReward())
    else:
        reward = gfnx.BitseqRewardModule(settings["bits"], settings["word"], settings["modes"], settings["beta"])
        env = gfnx.BitseqEnvironment(reward, n=settings["bits"], k=settings["word"])
    return env, env.init(jax.random.key(1))


class Mlp(eqx.Module):
    """Forward and backward logits from one MLP; tokens of strings are one-hot, other observations enter as they are."""

    net: eqx.nn.MLP
    forward_actions: int = eqx.field(static=True)
    symbols: int = eqx.field(static=True)

    def __init__(self, env, key):
        self.forward_actions = env.action_space.n
        self.symbols = env.ntoken if case.environment == "tfbind8" else 0
        size = env.max_length * self.symbols if self.symbols else env.observation_space.shape[0]
        outputs = self.forward_actions + env.backward_action_space.n
        self.net = eqx.nn.MLP(size, outputs, case.hidden, case.layers, key=key)

    def __call__(self, observation):
        if self.symbols:
            observation = jax.nn.one_hot(observation[1:], self.symbols).ravel()
        return jnp.split(self.net(observation), [self.forward_actions])


class Transformer(eqx.Module):
    """gfnx's encoder with a linear head at every position, which gives the logits of the words there; uniform P_B."""

    encoder: eqx.Module
    head: eqx.nn.Linear
    positions: int = eqx.field(static=True)

    def __init__(self, env, key):
        self.positions = env.max_length
        encoder_key, head_key = jax.random.split(key)
        self.encoder = gfnx.networks.Encoder(
            pad_id=-1, vocab_size=env.ntoken, max_length=env.max_length + 1, embedding_size=case.hidden,
            hidden_size=case.hidden, intermediate_size=case.hidden, num_layers=case.layers,
            num_heads=case.settings["heads"], dropout_rate=0.0, key=encoder_key,
        )
        self.head = eqx.nn.Linear(case.hidden, env.nchar, key=head_key)

    def __call__(self, observation):
        states = self.encoder(observation, jnp.arange(self.positions + 1))["layers_out"][-1][1:]
        return jax.vmap(self.head)(states).ravel(), jnp.zeros(self.positions)


env, env_params = environment()
key, network_key = jax.random.split(jax.random.key(0))
network = (Transformer if case.environment == "bits-transformer" else Mlp)(env, network_key)
weights, skeleton = eqx.partition(network, eqx.is_array)
weights = {"network": weights, "log_z": jnp.array(0.0)}
decay = case.settings.get("weight_decay", 0.0)
adam = functools.partial(optax.adamw, weight_decay=decay) if decay else optax.adam
optimizer = optax.multi_transform(
    {"network": adam(case.learning_rate), "log_z": optax.adam(case.learning_rate_log_z)},
    {"network": "network", "log_z": "log_z"},
)
epsilon = case.settings.get("epsilon", 0.0)


def policy(rng_key, observation, weights):
    logits = jax.vmap(eqx.combine(weights, skeleton))(observation)[0]
    if epsilon:
        uniform = jax.random.bernoulli(rng_key, epsilon, logits.shape[:1])
        logits = jnp.where(uniform[:, None], 0.0, logits)
    return logits, {}


def chosen(logits, invalid, action):
    """The log-probability of each action under the masked softmax of its logits."""
    return jnp.take_along_axis(
        jax.nn.log_softmax(gfnx.utils.mask_logits(logits, invalid)), action[..., None], axis=-1
    )[..., 0]


def objective(weights, paths):
    """Mean squared trajectory-balance residual of a batch of padded trajectories (batch x time)."""
    forward, backward = jax.vmap(jax.vmap(eqx.combine(weights["network"], skeleton)))(paths.obs)
    over_time = functools.partial(jax.vmap, out_axes=1)
    invalid = over_time(env.get_invalid_mask, in_axes=(1, None))(paths.state, env_params)
    log_forward = jnp.where(paths.pad, 0.0, chosen(forward, invalid, paths.action)).sum(1)

    before = jax.tree.map(lambda x: x[:, :-1], paths.state)
    after = jax.tree.map(lambda x: x[:, 1:], paths.state)
    action = over_time(env.get_backward_action, in_axes=(1, 1, 1, None))(
        before, paths.action[:, :-1], after, env_params)
    invalid = over_time(env.get_invalid_backward_mask, in_axes=(1, None))(after, env_params)
    steps = chosen(backward[:, 1:], invalid, action) + paths.log_gfn_reward[:, :-1]
    return jnp.mean((weights["log_z"] + log_forward - jnp.where(paths.pad[:, :-1], 0.0, steps).sum(1)) ** 2)


def iteration(_, state):
    weights, moments, key, _, length = state
    key, rollout_key = jax.random.split(key)
    paths, found = gfnx.utils.forward_rollout(rollout_key, case.batch, policy, weights["network"], env, env_params)
    loss, gradient = jax.value_and_grad(objective)(weights, paths)
    updates, moments = optimizer.update(gradient, moments, weights)
    return optax.apply_updates(weights, updates), moments, key, loss, length + found["trajectory_length"].mean()


block = jax.jit(lambda state: jax.lax.fori_loop(0, case.block, iteration, state), donate_argnums=0)
state = (weights, optimizer.init(weights), key, jnp.array(0.0), jnp.array(0.0))


def train_block():
    global state
    *kept, length = block(state)
    state = (*kept, jnp.array(0.0))
    return float(length) / case.block  # waits for the result


ms_all, found = time_training(case, train_block, arguments.late)
parameters = sum(x.size for x in jax.tree.leaves(state[0]["network"]))
report(arguments.variant, "gfnx", ["gfnx", "jax", "equinox", "optax"], arguments, ms_all, float(state[3]),
       parameters=parameters, log_z=float(state[0]["log_z"]), **found)
