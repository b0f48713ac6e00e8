"""The arrays and boxes that everything is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
