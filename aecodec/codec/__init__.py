"""The codec.  A picture's way through it, module by module:

picture -> pipeline (runtime/: analysis) -> latents (entropy_model, partition, integer) -> gaussian, rans -> bitstream,
and back.  ``quality`` and ``config`` are what all of them share; ``rate_control`` has the targets of a file and searches
for the quality that meets one.
"""
