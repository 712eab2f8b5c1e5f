"""Describe pictures by vectors from their latents, and find, group and lay out pictures by them.

This room knows nothing of flags, folders and progress bars, nor of what the vectors are used for.
"""
