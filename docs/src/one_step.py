"""The worked example of "The one idea": simulation against closed forms. Needs nothing but the standard library."""
import math
import random

random.seed(1)


def normal(v, mean, variance):
    return -0.5 * math.log(2 * math.pi * variance) - (v - mean) ** 2 / (2 * variance)


def log_w(s, x):
    log_r = math.log(3) + normal(x, 1, 1)
    return log_r - normal(s, 0, 1) + normal(s, x / 2, 1 / 4) - normal(x, s, 1)


n, forward, backward = 200_000, [], []
for _ in range(n):
    s = random.gauss(0, 1)
    forward.append(log_w(s, random.gauss(s, 1)))  # from the source, by P_F
    x = random.gauss(1, 1)
    backward.append(log_w(random.gauss(x / 2, 1 / 2), x))  # from the target, by P_B
w = [math.exp(v) for v in forward]
print(f"path  {log_w(1, 2):.4f}  exact {math.log(6) + 1 / 2:.4f}")
print(f"ELBO  {sum(forward) / n:.4f}  exact {math.log(6) - 3 / 2:.4f}")
print(f"log Z {math.log(sum(w) / n):.4f}  exact {math.log(3):.4f}")
print(f"EUBO  {sum(backward) / n:.4f}  exact {math.log(6) - 1 / 4:.4f}")
print(f"ESS   {sum(w) ** 2 / (n * sum(v * v for v in w)):.4f}  exact {3 / 4 * math.exp(-1 / 3):.4f}")
