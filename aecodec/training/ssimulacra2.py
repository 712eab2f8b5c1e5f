"""Compute SSIMULACRA2 as a loss: the weighted sum that its score is made of, in torch, with gradients.

J. Sneyers, "SSIMULACRA 2", github.com/cloudinary/ssimulacra2. Both pictures are compared in XYB, at six scales, by SSIM's
error, by edges that only the second picture has (artefacts) and by edges that only the first one has (lost detail), each as
a mean and as an L4 norm over the picture. The metric then bends the weighted sum by two polynomials into a score of 0 to
100. A loss has no use for them, because they are monotonic.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = 6
LEAST_SIDE = 8  # pixels; smaller scales are left out
SIGMA, RADIUS = 1.5, 5  # of the Gaussian window, pixels
C2 = 0.0009
OPSIN_BIAS = 0.0037930732552754493
OPSIN = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
SCORE_FACTOR = 0.9562382616834844  # what the score's first polynomial is taken of, as a multiple of the sum
_FLOOR = 1e-30  # of a fourth power's mean, whose root has no gradient at 0

# Weights of (channel X, Y, B-Y; scale; mean or L4 norm; SSIM's error, artefacts, lost detail), as published.
_WEIGHTS = (
    # X
    0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0,
    0.0, 0.0004371155730107379, 0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752,
    0.0, 0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0,
    0.0007989109436015163, 0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0,
    0.0007289346991508072, 0.9677937080626833, 0.0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053,
    0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0,
    # Y
    0.0, 0.0, 0.0, 7.466890328078848, 0.0, 17.445833984131262,
    0.0006235601634041466, 0.0, 0.0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264,
    225.20515300849274, 0.0, 0.0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985,
    176.39317598450694, 0.0, 0.0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408,
    0.0, 0.0, 0.0, 34.77906344483772, 44.835625328877896, 0.0,
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    # B-Y
    0.0, 0.0008680556573291698, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0,
    0.0, 0.0, 0.0, 0.0004179171803251336, 0.0017290828234722833, 0.0,
    0.0020827005846636437, 0.0, 0.0, 8.826982764996862, 23.19243343998926, 0.0,
    95.1080498811086, 0.9863978034400682, 0.9834382792465353, 0.0012286405048278493, 171.2667255897307, 0.9807858872435379,
    0.0, 0.0, 0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537,
)  # fmt: skip
WEIGHTS = torch.tensor(_WEIGHTS, dtype=torch.float64).reshape(3, SCALES, 2, 3)


def weighted_sum(x: Tensor, y: Tensor) -> Tensor:
    """Return the weighted sum (B,) of distorted pictures x against originals y, (B, 3, H, W) in 0..1; 0 for equal ones.

    Gradients reach x alone. Values of x outside 0..1 are clamped, as a file would hold them.
    """
    total = x.new_zeros(len(x))
    with torch.no_grad():
        original = linear(y)
    distorted = linear(x)
    for scale in range(SCALES):
        if min(x.shape[2:]) < LEAST_SIDE << scale:
            break
        if scale:
            original, distorted = F.avg_pool2d(original, 2), F.avg_pool2d(distorted, 2)
        with torch.no_grad():
            a = _xyb(original)
            mean_a, square_a = _blur(torch.cat([a, a * a])).chunk(2)
            edges_a = 1 + (a - mean_a).abs()
        b = _xyb(distorted)
        mean_b, square_b, product = _blur(torch.cat([b, b * b, a * b])).chunk(3)
        covariance = 2 * (product - mean_a * mean_b) + C2
        variances = square_a - mean_a.square() + square_b - mean_b.square() + C2
        error = (1 - (1 - (mean_a - mean_b).square()) * covariance / variances).clamp_min(0)
        change = (1 + (b - mean_b).abs()) / edges_a - 1
        maps = torch.stack([error, change.clamp_min(0), (-change).clamp_min(0)])  # (3, B, 3, h, w)
        norms = torch.stack([maps.mean((3, 4)), _fourth_root(maps.square().square().mean((3, 4)))])
        # norms (2, 3, B, 3) are by norm, map, picture, channel
        total = total + torch.einsum("nmbc,cnm->b", norms, WEIGHTS[:, scale].to(norms))
    return total


def score(weighted: float) -> float:
    """Return the metric's score, at most 100, of a weighted sum."""
    s = weighted * SCORE_FACTOR
    s = 2.326765642916932 * s - 0.020884521182843837 * s**2 + 6.248496625763138e-05 * s**3
    return 100 - 10 * math.pow(s, 0.6276336467831387) if s > 0 else 100.0


def _fourth_root(x: Tensor) -> Tensor:
    """Return x**(1/4), 0 at 0, with a gradient there."""
    return (x + _FLOOR).sqrt().sqrt() - math.pow(_FLOOR, 0.25)


def linear(x: Tensor) -> Tensor:
    """Return the linear light of sRGB, both in 0..1; other values are clamped."""
    x = x.clamp(0, 1)
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def _xyb(linear: Tensor) -> Tensor:
    """Turn linear RGB into XYB, in the metric's positive units: 14 X + 0.42, Y + 0.01, B - Y + 0.55."""
    matrix = torch.tensor(OPSIN, dtype=linear.dtype, device=linear.device)
    mixed = torch.einsum("oc,bchw->bohw", matrix, linear) + OPSIN_BIAS
    low, middle, blue = (mixed.pow(1 / 3) - OPSIN_BIAS ** (1 / 3)).unbind(1)
    luma = (low + middle) / 2
    return torch.stack([7 * (low - middle) + 0.42, luma + 0.01, blue - luma + 0.55], 1)


def _blur(x: Tensor) -> Tensor:
    """Return Gaussian means of (.., H, W), mirrored at top and bottom, with zeros beyond the sides, as in the metric."""
    down = _band(x.shape[-2], True).to(x)
    across = _band(x.shape[-1], False).to(x)
    return down @ x @ across.T


@functools.cache
def _band(size: int, mirrored: bool) -> Tensor:
    """Return (size, size), a window's taps in each row.

    On CPUs two matrix products are faster than a convolution of one channel.
    """
    taps = [math.exp(-((offset / SIGMA) ** 2) / 2) for offset in range(-RADIUS, RADIUS + 1)]
    band = torch.zeros(size, size)
    for row in range(size):
        for offset, tap in zip(range(-RADIUS, RADIUS + 1), taps, strict=True):
            at = row + offset
            if mirrored:  # the edge's own pixel counts twice, as often as it takes
                at %= 2 * size
                at = min(at, 2 * size - 1 - at)
            if 0 <= at < size:
                band[row, at] += tap / sum(taps)
    return band
