"""The stills of a render as files, in every pass. Light until it works."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from meshcli.errors import InputError, ProjectError
from meshcli.project.artefacts import blend_file, camera_still, still_file
from meshcli.project.manifest import Photo
from meshcli.stages.picture_cameras import PictureCamera, find_pictures, picture_camera
from meshcli.stages.stage_runner import StageRun
from meshcli.views.camera import Camera

if TYPE_CHECKING:
    from meshcli.rendering.turntable import MeshPictures

BLEND_QUALITY = 90  # of a JPEG


def write_stills(run: StageRun, show: "MeshPictures") -> None:
    """Write the stills from named sides, or from given azimuths."""
    from meshcli.rendering.turntable import encode_still

    for kind in dict.fromkeys(show.settings.passes):
        if kind == "depth":
            _write_depths(run, show, {name: (each, show.square) for name, each in show.still_cameras.items()})
        else:
            run.write(
                {still_file(name, kind): encode_still(show.still(name, kind), kind) for name in show.still_cameras}
            )


def write_camera_stills(run: StageRun, show: "MeshPictures") -> None:
    """Write a still from the camera of each picture that is named, and the picture mixed with the shaded one.

    Nothing is behind the object, whatever the background, so that it can be laid over the picture.
    """
    from meshcli.rendering.turntable import encode_still

    found = find_pictures(run.manifest, show.settings.cameras)
    pictures = {name: picture_camera(run.project, picture) for name, picture in found.items()}
    for name, picture in pictures.items():
        run.run_options.progress(list(pictures).index(name), len(pictures), "cameras")
        for kind in dict.fromkeys(show.settings.passes):
            if kind != "depth":
                still = show.render(picture.camera, *picture.size, kind)
                run.write({still_file(camera_still(name), kind): encode_still(still, kind)})
        run.write({blend_file(name): _blend(run, show, picture)})
    if "depth" in show.settings.passes:
        _write_depths(run, show, {camera_still(name): (each.camera, each.size) for name, each in pictures.items()})
    run.facts["cameras"] = {name: _described(each, found[name]) for name, each in pictures.items()}


def _write_depths(run: StageRun, show: "MeshPictures", cameras: Mapping[str, tuple[Camera, tuple[int, int]]]) -> None:
    """Write 16-bit depths of stills, all on the scale of the whole render, which is recorded."""
    from meshcli.rendering.turntable import depth_levels, encode_depth

    known = run.facts.get("depth") or {}
    low, high = show.depth_range([camera for camera, _ in cameras.values()])
    levels = known.get("levels_per_unit") or depth_levels(max(high, *_picture_depths(run, show)))
    for name, (camera, size) in cameras.items():
        run.write({still_file(name, "depth"): encode_depth(show.depth(camera, *size), levels)})
    run.facts["depth"] = {
        "levels_per_unit": levels,
        "nearest": round(min(low, known.get("nearest", low)), 5),
        "farthest": round(max(high, known.get("farthest", high)), 5),
    }


def _picture_depths(run: StageRun, show: "MeshPictures") -> Iterable[float]:
    """The largest depths before the cameras of pictures; 0 before none."""
    found = find_pictures(run.manifest, show.settings.cameras).values()
    return [0.0, *(show.depth_range([picture.camera])[1] for picture in found)]


def _blend(run: StageRun, show: "MeshPictures", picture: PictureCamera) -> bytes:
    """The picture as a JPEG, half of it replaced by the mesh where that covers it."""
    from meshcli.pictures.image import encode_jpeg, load_picture, over, resize
    from meshcli.rendering.backdrop import composite

    path = run.project.path(picture.file)
    try:
        below = over(load_picture(path, side=max(picture.size), tell=run.note))
    except InputError as error:
        raise ProjectError(f"{error}; put the picture back, or leave --camera {picture.name} out") from error
    width, height = picture.size
    below = resize(below, width, height)
    above = show.render(picture.camera, width, height)
    above[..., 3] //= 2
    return encode_jpeg(composite(above, below), BLEND_QUALITY)


def _described(picture: PictureCamera, entry: object) -> dict[str, object]:
    """A picture and its camera, for the record."""
    return {
        "over": picture.file,
        "width": picture.size[0],
        "height": picture.size[1],
        "original": isinstance(entry, Photo) and picture.file == entry.original,
        **picture.camera.to_json(),
    }
