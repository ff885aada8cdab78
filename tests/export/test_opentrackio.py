"""Samples of OpenTrackIO 1.0.1, held to the rules of its published schema for what we write."""

import json

import jsonschema
import numpy as np
import pytest

from helpers.chiral_object import chiral_object
from helpers.scene_cameras import pixels_of, scene_of
from meshcli.export.frames import pose_to_unreal
from meshcli.export.opentrackio import opentrackio_files

TEXT = {"type": "string", "minLength": 1, "maxLength": 1023}
URN = {"type": "string", "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}


def table(required: str = "", **properties: object) -> dict:
    return {
        "type": "object", "properties": properties, "required": required.split(), "additionalProperties": False,
    }  # fmt: skip


def numbers(names: str, required: str = "", **limits: float) -> dict:
    return table(required, **{name: {"type": "number", **limits} for name in names.split()})


WHOLE = {"type": "integer", "minimum": 0, "maximum": 2147483647}
# Restated from opentrackio.org/schema.json of camdkit 1.0.1: every object of it that a sample of ours has.
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **table(
        "protocol sampleId sourceId sourceNumber static lens transforms",  # the schema itself requires none of them
        static=table(
            camera=table(
                activeSensorPhysicalDimensions=numbers("height width", "height width", minimum=0.0),
                activeSensorResolution=table("height width", height=WHOLE, width=WHOLE),
                label=TEXT,
            )
        ),
        tracker=table(notes=TEXT),
        lens=table(
            pinholeFocalLength={"type": "number", "exclusiveMinimum": 0.0}, projectionOffset=numbers("x y", "x y")
        ),
        protocol=table(
            "name version",
            name={"const": "OpenTrackIO"},
            version={
                "type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 3, "maxItems": 3,
            },
        ),
        sampleId=URN,
        sourceId=URN,
        sourceNumber={"type": "integer", "minimum": 0, "maximum": 4294967295},
        transforms={
            "type": "array",
            "minItems": 1,
            "items": table(
                "translation rotation", translation=numbers("x y z"), rotation=numbers("pan tilt roll"), id=TEXT
            ),
        },
    ),
}  # fmt: skip


def samples() -> dict[str, dict]:
    return {name: json.loads(data) for name, data in opentrackio_files(scene_of(chiral_object())).items()}


def test_samples_keep_to_the_schema() -> None:
    found = samples()
    assert list(found) == [f"{each.name}.json" for each in scene_of(chiral_object()).cameras]
    for sample in found.values():
        jsonschema.Draft202012Validator(SCHEMA).validate(sample)
    assert len({sample["sourceId"] for sample in found.values()}) == len(found)
    assert len({sample["sampleId"] for sample in found.values()}) == len(found)


def test_the_schema_refuses_what_does_not_fit() -> None:
    sample = samples()["photo_a.json"]
    sample["lens"]["focal"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(sample)


def test_samples_say_where_points_are_seen() -> None:
    """Rotations about z, the turned x, the turned y, one matrix after the other."""
    scene = scene_of(chiral_object())
    points = np.array(scene.mesh.vertices, np.float64)
    for each, sample in zip(scene.cameras, samples().values(), strict=True):
        turn = {name: np.radians(value) for name, value in sample["transforms"][0]["rotation"].items()}
        (ca, cb, cc), (sa, sb, sc) = ([f(turn[n]) for n in ("pan", "tilt", "roll")] for f in (np.cos, np.sin))
        rotation = (
            np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
            @ np.array([[1, 0, 0], [0, cb, -sb], [0, sb, cb]])
            @ np.array([[cc, 0, sc], [0, 1, 0], [-sc, 0, cc]])
        )
        position = list(sample["transforms"][0]["translation"].values())
        right, forward, up = rotation.T @ (points - position).T
        camera, lens = sample["static"]["camera"], sample["lens"]
        size, resolution = camera["activeSensorPhysicalDimensions"], camera["activeSensorResolution"]
        offset = lens["projectionOffset"]
        column = 0.5 + (lens["pinholeFocalLength"] * right / forward + offset["x"]) / size["width"]
        row = 0.5 + (offset["y"] - lens["pinholeFocalLength"] * up / forward) / size["height"]
        seen = np.stack([column * resolution["width"], row * resolution["height"]], axis=1)
        assert np.abs(seen - pixels_of(each, points)).max() < 1e-6


def test_unreals_receiver_puts_a_camera_where_the_script_does() -> None:
    """It exchanges x and y, makes centimetres, and turns (pitch, yaw, roll) by (tilt, -pan, roll)."""
    for each, sample in zip(scene_of(chiral_object()).cameras, samples().values(), strict=True):
        location, rotation = pose_to_unreal(each.camera.camera_to_world)
        transform = sample["transforms"][0]
        x, y, z = (transform["translation"][axis] for axis in "xyz")
        assert location == pytest.approx([100.0 * y, 100.0 * x, 100.0 * z])
        received = [transform["rotation"]["tilt"], -transform["rotation"]["pan"], transform["rotation"]["roll"]]
        differences = np.array(received) - list(rotation.values())
        assert np.abs((differences + 180.0) % 360.0 - 180.0).max() < 1e-6
