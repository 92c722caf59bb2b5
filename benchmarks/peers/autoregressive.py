"""The zuko model that rqs_autoregressive_train.py and rqs_autoregressive_sample.py share (Durkan et al. 2019)."""

import zuko

DIMENSION, TRANSFORMS, BINS, HIDDEN, BATCH = 8, 5, 8, (128, 128), 512


def flow():
    """Neural spline flow: five masked autoregressive rational-quadratic transforms in alternating order; normal base."""
    return zuko.flows.NSF(features=DIMENSION, transforms=TRANSFORMS, bins=BINS, hidden_features=HIDDEN)
