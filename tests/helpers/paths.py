"""Where the files lie that several tests read."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "desk"
SHARED = REPOSITORY.parent / "shared"  # no part of this repository: tests that read it skip where it is absent
SHEETS = SHARED / "data" / "views" / "white"
needs_shared_data = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="../shared/data is absent")
