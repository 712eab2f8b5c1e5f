"""What applies where a caller says nothing.  Without any import, because the command line shows it in its help."""

DEFAULT_QUALITY = 60.0
DEFAULT_WEIGHTS = "photo"
MAX_PIXELS = 2**28  # 268 million
