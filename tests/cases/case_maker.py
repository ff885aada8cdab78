"""../shared/cases/make_cases.py, which knows some of our modules by other names: `python case_maker.py OUT ...`."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

MAKER = Path(__file__).resolve().parents[3] / "shared/cases/make_cases.py"
NAMES = {
    "meshcli.camera": "meshcli.views.camera",
    "meshcli.mesh": "meshcli.meshes.mesh",
    "meshcli.picture": "meshcli.rendering.renderer",
}


def load(name: str = "make_cases") -> ModuleType:
    """The script as a module; with `name` "__main__" it does its work."""
    for known, ours in NAMES.items():
        sys.modules.setdefault(known, import_module(ours))
    spec = spec_from_file_location(name, MAKER)
    assert spec is not None
    assert spec.loader is not None
    maker = module_from_spec(spec)
    spec.loader.exec_module(maker)
    return maker


if __name__ == "__main__":
    load("__main__")
