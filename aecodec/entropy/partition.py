"""Decide which latents are decoded in which of the four context steps.

A latent position has a phase, 2 * (row & 1) + (column & 1); the channels form four equal groups. In step k the group
``phase ^ ORDER[k]`` is decoded at every position: each step decodes a quarter of the channels everywhere, each group visits
its phases diagonal first, and from the second step on every latent has decoded channels at its own position and decoded
neighbours in its own group. (The partition of Li et al., "Neural Video Compression with Diverse Contexts", CVPR 2023, with
the order of visits written as an exclusive or.)
"""

from __future__ import annotations

ORDER = (0, 3, 1, 2)
CONTEXT_STEPS = len(ORDER)


def group_of(step: int, phase: int) -> int:
    """Return the channel group (0..3) that ``step`` decodes at positions of ``phase``."""
    return phase ^ ORDER[step]
