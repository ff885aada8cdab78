"""Photos of one object in, a textured mesh out."""

import os

__version__ = "0.1.0"

# Threads of numba and torch that wait for each other spin by default. On a machine with other work to do they then keep
# each other from the processor: a fit took 52 s, with this 10 s (two cores, load 7). Both read it when they start.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
