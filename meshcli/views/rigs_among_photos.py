"""Rig files among the PHOTO arguments, in a directory that is one, and beside photos. Light: no numpy.

A rig that is handed in is used. One that lies in the directory that was handed in is used if it is the only one there
and has a camera for every photo; any other that may be meant is named, with the flag to type.
"""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from meshcli.errors import MeshcliError, UsageError
from meshcli.pictures.photo_arguments import SUFFIXES, existing_path
from meshcli.views.colmap_files import COLMAP_TABLES, find_colmap
from meshcli.views.photo_cameras import RIG_FILE, parse_photo_argument, pictures_of_rig
from meshcli.views.rig_files import JSON_FILES, is_meshcli_rig, read_rig
from meshcli.views.rig_photos import match_photos


def take_rigs(arguments: Sequence[str], typed: Path | None) -> tuple[list[str], Path | None]:
    """The PHOTO arguments without the rigs among them, and the rig to use: the typed one before one that is found.

    Raises UsageError for several.
    """
    rigs = {argument: rig for argument in arguments if (rig := _as_rig(argument)) is not None}
    found = list(dict.fromkeys(rigs.values()))
    if len(found) > 1 and typed is None:
        named = ", ".join(map(str, found))
        raise UsageError(f"{named} are several rigs; hand in one, `--rig {shlex.quote(str(found[0]))}`")
    return [each for each in arguments if each not in rigs], typed or next(iter(found), None)


def rig_in_directory(arguments: Sequence[str]) -> tuple[list[str], Path] | None:
    """The pictures and the rig of the directory that is the only argument, where they belong together."""
    folder = existing_path(arguments[0]) if len(arguments) == 1 else None
    if folder is None or not folder.is_dir():
        return None
    rigs = _rigs_in(folder)
    if len(rigs) != 1:
        return None
    if own := [str(each) for each in sorted(folder.iterdir()) if _is_picture(each)]:
        return (list(arguments), rigs[0]) if names_all(rigs[0], own) else None
    for place in (folder, folder / "images"):  # COLMAP's names are those in its folder of images
        with suppress(MeshcliError):
            return [str(each) for each in pictures_of_rig(place, rigs[0])], rigs[0]
    return None


def rigs_beside(photos: Sequence[Path]) -> list[Path]:
    """Foreign rigs in the photos' common folder and the one above it; above, only what has a camera for all photos."""
    folders = {photo.absolute().parent for photo in photos}
    if len(folders) != 1:
        return []
    folder = photos[0].parent
    above = folder.parent if folder.name else folder.absolute().parent
    names = [str(photo.absolute()) for photo in photos]
    return _rigs_in(folder) or [rig for rig in _rigs_in(above) if names_all(rig, names)]


def rig_file_names(rig: Path | None) -> tuple[str, ...]:
    """The names of the files that a rig consists of; of our cameras.json, which needs no flag, where there is none."""
    if rig is None:
        return (RIG_FILE,)
    return (*COLMAP_TABLES, *JSON_FILES) if rig.is_dir() or rig.name in COLMAP_TABLES else (rig.name,)


def own_rigs_beside(photos: Sequence[str]) -> list[Path]:
    """The files `cameras.json` of ours in the folders of photos, where each of these has one."""
    with suppress(MeshcliError):
        folders = dict.fromkeys(parse_photo_argument(photo).photo.path.parent for photo in photos)
        files = [folder / RIG_FILE for folder in folders]
        return files if all(file.is_file() and is_meshcli_rig(file) for file in files) else []
    return []


def names_all(rig: Path, photos: Sequence[str]) -> bool:
    """Whether a file is a rig with a camera for every photo."""
    with suppress(MeshcliError):
        return all(match_photos(read_rig(rig), photos))
    return False


def _as_rig(argument: str) -> Path | None:
    """The rig that an argument is: a JSON file, a file of COLMAP's, or a folder of these; None for anything else."""
    path = existing_path(argument)
    if path is None:
        return None
    if path.is_file():
        if path.name in COLMAP_TABLES:
            return path.parent
        return path if path.suffix.lower() == ".json" else None
    with suppress(OSError):
        if path.is_dir() and not any(_is_picture(each) for each in path.iterdir()):
            return next((each for each in (path, path / "0") if find_colmap(each)), None)
    return None


def _rigs_in(folder: Path) -> list[Path]:
    """The rigs of other programs in a folder; a cameras.json of ours is read without being looked for here."""
    files = [folder / JSON_FILES[0]] if (folder / JSON_FILES[0]).is_file() else []
    models = (folder, folder / "sparse" / "0", folder / "sparse")
    return [*files, *[each for each in models if find_colmap(each)][:1]]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
