"""Measure what repairs pictures, as ``aecodec eval --task`` does.

``methods`` are what is measured and the damage that all of them get; ``measure`` makes measurements, ``results`` sums them
up, and ``report`` makes the page.
"""
