"""The array type of pictures."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, channels): grey, RGB or RGBA; sRGB, straight alpha

VIEW_SIZE = 320  # pixels: side of Zero123++'s views; lengths in reference pixels are for pictures of this size
EIGHT_CONNECTED = np.ones((3, 3), bool)  # connectivity of pixels that share an edge or a corner, as scipy takes it
