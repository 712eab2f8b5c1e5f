"""Hold the whole model as it is trained: every network, the quantisers and the two rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aecodec.entropy.architecture import Architecture
from aecodec.entropy.gaussian import SCALE_MIN
from aecodec.entropy.integer import MEAN_FRAC
from aecodec.entropy.partition import CONTEXT_STEPS
from aecodec.entropy.trellis import STEP_SIZE
from aecodec.networks.context import ContextStep, join_steps, split_steps
from aecodec.networks.fused import is_fused
from aecodec.networks.hyperprior import HyperAnalysis, HyperSynthesis
from aecodec.networks.integer import IntegerConv2d, compand, interpolate, round_half_up
from aecodec.networks.quantiser import DependentQuantiser
from aecodec.networks.transforms import Analysis, Gain, Synthesis
from aecodec.networks.typed import Context, apply
from aecodec.quality import KNOTS, LAMBDA_MAX, LAMBDA_MIN

PROBABILITY_FLOOR = 1e-9
UNIT = 1 / (SCALE_MIN * math.sqrt(2))  # of erfc's argument, at log_scale 0
BIN = 2 * STEP_SIZE  # the distance of two points of one quantiser: what a symbol's rate depends on
LAMBDA_UNIT = 0.018  # the lambda whose best step is KLT_STEP; gains start at sqrt(lambda / LAMBDA_UNIT)
LOG_SCALE_TOP = 63 / 8  # nats above SCALE_MIN
LOG_SCALE_FLOOR = -1.5  # training lets a scale fall this far (in nats) below the smallest that is coded


class _GaussianBits(torch.autograd.Function):
    """Compute value and both derivatives in one pass: autograd's own chain costs three times as much on a CPU."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, log_scale: Tensor) -> Tensor:
        if is_fused(x):
            from aecodec.networks import gaussian_triton

            x, log_scale = x.float().contiguous(), log_scale.float().expand_as(x).contiguous()
            ctx.save_for_backward(x, log_scale)
            return gaussian_triton.bits(x, log_scale, UNIT, PROBABILITY_FLOOR)
        inverse = torch.exp(-log_scale) * UNIT
        size = x.abs()
        low = (size - 0.5) * inverse
        high = low + inverse
        p = (0.5 * (torch.erfc(low) - torch.erfc(high))).clamp_min_(PROBABILITY_FLOOR)
        ctx.save_for_backward(x, low, high, inverse, p)
        return torch.log2(p).neg_()

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, Tensor]:
        if is_fused(grad):
            from aecodec.networks import gaussian_triton

            x, log_scale = ctx.saved_tensors
            return gaussian_triton.slopes(x, log_scale, grad.contiguous(), UNIT, PROBABILITY_FLOOR)
        x, low, high, inverse, p = ctx.saved_tensors
        at_low = torch.exp(-low.square())
        at_high = torch.exp(-high.square())
        # dp/dlow = -at_low / sqrt(pi), dp/dhigh = at_high / sqrt(pi), bits = -log2(p)
        factor = grad / (p * (math.log(2) * math.sqrt(math.pi)))
        d_x = factor * (at_low - at_high) * inverse * torch.sign(x)
        d_log_scale = factor * (at_high * high - at_low * low)
        return d_x, d_log_scale


def gaussian_bits(x: Tensor, log_scale: Tensor) -> Tensor:
    """Return bits of x under N(0, (SCALE_MIN e^log_scale)^2) integrated over a unit bin around it, in the shape of x."""
    return apply(_GaussianBits, x, log_scale)


def with_noise(x: Tensor) -> Tensor:
    """Return x plus uniform noise as wide as a unit bin."""
    return x + torch.rand_like(x) - 0.5


