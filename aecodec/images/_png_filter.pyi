"""``_png_filter.c``: the filter of a PNG's rows, which are those of ``first`` up to ``last`` in samples of whole rows."""

import numpy as np
from numpy.typing import NDArray

def rows(samples: bytearray | NDArray[np.uint8], size: int, pixel: int, first: int, last: int, /) -> bytes: ...
