"""The page's own elements: a dial, a grid of views, a painter of masks; each has its script in components/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nicegui.element import Element

COMPONENTS = Path(__file__).parent / "components"


class Dial(Element, component=COMPONENTS / "dial.js"):
    """From which side a photo was taken; emits `turn` with the degrees."""

    def __init__(self, name: str, photo: str) -> None:
        super().__init__()
        self._props["name"], self._props["photo"], self._props["fixed"] = name, photo, False

    def show(self, degrees: float | None, fixed: bool) -> None:
        """Show an angle, None where it is not known; one that is `fixed` cannot be turned."""
        if (self._props.get("angle"), self._props["fixed"]) == (degrees, fixed):
            return
        with self._props.suspend_updates():
            self._props.set_optional("angle", degrees)
            self._props["fixed"] = fixed
        self.update()


class ViewGrid(Element, component=COMPONENTS / "view_grid.js"):
    """The views as pictures; emits `take` with a row, `move` with a number of rows, `press` with a key."""

    def __init__(self) -> None:
        super().__init__()
        self._props["views"], self._props["chosen"], self._props["current"] = [], [], 0

    def show(self, views: Sequence[dict[str, Any]], chosen: Sequence[str], current: int) -> None:
        """Show views, and which of them are chosen."""
        values = {"views": list(views), "chosen": list(chosen), "current": current}
        if all(self._props[key] == value for key, value in values.items()):
            return
        with self._props.suspend_updates():
            self._props.update(values)
        self.update()


class Painter(Element, component=COMPONENTS / "painter.js"):
    """Brushes over the mask of a photo's cut-out; emits `saved` and `leave`."""

    def __init__(self, name: str, stamp: str) -> None:
        super().__init__()
        self._props["name"], self._props["stamp"] = name, stamp
