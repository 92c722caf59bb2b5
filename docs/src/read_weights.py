"""Reads what `anabranch export` writes, and finds log-densities with it. Needs nothing but the standard library."""

import json
import math
import struct
import sys

LOG_TAU = math.log(2 * math.pi)
ACTIVATIONS = {
    "relu": lambda x: max(x, 0.0),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + math.tanh(0.7978846 * (x + 0.044715 * x**3))),
    "tanh": math.tanh,
    "elu": lambda x: x if x > 0 else math.expm1(x),
}


def read(path):
    """The layers from source to data, and the tensors, each a list of numbers with its shape."""
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header, body, tensors = json.loads(data[8 : 8 + length]), data[8 + length :], {}
    about = json.loads(header.pop("__metadata__")["anabranch"])
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        letter, size = {"F32": ("f", 4), "F64": ("d", 8)}[entry["dtype"]]
        numbers = struct.unpack(f"<{(end - start) // size}{letter}", body[start:end])
        tensors[name] = (numbers, entry["shape"])
    return about["layers"], tensors


def rows(tensor):
    numbers, (_, columns) = tensor
    return [list(numbers[i : i + columns]) for i in range(0, len(numbers), columns)]


def normal(x, mean, log_std):
    return sum(-0.5 * (((a - m) / math.exp(s)) ** 2 + LOG_TAU) - s for a, m, s in zip(x, mean, log_std))


def softplus(x):
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


