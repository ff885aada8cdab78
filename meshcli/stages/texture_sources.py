"""Which pictures colour a mesh: photos at their own size, chosen views, or a network's colours. Light: no numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from meshcli.engines import IMPORT, NETWORKS, refines
from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.settings import Settings
from meshcli.stages.view_candidates import camera_is_known

Source = Literal["photos", "views", "both", "field"]


@dataclass(frozen=True)
class TexturePictures:
    """What a mesh is coloured from, and why."""

    source: Source
    photos: tuple[Photo, ...]  # those that colour it; none for `views` and `field`
    reason: str

    def option(self) -> dict[str, Any]:
        """The option of a record that a fingerprint depends on."""
        return {"from": self.source, "photos": [photo.name for photo in self.photos]}


def pick_texture_pictures(
    manifest: Manifest, views: Sequence[ViewEntry], engine: str, settings: Settings
) -> TexturePictures:
    """The pictures that colour the mesh of these chosen views.

    `auto` takes photos whose camera is known, beside the views. Without such photos it takes the views, and for a
    network its colour field, as published. Raises UsageError where what was asked for is not there.
    """
    asked = settings.texture.source
    own = settings.lrm if engine in NETWORKS else settings.placement if engine == IMPORT else settings.fit
    textured = own.texture
    if asked == "field" and engine not in NETWORKS:
        raise UsageError(f"--texture-from field: {engine} has no colour field; the networks have one")
    if asked == "field" and refines(engine, settings.refine.when):
        raise UsageError("--texture-from field: a refined surface has left the field that the network predicted")
    if asked in ("views", "field") or not textured:
        return TexturePictures("field" if asked == "field" else "views", (), "asked for" if textured else "no texture")
    known = tuple(photo for photo in manifest.active_photos if camera_is_known(manifest, photo))
    if asked in ("photos", "both") and not known:
        raise UsageError(f"--texture-from {asked}: {_nothing_known(manifest)}")
    if asked in ("photos", "both"):
        return TexturePictures(cast("Source", asked), known, "asked for")
    if not known:
        # A refined surface has left the field that the network predicted.
        as_published = engine in NETWORKS and not refines(engine, settings.refine.when)
        source: Source = "field" if as_published else "views"
        return TexturePictures(source, (), _nothing_known(manifest))
    return TexturePictures("both", known, "the photos' cameras are known")


def texture_sentence(pictures: TexturePictures) -> str:
    """What colours the mesh, in words, for the outcome."""
    names = ", ".join(photo.name for photo in pictures.photos)
    photos = f"photo{'s' if len(pictures.photos) > 1 else ''} {names}"
    sources = {
        "photos": photos, "both": f"{photos} and the chosen views", "views": "the chosen views",
        "field": "the network's colour field",
    }  # fmt: skip
    return f"texture from {sources[pictures.source]} ({pictures.reason})"


def _nothing_known(manifest: Manifest) -> str:
    """Why no photo can colour the mesh."""
    if all(photo.stated.ready for photo in manifest.active_photos):
        return "there are no photos, only ready views"
    return "no photo's camera is known (azimuth, elevation and lens, or a rig)"
