"""Code the latents of a tile into bytes and back, in integers that are the same on every machine.

This room knows nothing of torch, of pictures or of files.
"""
