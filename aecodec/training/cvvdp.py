"""Compute ColorVideoVDP as a loss: the pooled contrast difference of two still pictures, in torch, with gradients.

R. K. Mantiuk, P. Hanji, M. Ashraf, Y. Asano and A. Chapiro, "ColorVideoVDP: A visual difference predictor for image, video
and display distortions", ACM Trans. Graph. 43(4), 2024; package ``cvvdp`` 0.5.7 (MIT licence). Its published parameters,
display ``standard_fhd`` and table of sensitivities stand below. Both pictures become light on that display, in an opponent
colour space (achromatic, red-green, yellow-violet), and a Laplacian pyramid of Weber contrasts. Every band's contrasts are
multiplied by castleCSF's sensitivity at the original's local luminance, their differences are divided by the masking of
contrast that both pictures have, and p-norms pool them over pixels, bands and channels.

The metric then turns the pooled difference into a quality in just-objectionable differences (JOD) by a power. A loss needs
no such power: masking's exponent already makes the difference about proportional to a squared error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from aecodec.training.ssimulacra2 import linear

LEAST_SIDE = 4  # pixels; fewer make no pyramid
WHITE, BLACK = 200.0, 0.2  # cd/m^2 that the display emits
REFLECTED = 0.005 * 250 / math.pi  # cd/m^2, 0.5 % of 250 lux
# Linear sRGB to DKL at D65, cd/m^2: the package's product of sRGB to XYZ, XYZ to LMS 2006 and LMS to DKL
DKL = (
    (0.23320121074479758, 0.7288307890491413, 0.0889958693406463),
    (0.12762077123680748, -0.08706808759459364, -0.036777390616027174),
    (-0.21482250859101307, -0.6262536922063917, 0.8514033269512837),
)
PYRAMID = (0.05, 0.25, 0.4, 0.25, 0.05)  # the filter that precedes halving
GAINS = (1.0, 1.45, 1.0)  # per channel, of sensitivities where there is masking
CORRECTION = 10 ** (-0.2797423303127289 / 20)  # of sensitivities
MASK_P, MASK_C = 2.264355182647705, 10**-0.7954971194267273
MASK_Q = (1.302622675895691, 2.8885908126831055, 3.6807713508605957)
CROSS_MASKING = (  # log2 of a row's channel's part in the masking of a column's
    (-0.18950104713439941, -5.962151050567627, -4.31834602355957),
    (2.5655593872070312, 0.34406712651252747, -2.719646453857422),
    (3.8118371963500977, -1.0051705837249756, -0.5193376541137695),
)
_MASKING = tuple(tuple(2**weight for weight in column) for column in zip(*CROSS_MASKING, strict=True))
DILATION = 3  # sigma of the Gaussian that spreads masking, pixels of a band; its window is 4 sigma + 1 wide
MOST = 10**2.5642454624176025  # a difference, softly
BASE_WEIGHTS = (0.0036334486212581396, 1.6627724170684814, 4.11874532699585)  # of the band that is left of the pyramid
BETA_PIXELS, BETA_BANDS, BETA_CHANNELS = 2, 4, 4
STILL = 0.577918291091919  # of a picture against a video's frame
JOD_A, JOD_EXPONENT = 0.0439569391310215, 0.9302042722702026
_EPSILON = 1e-5  # the metric's, added before every power, which so has a gradient at 0

# log10 of the sensitivity at LUMINANCES, from the finest band (18.9 cycles per degree) to what is left of the pyramid, of
# the channels achromatic, red-green, yellow-violet
LOG_LUMINANCE, LOG_LUMINANCE_STEP, LUMINANCES = -0.26843967448205186, 0.20325903211819307, 14  # log10 of cd/m^2
_SENSITIVITIES = (
    # 18.9 cycles per degree
    0.1564, 0.3437, 0.5240, 0.6965, 0.8600, 1.0130, 1.1534, 1.2789, 1.3875, 1.4774, 1.5485, 1.6021, 1.6406, 1.6673,
    0.8195, 0.9166, 1.0127, 1.1071, 1.1991, 1.2873, 1.3702, 1.4458, 1.5122, 1.5676, 1.6116, 1.6447, 1.6684, 1.6848,
    0.2398, 0.3183, 0.3963, 0.4737, 0.5499, 0.6245, 0.6966, 0.7649, 0.8280, 0.8843, 0.9324, 0.9714, 1.0013, 1.0231,
    # 6.11 cycles per degree
    1.3539, 1.4911, 1.6218, 1.7455, 1.8616, 1.9690, 2.0667, 2.1532, 2.2276, 2.2889, 2.3374, 2.3739, 2.4002, 2.4185,
    1.2986, 1.3957, 1.4918, 1.5863, 1.6782, 1.7665, 1.8494, 1.9250, 1.9913, 2.0468, 2.0908, 2.1239, 2.1476, 2.1639,
    0.7162, 0.7947, 0.8727, 0.9501, 1.0263, 1.1009, 1.1729, 1.2413, 1.3044, 1.3607, 1.4088, 1.4477, 1.4777, 1.4995,
    # 3.05 cycles per degree
    1.7507, 1.8571, 1.9575, 2.0513, 2.1383, 2.2178, 2.2893, 2.3519, 2.4053, 2.4491, 2.4837, 2.5098, 2.5286, 2.5418,
    1.5356, 1.6327, 1.7288, 1.8232, 1.9152, 2.0034, 2.0863, 2.1620, 2.2283, 2.2838, 2.3278, 2.3609, 2.3846, 2.4009,
    0.9564, 1.0349, 1.1129, 1.1903, 1.2665, 1.3411, 1.4131, 1.4815, 1.5446, 1.6009, 1.6490, 1.6879, 1.7179, 1.7397,
    # 1.53 cycles per degree
    1.8784, 1.9542, 2.0241, 2.0881, 2.1460, 2.1976, 2.2428, 2.2816, 2.3140, 2.3403, 2.3610, 2.3766, 2.3880, 2.3960,
    1.6844, 1.7815, 1.8776, 1.9721, 2.0640, 2.1522, 2.2351, 2.3108, 2.3771, 2.4326, 2.4766, 2.5097, 2.5334, 2.5497,
    1.1200, 1.1985, 1.2766, 1.3540, 1.4302, 1.5048, 1.5768, 1.6451, 1.7083, 1.7646, 1.8127, 1.8516, 1.8815, 1.9034,
    # 0.763 cycles per degree
    1.7745, 1.8195, 1.8590, 1.8932, 1.9220, 1.9457, 1.9647, 1.9837, 1.9999, 2.0161, 2.0349, 2.0499, 2.0611, 2.0692,
    1.7152, 1.8123, 1.9084, 2.0029, 2.0948, 2.1831, 2.2660, 2.3416, 2.4079, 2.4634, 2.5074, 2.5405, 2.5642, 2.5805,
    1.1649, 1.2434, 1.3214, 1.3988, 1.4751, 1.5496, 1.6217, 1.6900, 1.7531, 1.8094, 1.8575, 1.8965, 1.9264, 1.9482,
    # 0.382 cycles per degree
    1.4743, 1.4964, 1.5214, 1.5519, 1.5838, 1.6148, 1.6446, 1.6727, 1.6983, 1.7207, 1.7396, 1.7545, 1.7658, 1.7739,
    1.6616, 1.7588, 1.8548, 1.9493, 2.0412, 2.1295, 2.2124, 2.2880, 2.3543, 2.4098, 2.4538, 2.4869, 2.5106, 2.5269,
    1.1070, 1.1855, 1.2635, 1.3409, 1.4172, 1.4917, 1.5638, 1.6321, 1.6952, 1.7515, 1.7996, 1.8386, 1.8685, 1.8903,
    # 0.191 cycles per degree
    1.1541, 1.1871, 1.2199, 1.2523, 1.2842, 1.3152, 1.3451, 1.3731, 1.3987, 1.4212, 1.4400, 1.4550, 1.4662, 1.4743,
    1.5637, 1.6608, 1.7569, 1.8513, 1.9433, 2.0315, 2.1144, 2.1901, 2.2564, 2.3119, 2.3559, 2.3890, 2.4127, 2.4290,
    0.9907, 1.0692, 1.1472, 1.2246, 1.3008, 1.3754, 1.4475, 1.5158, 1.5789, 1.6352, 1.6833, 1.7223, 1.7522, 1.7740,
    # 0.1 cycles per degree
    0.8737, 0.9067, 0.9395, 0.9719, 1.0038, 1.0349, 1.0647, 1.0927, 1.1183, 1.1408, 1.1596, 1.1746, 1.1858, 1.1939,
    1.4475, 1.5447, 1.6407, 1.7352, 1.8271, 1.9154, 1.9983, 2.0739, 2.1402, 2.1957, 2.2397, 2.2728, 2.2965, 2.3128,
    0.8507, 0.9292, 1.0073, 1.0846, 1.1609, 1.2354, 1.3075, 1.3758, 1.4389, 1.4952, 1.5433, 1.5823, 1.6122, 1.6340,
)  # fmt: skip
SENSITIVITIES = torch.tensor(_SENSITIVITIES, dtype=torch.float64).reshape(-1, 3, LUMINANCES)


def pooled_difference(x: Tensor, y: Tensor) -> Tensor:
    """Return the pooled differences (B,) of distorted pictures x from originals y, (B, 3, H, W) in 0..1.

    It is 0 for equal pictures. Gradients reach x alone. Values of x outside 0..1 are clamped, as a file would hold them.
    """
    with torch.no_grad():
        originals = _contrasts(_light(y))
    pooled = []
    for band, ((test, _), (reference, luminance)) in enumerate(zip(_contrasts(_light(x)), originals, strict=True)):
        base = band == len(originals) - 1
        sensitivity = _sensitivity(luminance, -1 if base else band)
        if base:
            change = (test - reference).abs() * sensitivity
        else:
            sensitivity = sensitivity * _constant(x, torch.tensor, GAINS)[:, None, None]
            change = _masked(test * sensitivity, reference * sensitivity)
        norm = _norm(change, BETA_PIXELS, (2, 3), change.shape[2] * change.shape[3])
        pooled.append(norm * _constant(x, torch.tensor, BASE_WEIGHTS) if base else norm)
    return STILL * _norm(_norm(torch.stack(pooled), BETA_BANDS, 0), BETA_CHANNELS, 1)


def jod(pooled: float) -> float:
    """Return the metric's quality in JOD, at most 10, of a pooled difference."""
    if pooled <= 0.1:  # a straight line up to there, instead of an infinite slope at 0
        return 10 - JOD_A * math.pow(0.1, JOD_EXPONENT - 1) * pooled
    return 10 - JOD_A * math.pow(pooled, JOD_EXPONENT)


