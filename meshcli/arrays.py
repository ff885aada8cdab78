"""Names for arrays by what they hold; shapes stand beside each use."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Mask = NDArray[np.bool_]  # True inside the object, unless stated otherwise
