"""Take pictures in and give them out: formats, colour, depth, samples as arrays, and the filter on decoded samples.

This room knows nothing of latents.
"""
