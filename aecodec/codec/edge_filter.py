"""The decoder's last stage in integers: a filter that smooths ripples and keeps edges.

A picture comes in at 1/8 of a level, and every two pixels that are a pair exchange an amount of light: a function of the
difference of their luma, odd, piecewise linear between KNOTS, one for each distance (ring) and quality.  What a pixel gets
is multiplied by the strength of its block and added to R, G and B alike.  ``networks/edge_filter.py`` is what training sees
of it, docs/format.md what another decoder needs.
"""

from __future__ import annotations

BLOCK = 8  # pixels each way that share a strength
STRENGTH_MAX = 2
KNOTS = (2, 4, 7, 11, 16, 24, 36, 60)  # differences in levels at which the function is given; it is 0 at 0
RINGS = 3  # distances: 1, sqrt(2) and 2 pixels
# (ring, rows down, columns right) of the second pixel of each pair
PAIRS = ((0, 0, 1), (0, 1, 0), (1, 1, 1), (1, 1, -1), (2, 0, 2), (2, 2, 0))
LUMA = (77, 150, 29)  # of R, G, B, out of 256
