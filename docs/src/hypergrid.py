"""The hypergrid with its corners, as a program that answers lines of JSON. Needs nothing but the standard library."""

import json
import math
import sys

DIM, SIDE, R0, R1, R2 = 2, 8, 0.1, 0.5, 2.0


def moved(state, coordinate, by):
    return state[:coordinate] + [state[coordinate] + by] + state[coordinate + 1 :]


def log_reward(state):
    most = SIDE - 1
    twice = [abs(2 * x - most) for x in state]  # how far from the middle
    reward = R0
    if all(2 * t > most for t in twice):
        reward += R1
    if all(6 * most < 10 * t < 8 * most for t in twice):
        reward += R2
    return math.log(reward)


def start(question):
    return {
        "source": [0] * DIM,
        "moves": DIM,  # move d: one more in coordinate d
        "removals": DIM,  # removal d: one less
        "longest": DIM * (SIDE - 1),
        "features": DIM * SIDE,  # d * SIDE + x: coordinate d is x
        "objects": "all",  # one can stop anywhere
    }


answers = {
    "start": start,
    "allowed": lambda q: [[d for d in range(DIM) if s[d] + 1 < SIDE] for s in q["states"]],
    "removable": lambda q: [[d for d in range(DIM) if s[d] > 0] for s in q["states"]],
    "features": lambda q: [[d * SIDE + x for d, x in enumerate(s)] for s in q["states"]],
    "apply": lambda q: [(moved(s, d, 1), d) for s, d in zip(q["states"], q["moves"])],
    "undo": lambda q: [(moved(s, d, -1), d) for s, d in zip(q["states"], q["removals"])],
    "log_rewards": lambda q: [log_reward(s) for s in q["states"]],
}

for line in sys.stdin:
    question = json.loads(line)
    answer = {name: answers[name](question) for name in question["ask"]}
    print(json.dumps({"batch": question["batch"], **answer}), flush=True)
