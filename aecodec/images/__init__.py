"""Read and write pictures: formats, colour, depth, samples as arrays, and the filter on decoded samples.

This room knows nothing of latents.
"""
