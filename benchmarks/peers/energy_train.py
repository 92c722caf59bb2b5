"""One training step of a sampler of an energy in JAX, compiled as a whole: DDS on the funnel, MCD on the sonar regression."""

from common import measure, options, report

arguments = options(__doc__, repeats=5, inner=10, variants=("dds_train", "mcd_train"), framework="jax")

import csv
import gzip
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax

STEPS, EMBEDDING, HIDDEN = 64, 32, 64
DIMENSION, BATCH = (10, 128) if arguments.variant == "dds_train" else (61, 64)


def embed(u):
    half = EMBEDDING // 2
    angles = 1000 * u[:, None] * np.exp(-math.log(10_000) * np.arange(half) / half)[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


def dense(key, widths):
    keys = jax.random.split(key, len(widths))
    layers = [
        (jax.random.normal(k, (a, b)) / math.sqrt(a), jnp.zeros(b)) for k, a, b in zip(keys, widths, widths[1:])
    ]
    layers[-1] = (jnp.zeros_like(layers[-1][0]), layers[-1][1])
    return layers


def apply(layers, x):
    for weight, bias in layers[:-1]:
        x = jax.nn.silu(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def log_normal(x, mean, variance):
    d = x.shape[-1]
    return -0.5 * jnp.sum((x - mean) ** 2, -1) / variance - 0.5 * d * jnp.log(2 * math.pi * variance)


def funnel(x):
    first = -0.5 * (x[0] / 3) ** 2 - math.log(3 * math.sqrt(2 * math.pi))
    rest = -0.5 * x[1:] ** 2 * jnp.exp(-x[0]) - 0.5 * x[0] - 0.5 * math.log(2 * math.pi)
    return first + rest.sum()


def sonar():
    """The rows times their sign: 208 rows of standardised columns behind a one."""
    path = pathlib.Path(__file__).resolve().parents[2] / "data" / "sonar.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    rows = [row for row in rows if row[0].replace(".", "").isdigit()]
    table = np.array([[float(x) for x in row[:60]] for row in rows])
    sign = np.where(np.array([row[60] for row in rows]) == rows[0][60], 1.0, -1.0)
    table = (table - table.mean(0)) / table.std(0)
    return jnp.asarray(np.c_[np.ones(len(table)), table] * sign[:, None], jnp.float32)


def dds():
    std, horizon = 2.0, 3.0
    shares = np.cos(0.5 * math.pi * np.arange(STEPS) / STEPS) ** 4
    left = -2 * horizon * shares / shares.sum()
    kept, variance = np.exp(0.5 * left).astype(np.float32), (-np.expm1(left) * std**2).astype(np.float32)
    embeddings = embed(np.arange(STEPS) / STEPS)
    score = jax.vmap(jax.grad(funnel))

    def loss(weights, key):
        start, key = jax.random.split(key)
        x = std * jax.random.normal(start, (BATCH, DIMENSION))
        gates = apply(weights["gate"], jnp.asarray(embeddings))

        def step(carry, inputs):
            x, log_weight = carry
            key, kept, variance, embedding, gate = inputs
            pull = jnp.clip(jax.lax.stop_gradient(score(x)), -100, 100)
            rows = jnp.broadcast_to(embedding, (BATCH, EMBEDDING))
            control = apply(weights["drift"], jnp.concatenate([x, rows], 1)) + gate * pull
            mean = kept * x + variance * control
            to = mean + jnp.sqrt(variance) * jax.random.normal(key, x.shape)
            ratio = log_normal(x, kept * to, variance) - log_normal(to, mean, variance)
            return (to, log_weight + ratio), None

        keys = jax.random.split(key, STEPS)
        first = -log_normal(x, 0.0, std**2)
        (x, log_weight), _ = jax.lax.scan(
            step, (x, first), (keys, jnp.asarray(kept), jnp.asarray(variance), jnp.asarray(embeddings), gates)
        )
        return -(log_weight + jax.vmap(funnel)(x)).mean()

    keys = jax.random.split(jax.random.key(0))
    widths = [DIMENSION + EMBEDDING, HIDDEN, HIDDEN, DIMENSION]
    weights = {"drift": dense(keys[0], widths), "gate": dense(keys[1], [EMBEDDING, HIDDEN, DIMENSION])}
    return loss, weights


def mcd():
    inputs = sonar()
    embeddings = embed(np.arange(1, STEPS + 1) / STEPS)

    def log_reward(w):
        return log_normal(w, 0.0, 1.0) + jax.nn.log_sigmoid(w @ inputs.T).sum(-1)

    score = jax.grad(lambda w: log_reward(w).sum())

    def loss(weights, key):
        start, key = jax.random.split(key)
        mean, log_std = weights["base"]
        x = mean + jnp.exp(log_std) * jax.random.normal(start, (BATCH, DIMENSION))
        log_base = lambda x: -0.5 * jnp.sum(((x - mean) * jnp.exp(-log_std)) ** 2 + 2 * log_std + math.log(2 * math.pi), -1)
        places = jnp.cumsum(jax.nn.softmax(weights["ladder"]))
        sizes = jnp.exp(weights["sizes"])

        def pulled(x, of_target, place, size):
            return x + size * (place * of_target + (1 - place) * (mean - x) * jnp.exp(-2 * log_std))

        def step(carry, inputs):
            x, of_target, log_weight = carry
            key, place, size, embedding = inputs
            ahead = pulled(x, of_target, place, size)
            to = ahead + jnp.sqrt(2 * size) * jax.random.normal(key, x.shape)
            of_next = score(to)
            rows = jnp.broadcast_to(embedding, (BATCH, EMBEDDING))
            back = pulled(to, of_next, place, size) + size * apply(weights["drift"], jnp.concatenate([to, rows], 1))
            ratio = log_normal(x, back, 2 * size) - log_normal(to, ahead, 2 * size)
            return (to, of_next, log_weight + ratio), None

        keys = jax.random.split(key, STEPS)
        (x, _, log_weight), _ = jax.lax.scan(
            step, (x, score(x), -log_base(x)), (keys, places, sizes, jnp.asarray(embeddings))
        )
        return -(log_weight + log_reward(x)).mean()

    widths = [DIMENSION + EMBEDDING, HIDDEN, HIDDEN, DIMENSION]
    weights = {
        "drift": dense(jax.random.key(0), widths),
        "base": (jnp.zeros(DIMENSION), jnp.zeros(DIMENSION)),
        "ladder": jnp.zeros(STEPS),
        "sizes": jnp.full(STEPS, math.log(0.002)),
    }
    return loss, weights


loss, weights = dds() if arguments.variant == "dds_train" else mcd()
optimizer = optax.adam(1e-3)
state = optimizer.init(weights)


@jax.jit
def update(weights, state, key):
    value, gradient = jax.value_and_grad(loss)(weights, key)
    changes, state = optimizer.update(gradient, state)
    return optax.apply_updates(weights, changes), state, value


count, value = 0, None


def call():
    global weights, state, count, value
    count += 1
    weights, state, value = update(weights, state, jax.random.key(count))
    value.block_until_ready()


ms_all = measure(call, arguments, warmup=2)
report(arguments.variant, "jax", ["jax", "optax"], arguments, ms_all, float(value))
