"""Why a finished stage must run again, in words: the first difference of two fingerprints. Light: no numpy.

The parts of a fingerprint are those of inputs.py; this module has a sentence for each of them.
"""

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from contextlib import suppress

from meshcli.project.artefacts import BODY, IMPORTED_MESH, MESH, PLANES, cut_out_file
from meshcli.project.manifest import Manifest

ABSENT = "missing"  # in place of the digest of a file that does not exist
CHOSEN = {"auto": "automatically", "flag": "with --views", "person": "by hand"}
WHOLE_SENTENCES = {
    "set of views": "the views to choose from changed, or their scores",
    "source.sha256": "another mesh file",
    "weights": "the network's weights are other ones",
    "name of the project": "the project has another name",
    "exported cameras": "the cameras of photos, views or turntable changed",
    "rig": "the rig lies elsewhere in the project's world",
    "formats": "other formats are to be written",
    "background picture": "the picture behind the object is another one",
}


def why_stale(manifest: Manifest, before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The first difference of a recorded fingerprint and the present one, as a phrase; empty when they are equal."""
    for part in [*before, *(part for part in now if part not in before)]:
        if before.get(part) != now.get(part):
            return _explain(manifest, part, before.get(part), now.get(part))
    return ""


def why_missing(files: Sequence[str]) -> str:
    """The phrase for results that do not exist any more."""
    more = f" (and {len(files) - 1} more)" if len(files) > 1 else ""
    return f"{files[0]} is missing{more}"


def _explain(manifest: Manifest, part: str, before: str | None, now: str | None) -> str:
    return (
        WHOLE_SENTENCES.get(part)
        or _explain_engine_or_choice(part, before or "", now or "")
        or _explain_picture(manifest, part, before, now)
        or _explain_setting(part, before, now)
    )


def _explain_engine_or_choice(part: str, before: str, now: str) -> str:
    """The phrase for these parts; empty for another part."""
    if part == "order of the views":
        same_views = sorted(before.split(",")) == sorted(now.split(","))
        return "the same views in another order" if same_views else "another choice of views"
    if part == "body" and not (before and now):
        return "the mesh is now the body that the views show" if now else "the mesh is no longer the sculpted body"
    if part == "cutting out":
        return _explain_version(part, before, now)
    if part == "refining":
        return _explain_refining(before, now)
    return _explain_engine(before, now) if part == "engine" else ""


def _explain_refining(before: str, now: str) -> str:
    """Meshes that were refined before this part was recorded have none."""
    if not now:
        return "the surface is no longer refined"
    return _explain_version("refining", before, now) if before else "the surface is now refined, or by a newer version"


def _explain_picture(manifest: Manifest, part: str, before: str | None, now: str | None) -> str:
    """The phrase for a photo, a view, a camera or the mesh; empty for another part."""
    kind, _, name = part.rpartition(" ")
    if kind in ("camera of photo", "camera of view"):
        return f"{kind.removeprefix('camera of ')} {name} has another camera: its angles, lens or size changed"
    if kind == "photo":
        return _explain_photo(name, before, now)
    views = {f"view {view.name}": view.file for view in manifest.views}
    cut_out = {f"cut-out of photo {name}": cut_out_file(name)}
    files = {"mesh": MESH, "imported mesh": IMPORTED_MESH, "field": PLANES, "body": BODY, **cut_out, **views}
    anew = {"mesh": "the mesh was built anew", "field": "the radiance field was predicted anew"}
    anew |= {view: f"{view} was made anew" for view in views}
    if part not in files:
        return ""
    file = f"{files[part]} ({part})" if part in views else files[part]
    if now in (None, ABSENT):
        return f"{file} is missing"
    if _written_digest(manifest, files[part]) in (None, now):
        return anew.get(part, f"the {part} was made anew")
    return f"{file} was changed by hand"


def _written_digest(manifest: Manifest, file: str) -> str | None:
    """The sha256 of a file as a stage wrote it."""
    outputs = (output for record in manifest.stages.values() for output in record.outputs)
    return next((output.sha256 for output in outputs if output.file == file), None)


def _explain_engine(before: str, now: str) -> str:
    """Engines come with their versions: `sculpt 3`."""
    (name, _, version), (new_name, _, new_version) = before.rpartition(" "), now.rpartition(" ")
    if name != new_name:
        return f"the engine changed from {name} to {new_name}"
    return _explain_version(name, version, new_version)


def _explain_version(what: str, before: str, now: str) -> str:
    older = before.isdecimal() and now.isdecimal() and int(now) < int(before)
    return f"meshcli's {what} is {'an older' if older else 'a newer'} version"


def _explain_photo(name: str, before: str | None, now: str | None) -> str:
    if now is None:
        return f"photo {name} was taken out"
    if before is None:
        return f"photo {name} is new"
    return f"the original of photo {name} is missing" if now == ABSENT else f"photo {name} was replaced"


def _explain_setting(key: str, before: str | None, now: str | None) -> str:
    """A setting, whose values are JSON."""
    if key == "by":
        return f"the views are chosen {_chosen(now)}, before {_chosen(before)}"
    if key.startswith("weights."):
        return f"the weights of {key.removeprefix('weights.')} are other ones"
    if key.startswith("picture "):
        return f"there is no photo or view {key.removeprefix('picture ')} any more"
    what = "the seed" if key == "seed" else f"the setting {key}"
    if before is None:
        return f"{what} is new: {_shown(now)}"
    if now is None:
        return f"{what} is no longer used"
    return f"{what} went from {_shown(before)} to {_shown(now)}"


def _chosen(value: str | None) -> str:
    return CHOSEN.get(str(_parsed(value)), "otherwise")


def _shown(value: str | None) -> str:
    """A JSON value as `--set` takes it, shortened; a digest by its beginning."""
    parsed = _parsed(value)
    text = parsed if isinstance(parsed, str) else json.dumps(parsed)
    return text[:8] if re.fullmatch("[0-9a-f]{64}", text) else reprlib.repr(text)[1:-1] or "nothing"


def _parsed(value: str | None) -> object:
    with suppress(ValueError, RecursionError):
        return json.loads(value or "null")
    return value
