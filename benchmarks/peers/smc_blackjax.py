"""Tempered SMC with HMC on the many-well in blackjax (JAX), compiled as one loop over the temperatures."""

from common import measure, options, report

arguments = options(__doc__, repeats=5, inner=2, framework="jax")

import blackjax
import blackjax.smc.resampling as resampling
import jax
import jax.numpy as jnp

PARTICLES, DIMENSION, TEMPERATURES, LEAPFROGS, STEP = 2000, 32, 64, 5, 0.1


def log_reward(x):
    d, v = x[0::2], x[1::2]
    return jnp.sum(-(d**4) + 6 * d**2 + 0.5 * d - 0.5 * v**2)


def log_base(x):
    return jnp.sum(-0.5 * x**2) - 0.5 * DIMENSION * jnp.log(2 * jnp.pi)


smc = blackjax.tempered_smc(
    log_base,
    lambda x: log_reward(x) - log_base(x),
    blackjax.hmc.build_kernel(),
    blackjax.hmc.init,
    {
        "step_size": jnp.full((1,), STEP),
        "inverse_mass_matrix": jnp.ones((1, DIMENSION)),
        "num_integration_steps": jnp.full((1,), LEAPFROGS),
    },
    resampling.systematic,
    num_mcmc_steps=1,
)


@jax.jit
def run(key):
    start, key = jax.random.split(key)
    state = smc.init(jax.random.normal(start, (PARTICLES, DIMENSION)))

    def step(state, inputs):
        key, temperature = inputs
        state, info = smc.step(key, state, temperature)
        return state, info.log_likelihood_increment

    keys = jax.random.split(key, TEMPERATURES)
    places = jnp.arange(1, TEMPERATURES + 1) / TEMPERATURES
    _, increments = jax.lax.scan(step, state, (keys, places))
    return increments.sum()


count, log_z = 0, None


def call():
    global count, log_z
    count += 1
    log_z = run(jax.random.key(count)).block_until_ready()


ms_all = measure(call, arguments, warmup=2)
report("smc_manywell", "blackjax", ["blackjax", "jax"], arguments, ms_all, float(log_z))
