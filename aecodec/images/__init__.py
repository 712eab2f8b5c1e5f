"""Find, read and write pictures: folders, formats, colour, depth, samples as arrays, and the filter on decoded samples.

This room knows nothing of latents.
"""
