"""Measure restoration methods, as ``aecodec eval --task`` does.

``methods`` defines the methods and the damage that all of them get; ``measure`` makes measurements, ``results`` sums them
up, and ``report`` makes the page.
"""