def _light(x: Tensor) -> Tensor:
    """Turn sRGB in 0..1 into the display's light in DKL, cd/m^2."""
    return _mixed(DKL, (WHITE - BLACK) * linear(x) + (BLACK + REFLECTED))


def _contrasts(dkl: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return Weber contrasts (B, 3, h, w) and the luminances (B, 1, h, w) that they are relative to, finest band first.

    The metric's limits of both, 0.01 cd/m^2 and 1000, lie outside this display's range.
    """
    bands = []
    for band in range(min(len(SENSITIVITIES) - 1, int(math.log2(min(dkl.shape[2:]))) - 1)):
        h, w = dkl.shape[2:]
        # the columns, too, end as the metric has it where the number of rows is odd
        smaller = _filtered(dkl, _reduction, (h, h % 2), (w, h % 2))
        around = _filtered(smaller, _expansion, (h,), (w,))
        luminance = around[:, :1]
        bands.append(((dkl - around) * ((2 if band else 1) / luminance), luminance))
        dkl = smaller
    luminance = dkl[:, :1].mean((2, 3), keepdim=True)
    return [*bands, (dkl / luminance, luminance)]


@torch.no_grad()
def _sensitivity(luminance: Tensor, band: int) -> Tensor:
    """Return sensitivities (B, 3, h, w) to contrast at originals' luminances (B, 1, h, w)."""
    table = _constant(luminance, _table, band)
    at = ((luminance.log10() - LOG_LUMINANCE) / LOG_LUMINANCE_STEP).clamp(0, LUMINANCES - 1)
    below = at.long().clamp_max(LUMINANCES - 2)
    logs = [torch.lerp(channel[below], channel[below + 1], at - below) for channel in table]
    return CORRECTION * 10 ** torch.cat(logs, 1)


def _table(band: int) -> Tensor:
    """Return log10 of sensitivities, (3, LUMINANCES)."""
    return SENSITIVITIES[band]


def _masked(test: Tensor, reference: Tensor) -> Tensor:
    """Return differences (B, 3, h, w) of contrasts in units of the threshold, masked by the contrast of both pictures."""
    h, w = test.shape[2:]
    both = torch.minimum(test.abs(), reference.abs())
    if min(h, w) > 2 * DILATION:
        both = _filtered(both, _blur, (h,), (w,))
    parts = torch.stack([_power(MASK_C * channel, q) for channel, q in zip(both.unbind(1), MASK_Q, strict=True)], 1)
    change = _power((test - reference).abs(), MASK_P) / (1 + _mixed(_MASKING, parts))
    return MOST * change / (MOST + change)


def _power(x: Tensor, exponent: float) -> Tensor:
    """Return x**exponent of x >= 0, as the metric computes it."""
    power: Tensor = (x + _EPSILON) ** exponent - _EPSILON**exponent
    return power


def _norm(x: Tensor, beta: int, dim: int | tuple[int, ...], count: int = 1) -> Tensor:
    """Return p-norms over ``dim``, with sums divided by ``count``."""
    return _power(_power(x, beta).sum(dim) / count, 1 / beta)


def _mixed(matrix: tuple[tuple[float, ...], ...], x: Tensor) -> Tensor:
    """Apply a (3, 3) matrix to the channels of (B, 3, h, w)."""
    mixed: Tensor = (_constant(x, torch.tensor, matrix) @ x.flatten(2)).unflatten(2, x.shape[2:])
    return mixed


def _filtered(x: Tensor, make: Callable[..., Tensor], h: tuple[int, ...], w: tuple[int, ...]) -> Tensor:
    """Multiply (.., h, w) by the matrices that ``make`` returns for columns and for rows.

    On CPUs two matrix products are faster than a convolution of one channel.
    """
    return _constant(x, make, *h) @ x @ _constant(x, make, *w).mT


def _constant(x: Tensor, make: Callable[..., Tensor], *arguments: object) -> Tensor:
    """Return a constant on x's device, made once: a CUDA graph takes none from the host."""
    return _made(make, arguments, x.dtype, x.device)


@functools.cache
def _made(make: Callable[..., Tensor], arguments: tuple[object, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return make(*arguments).to(device, dtype)


def _reduction(size: int, odd: int) -> Tensor:
    """Return (ceil(size / 2), size), which filters and keeps every other sample, mirrored at the ends."""
    band = torch.zeros((size + 1) // 2, size)
    for row in range(len(band)):
        for offset, tap in zip(range(-2, 3), PYRAMID, strict=True):
            if 0 <= 2 * row + offset < size:
                band[row, 2 * row + offset] = tap
    band[0, 0] += PYRAMID[1]
    band[0, 1] += PYRAMID[0]
    band[-1, -1] += PYRAMID[3] if odd else PYRAMID[4]
    band[-1, -2] += PYRAMID[4] if odd else 0
    return band


def _expansion(size: int) -> Tensor:
    """Return (size, ceil(size / 2)), which puts zeros between samples and filters; the ends are repeated."""
    band = torch.zeros(size, (size + 1) // 2)
    for at in range(-1, band.shape[1] + 1):
        for offset, tap in zip(range(-2, 3), PYRAMID, strict=True):
            if 0 <= 2 * at + offset < size:
                band[2 * at + offset, min(max(at, 0), band.shape[1] - 1)] += 2 * tap
    return band


def _blur(size: int) -> Tensor:
    """Return (size, size), a Gaussian's taps in each row, reflected at the ends."""
    taps = [math.exp(-((offset / DILATION) ** 2) / 2) for offset in range(-2 * DILATION, 2 * DILATION + 1)]
    band = torch.zeros(size, size)
    for row in range(size):
        for offset, tap in zip(range(-2 * DILATION, 2 * DILATION + 1), taps, strict=True):
            at = abs(row + offset)
            band[row, min(at, 2 * size - 2 - at)] += tap / sum(taps)
    return band
