"""The normflows model that rqs_coupling_train.py and rqs_coupling_sample.py share (Durkan et al. 2019, arXiv 1906.04032)."""

import normflows as nf

DIMENSION, LAYERS, BINS, BLOCKS, HIDDEN, BATCH = 8, 5, 8, 2, 128, 512


def flow():
    """Five rational-quadratic coupling layers, each followed by a permutation and an LU linear layer; normal base."""
    layers = []
    for _ in range(LAYERS):
        layers.append(nf.flows.CoupledRationalQuadraticSpline(DIMENSION, BLOCKS, HIDDEN, num_bins=BINS))
        layers.append(nf.flows.LULinearPermute(DIMENSION))
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(DIMENSION, trainable=False), layers)
