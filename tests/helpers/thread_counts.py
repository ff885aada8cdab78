"""The same computation in processes with different numbers of threads."""

import os
import subprocess
import sys

CODE = """
import hashlib
import {module} as t
mesh = {expression}
print(hashlib.sha256(mesh.vertices.tobytes() + mesh.faces.tobytes() + mesh.colours.tobytes()).hexdigest())
"""


def mesh_digest(threads: int, module: str, expression: str) -> str:
    """The digest of a mesh that a process with so many threads makes; the test's `module` is `t` in the expression."""
    environment = {
        **os.environ,
        "NUMBA_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    code = CODE.format(module=module, expression=expression)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
