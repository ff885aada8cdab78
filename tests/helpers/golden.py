"""Numbers of the published programs, InstantMesh and Zero123++, that ours must give.

They lie in two folders. `tests/golden` is recorded from the programs (its README says how), inputs by `golden_inputs`.
`../shared/golden` is not part of this repository and has more and larger numbers. Tests that take the
fixture `numbers` run with both and skip the second where it is not there.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers import golden_inputs
from helpers.paths import REPOSITORY, SHARED

Arrays = dict[str, NDArray[Any]]

RECORDED_FOLDER, SHARED_FOLDER = REPOSITORY / "tests" / "golden", SHARED / "golden"
needs_shared_golden = pytest.mark.skipif(not SHARED_FOLDER.is_dir(), reason="../shared/golden is absent")


@dataclass(frozen=True)
class Numbers:
    """A folder of recorded numbers."""

    folder: Path

    def facts(self, topic: str) -> Any:
        """Sizes, settings and seeds."""
        if self.folder == RECORDED_FOLDER:
            return golden_inputs.facts(topic)
        return json.loads((self.folder / f"{topic}.json").read_text())

    def arrays(self, topic: str) -> Arrays:
        """Inputs and outputs by name; `NAME_every_N` are thinned out."""
        with np.load(self.folder / f"{topic}.npz") as file:
            found = dict(file)
        return found | (golden_inputs.inputs(topic) if self.folder == RECORDED_FOLDER else {})


RECORDED, EXTERNAL = Numbers(RECORDED_FOLDER), Numbers(SHARED_FOLDER)
BOTH = [pytest.param(RECORDED, id="recorded"), pytest.param(EXTERNAL, id="shared", marks=needs_shared_golden)]


def difference(found: Any, arrays: Arrays, name: str) -> float:
    """The largest difference from an array, or from every n-th of its values where only those are kept.

    Shapes must agree, but for leading axes of length 1.
    """
    values = np.asarray(found)
    thin = next((key for key in arrays if key.startswith(f"{name}_every_")), "") if name not in arrays else ""
    if thin:
        values = values.ravel()[:: int(thin.rpartition("_")[2])]
    wanted = np.asarray(arrays[thin or name])
    assert wanted.size == values.size
    assert wanted.shape[wanted.ndim - values.ndim :] == values.shape or wanted.shape == values.shape[-wanted.ndim :]
    return float(np.abs(values.reshape(wanted.shape).astype(float) - wanted).max(initial=0.0))