class Model:
    def __init__(self, path):
        self.layers, self.tensors = read(path)

    def values(self, name):
        return self.tensors[name][0]

    def network(self, about, x):
        act, last, skip = ACTIVATIONS[about["activation"]], about["maps"] - 1, x
        for i in range(last + 1):
            weight, bias = rows(self.tensors[f"{about['weights']}.{i}.weight"]), self.values(f"{about['weights']}.{i}.bias")
            y = [sum(v * w[j] for v, w in zip(x, weight)) + b for j, b in enumerate(bias)]
            if about["residual"] and i % 2 == 0 and i < last:
                y = skip = [a + b for a, b in zip(y, skip)] if i else y
            x = y if i == last or (about["residual"] and i + 1 == last) else [act(v) for v in y]
        return x

    def transform(self, about, x, raw):
        """The inverse of one coordinate's map, and its log-slope."""
        if about["kind"] == "affine":
            s = about["cap"] * math.tanh(raw[0] / about["cap"])
            return (x - raw[1]) * math.exp(-s), -s
        k, b, least = about["bins"], about["bound"], about["smallest"]
        if not -b <= x <= b:
            return x, 0.0
        sizes = []
        for part in (raw[:k], raw[k : 2 * k]):
            shares = [math.exp(v - max(part)) for v in part]
            sizes.append([2 * b * (least + (1 - least * k) * v / sum(shares)) for v in shares])
        slopes = [1.0] + [softplus(v + about["raw_slope_one"]) + least for v in raw[2 * k :]] + [1.0]
        i = max(i for i in range(k) if i == 0 or -b + sum(sizes[1][:i]) <= x)
        w, h, d0, d1 = sizes[0][i], sizes[1][i], slopes[i], slopes[i + 1]
        t, s = x + b - sum(sizes[1][:i]), h / w
        q = d0 + d1 - 2 * s
        p, c = h * d0 - t * q, -s * t
        xi = -2 * c / (p + math.sqrt(max(p * p - 4 * (h * (s - d0) + t * q) * c, 0)))
        e = xi * (1 - xi)
        slope = s * s * (d1 * xi * xi + 2 * s * e + d0 * (1 - xi) ** 2) / (s + q * e) ** 2
        return -b + sum(sizes[0][:i]) + xi * w, -math.log(slope)

    def inverse(self, index, x):
        """The state before a layer of a flow, and log |det| of the way back."""
        layer, fixed = self.layers[index], lambda name: self.tensors[f"constants.{index}.{name}"]
        d, kind = len(x), layer["kind"]
        if kind == "permutation":
            return [x[i] for i in layer["order"]], 0.0
        if kind == "standardise":
            mean, std = fixed("mean")[0], fixed("std")[0]
            return [(v - m) / s for v, m, s in zip(x, mean, std)], -sum(map(math.log, std))
        if kind == "coupling":
            raw = self.network(layer["network"], [x[i] for i in range(d) if i not in layer["change"]])
            each, z, log_det = len(raw) // len(layer["change"]), list(x), 0.0
            for place, i in enumerate(layer["change"]):
                z[i], log_slope = self.transform(layer["transform"], x[i], raw[place * each : (place + 1) * each])
                log_det += log_slope
            return z, log_det
        if kind == "correlate":
            return solved(rows(fixed("lower")), x)
        part = lambda name: self.tensors[f"{layer['weights']}.{name}"]  # lu: x = L U z + b
        lower, upper = ([list(row) for row in zip(*rows(part(name)))] for name in ("lower", "upper"))  # kept transposed
        for i in range(d):
            lower[i][i], upper[i][i] = 1.0, softplus(part("diagonal")[0][i]) + layer["smallest"]
        y, _ = solved(lower, [v - b for v, b in zip(x, part("shift")[0])])
        z, log_det = solved([row[::-1] for row in upper[::-1]], y[::-1])
        return z[::-1], log_det

    def vae(self, layer, z, x):
        """log p(x | z) - log q(z | x) of one level, real or binary data."""
        half = lambda about, v: (lambda y: (y[: len(y) // 2], [6 * math.tanh(r / 6) for r in y[len(y) // 2 :]]))(self.network(about, v))
        binary = layer["observation"]["kind"] == "bernoulli"
        encoded = normal(z, *half(layer["encoders"][0], [2 * v - 1 for v in x] if binary else x))
        if binary:
            logits = self.network(layer["decoders"][0], z)
            return sum(v * a - softplus(a) for v, a in zip(x, logits)) - encoded
        return normal(x, *half(layer["decoders"][0], z)) - encoded

    def probit(self, layer, z, x):
        """-log q(z | x) of columns of few values: standard normals, each on the cell that its value has."""
        total, below = 0.0, lambda cut: 0.5 * math.erfc(-cut / math.sqrt(2))
        for about in layer["columns"]:
            i, cuts = about["column"], [-math.inf, *about["cuts"], math.inf]
            k = int(x[i]) - about["first"]
            total -= normal([z[i]], [0.0], [0.0]) - math.log(below(cuts[k + 1]) - below(cuts[k]))
        return total

    def estimates(self, layer, level, z):
        """What the denoiser takes for the signal and the noise of real data at a level."""
        alpha, sigma = (math.sqrt(1 / (1 + math.exp(s * layer["gammas"][level]))) for s in (1, -1))
        half, time = layer["network"]["embedding"] // 2, layer["times"][level]
        angles = [1000 * time * 10000 ** (-j / half) for j in range(half)]
        y = self.network(layer["network"], z + [math.sin(a) for a in angles] + [math.cos(a) for a in angles])
        signal = {
            "velocity": lambda: [alpha * a - sigma * b for a, b in zip(z, y)],
            "noise": lambda: [(a - sigma * b) / alpha for a, b in zip(z, y)],
            "signal": lambda: y,
        }[layer["prediction"]]()
        return signal, [(a - alpha * m) / sigma for a, m in zip(z, signal)], alpha, sigma

    def diffusion(self, layer, step, before, after):
        """log p - log q of a step; the first leads from the noisiest level, the last to the data."""
        level, d, gammas = layer["steps"] - 1 - step, len(before), layer["gammas"]
        signal, noise, alpha, sigma = self.estimates(layer, level, before)
        if level == 0:
            mean = signal if layer["denoised"] else [v / alpha for v in before]
            backward = normal(before, [alpha * v for v in after], [math.log(sigma)] * d)
            return normal(after, mean, [gammas[0] / 2] * d) - backward
        fresh = -math.expm1(gammas[level - 1] - gammas[level])
        a, s = (math.sqrt(1 / (1 + math.exp(sign * gammas[level - 1]))) for sign in (1, -1))
        mean = [a * m + s * math.sqrt(1 - fresh) * e for m, e in zip(signal, noise)]
        backward = normal(before, [alpha / a * v for v in after], [math.log(sigma * math.sqrt(fresh))] * d)
        return normal(after, mean, [math.log(s * math.sqrt(fresh))] * d) - backward

    def log_density(self, x):
        """log p(x) of a flow."""
        total = 0.0
        for index in reversed(range(len(self.layers))):
            x, log_det = self.inverse(index, x)
            total += log_det
        return total + normal(x, [0.0] * len(x), [0.0] * len(x))


def solved(lower, x):
    """The solution z of L z = x, and log |det| of the way from x."""
    z = []
    for row, v in zip(lower, x):
        z.append((v - sum(a * b for a, b in zip(row, z))) / row[len(z)])
    return z, -sum(math.log(row[i]) for i, row in enumerate(lower))


def check(model):
    """The largest difference from what the program found on its own paths, over the size of the number."""
    states = lambda at: rows(model.tensors[f"check.state.{at}"])
    worst, at, ratios = 0.0, 0, rows(model.tensors["check.log_ratio"])
    for index, layer in enumerate(model.layers):
        for step in range(layer["steps"]):
            for before, after, theirs in zip(states(at), states(at + 1), ratios[at]):
                if layer["kind"] == "vae":
                    own = model.vae(layer, before, after)
                elif layer["kind"] == "diffusion":
                    own = model.diffusion(layer, step, before, after)
                elif layer["kind"] in ("probit", "dequantise"):
                    own = model.probit(layer, before, after) if layer["kind"] == "probit" else 0.0
                else:
                    z, own = model.inverse(index, after)
                    worst = max([worst] + [abs(a - b) / max(1.0, abs(b)) for a, b in zip(z, before)])
                worst = max(worst, abs(own - theirs) / max(1.0, abs(theirs)))
            at += 1
    return worst


if __name__ == "__main__":
    model = Model(sys.argv[1])
    print("largest difference", check(model))
    for path in sys.argv[2:]:  # of rows without a header: log p(x) of a flow
        for line in open(path):
            print(model.log_density([float(v) for v in line.split(",")]))
