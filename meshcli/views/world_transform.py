"""From the world of foreign cameras into ours: one similarity. Light: no numpy; find_world_transform.py finds it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from meshcli.errors import InputError, UsageError
from meshcli.json_table import Table
from meshcli.views.camera import Camera, Rows

Vector = tuple[float, float, float]
SMALLEST = 1e-9  # scale

AXES: dict[str, Vector] = {  # of a foreign world, as they are typed
    "x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1), "-x": (-1, 0, 0), "-y": (0, -1, 0), "-z": (0, 0, -1),
}  # fmt: skip


def axis(up: str) -> Vector:
    """The direction of an axis, as it is typed; UsageError for what is none."""
    if up not in AXES:
        raise UsageError(f"--up {up}: write one of {', '.join(AXES)}")
    return AXES[up]


@dataclass(frozen=True)
class Frame:
    """A point p of the foreign world lies at scale * rotation * p + shift in ours."""

    scale: float
    rotation: tuple[Vector, Vector, Vector]  # rows: our axes in the foreign world
    shift: Vector

    def point(self, point: Sequence[float]) -> Vector:
        """A foreign point in our world."""
        x, y, z = (
            self.scale * sum(a * b for a, b in zip(row, point, strict=True)) + shift
            for row, shift in zip(self.rotation, self.shift, strict=True)
        )
        return x, y, z

    def camera(self, camera: Camera) -> Camera:
        """A foreign camera in our world: it turns and moves, its lens stays."""
        pose = camera.camera_to_world
        turned = [[sum(row[k] * pose[k][column] for k in range(3)) for column in range(3)] for row in self.rotation]
        centre = self.point(camera.position)
        rows: Rows = (*((*row, place) for row, place in zip(turned, centre, strict=True)), (0.0, 0.0, 0.0, 1.0))
        return replace(camera, camera_to_world=rows)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest: the matrix that takes foreign points to ours."""
        rows = [
            [*(self.scale * value for value in row), shift]
            for row, shift in zip(self.rotation, self.shift, strict=True)
        ]
        return {"to_ours": [*rows, [0.0, 0.0, 0.0, 1.0]]}

    @classmethod
    def read(cls, table: Table) -> Self:
        """From the manifest."""
        rows = [Table({"row": row}, f"{table.where}: to_ours", table.error).numbers("row", 4)
                for row in table.get("to_ours", list)[:3]]  # fmt: skip
        scale = math.hypot(*rows[0][:3]) if len(rows) == 3 else 0.0
        if not SMALLEST <= scale <= 1.0 / SMALLEST:
            raise table.wrong("to_ours", table.values.get("to_ours"))
        axes = [(row[0] / scale, row[1] / scale, row[2] / scale) for row in rows]
        try:  # a frame is a camera's pose that is scaled
            pose = [*([*each, row[3]] for each, row in zip(axes, rows, strict=True)), [0, 0, 0, 1]]
            Camera.from_json({"camera_to_world": pose, "fx": 1, "fy": 1})
        except InputError as error:
            raise table.wrong("to_ours", table.values.get("to_ours")) from error
        return cls(scale, (axes[0], axes[1], axes[2]), (rows[0][3], rows[1][3], rows[2][3]))
