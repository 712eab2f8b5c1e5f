"""Hold what applies where a caller chooses nothing.

Nothing is imported here, because the command line shows these values in its help.
"""

DEFAULT_QUALITY = 60.0
DEFAULT_WEIGHTS = "photo"
RESTORING_WEIGHTS = "restore"
MAX_PIXELS = 2**28  # 268 million
