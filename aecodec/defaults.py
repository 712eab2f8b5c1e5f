"""Hold what applies where a caller chooses nothing.

Nothing is imported here, because the command line shows these values in its help.
"""

DEFAULT_QUALITY = 60.0
DEFAULT_WEIGHTS = "photo"
DENOISER = "denoise"
SHARPENER = "sharpen"  # of ``deblur`` and ``upscale``
INPAINTER = "inpaint"
MAX_PIXELS = 2**28  # 268 million
