"""The similarity from a foreign rig's coordinates to ours. Light: no numpy; find_world_transform.py finds it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from meshcli.errors import InputError, UsageError
from meshcli.json_table import JsonTable
from meshcli.views.camera import Camera, PoseMatrix

Vector = tuple[float, float, float]
MIN_SCALE = 1e-9  # of a transform in a manifest, and 1 / the largest one: squares and quotients stay finite

AXES: dict[str, Vector] = {  # of a foreign coordinate system, as the user types them
    "x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1), "-x": (-1, 0, 0), "-y": (0, -1, 0), "-z": (0, 0, -1),
}  # fmt: skip


def parse_axis(up: str) -> Vector:
    """The direction of an axis as typed; UsageError for anything else."""
    if up not in AXES:
        raise UsageError(f"--up {up}: write one of {', '.join(AXES)}")
    return AXES[up]


@dataclass(frozen=True)
class WorldTransform:
    """A foreign point p lies at scale * rotation * p + translation in our world."""

    scale: float
    rotation: tuple[Vector, Vector, Vector]  # rows: our axes in foreign coordinates
    translation: Vector

    def point(self, point: Sequence[float]) -> Vector:
        """A foreign point in our world."""
        x, y, z = (
            self.scale * sum(a * b for a, b in zip(row, point, strict=True)) + translation
            for row, translation in zip(self.rotation, self.translation, strict=True)
        )
        return x, y, z

    def camera(self, camera: Camera) -> Camera:
        """A foreign camera in our world: its pose changes, its intrinsics do not."""
        pose = camera.camera_to_world
        turned = [[sum(row[k] * pose[k][column] for k in range(3)) for column in range(3)] for row in self.rotation]
        centre = self.point(camera.position)
        rows: PoseMatrix = (*((*row, place) for row, place in zip(turned, centre, strict=True)), (0.0, 0.0, 0.0, 1.0))
        return replace(camera, camera_to_world=rows)

    def to_json(self) -> dict[str, Any]:
        """As the manifest holds it: the matrix that takes foreign points to ours."""
        rows = [
            [*(self.scale * value for value in row), translation]
            for row, translation in zip(self.rotation, self.translation, strict=True)
        ]
        return {"to_ours": [*rows, [0.0, 0.0, 0.0, 1.0]]}

    @classmethod
    def read(cls, table: JsonTable) -> Self:
        """From the manifest."""
        rows = [JsonTable({"row": row}, f"{table.where}: to_ours", table.error).numbers("row", 4)
                for row in table.get("to_ours", list)[:3]]  # fmt: skip
        scale = math.hypot(*rows[0][:3]) if len(rows) == 3 else 0.0
        if not MIN_SCALE <= scale <= 1.0 / MIN_SCALE:
            raise table.invalid("to_ours", table.values.get("to_ours"))
        axes = [(row[0] / scale, row[1] / scale, row[2] / scale) for row in rows]
        try:  # without its scale it must be rigid, as a camera's pose
            pose = [*([*each, row[3]] for each, row in zip(axes, rows, strict=True)), [0, 0, 0, 1]]
            Camera.from_json({"camera_to_world": pose, "fx": 1, "fy": 1})
        except InputError as error:
            raise table.invalid("to_ours", table.values.get("to_ours")) from error
        return cls(scale, (axes[0], axes[1], axes[2]), (rows[0][3], rows[1][3], rows[2][3]))