def training_bits(y: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return bits of latents y, in the shape of all three, with noise in place of quantisation.

    The gradients are of two kinds. That of y is the gradient of the noisy bits. Those of mean and scale are taken for y
    without noise, which the coder does not see either. This saves rate at low qualities (docs/research-log.md, "Means and
    scales without noise").
    """
    noisy = with_noise((y - mean.detach()) / BIN)
    log_scale = log_scale.clamp(LOG_SCALE_FLOOR, LOG_SCALE_TOP) - math.log(BIN)
    bits = gaussian_bits(noisy, log_scale.detach())
    exact = gaussian_bits((y.detach() - mean) / BIN, log_scale)
    return bits + (exact - exact.detach())


@dataclass
class Output:
    """One training pass: reconstruction (B, 3, H, W) and bits (B,) of latents and hyper-latents."""

    picture: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


class FloatModel(nn.Module):
    """The float half: all that a runtime needs in addition to the integer entropy model."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        self.analysis = Analysis(arch)
        self.synthesis = Synthesis(arch)
        self.hyper_analysis = HyperAnalysis(arch)
        self.gain = Gain(arch.latents)
        self.inverse_gain = Gain(arch.latents)


class Model(FloatModel):
    """Every network of one set of weights. ``position`` (B,) is the quality on the knot scale, 0..INTERVALS."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__(arch)
        self.hyper_synthesis = HyperSynthesis(arch)
        self.context = nn.ModuleList(ContextStep(arch, k) for k in range(CONTEXT_STEPS))
        self.quantiser = DependentQuantiser()
        self.hyper_scale = nn.Parameter(torch.full((KNOTS, arch.hyper_latents), math.log(2 / SCALE_MIN)))
        knots = torch.linspace(math.log(LAMBDA_MIN), math.log(LAMBDA_MAX), KNOTS)
        with torch.no_grad():
            self.gain.log.add_(0.5 * (knots - math.log(LAMBDA_UNIT))[:, None])
            self.inverse_gain.log.sub_(0.5 * (knots - math.log(LAMBDA_UNIT))[:, None])

    @property
    def context_steps(self) -> list[ContextStep]:
        """The steps of the context model, in their order."""
        return [step for step in self.context if isinstance(step, ContextStep)]

    @torch.no_grad()
    def set_scales(self, deviation: Tensor) -> None:
        """Set the predicted scales to the latents' own: ``deviation`` (M,), standard deviations at gain 1."""
        log = (deviation * torch.exp(self.gain.log) / SCALE_MIN).clamp_min(1).log()
        for step in self.context_steps:
            step.out.bias[:, self.arch.latents :] = log

    def quantise(self, on: bool) -> None:
        """Switch the entropy path to integer arithmetic (True) or its float twin (False)."""
        for module in self.modules():
            if isinstance(module, IntegerConv2d):
                module.quantise = on

    def forward(self, x: Tensor, position: Tensor) -> Output:
        quantised = self.hyper_synthesis.out.quantise
        gain = self.gain(position)
        y = self.analysis(x, position) * gain
        z = self.hyper_analysis(y, position)
        hyper_log_scale = interpolate(self.hyper_scale, position)
        z_noisy, z_hat = (with_noise(z), round_half_up(z)) if self.training else (z.round(), z.round())
        hyper_bits = gaussian_bits(z_noisy, hyper_log_scale)
        features = self.hyper_synthesis(z_hat, position)

        parts: list[Tensor] = []
        contexts: list[Tensor] = []
        bits: list[Tensor] = []
        gains = split_steps(gain.expand(-1, -1, 2, 2))
        for step, y_part, gain_part in zip(self.context_steps, split_steps(y), gains, strict=True):
            context = join_steps(contexts).to(memory_format=torch.channels_last) if contexts else None
            mean, log_scale = step(features, context, position)
            mean = mean * gain_part
            if quantised:
                mean = round_half_up(mean * 2.0**MEAN_FRAC) * 2.0**-MEAN_FRAC
            value, step_bits = self.quantiser(y_part - mean, log_scale)
            if self.training:
                step_bits = training_bits(y_part, mean, log_scale)
            bits.append(step_bits.sum((0, 2, 3, 4)))
            parts.append(value + mean)
            contexts.append(compand(parts[-1], quantised).to(features.dtype))
        y_hat = join_steps(parts).to(memory_format=torch.channels_last)
        picture = self.synthesis(y_hat * self.inverse_gain(position), position)
        return Output(picture, sum(bits[1:], bits[0]), hyper_bits.sum((1, 2, 3)))
