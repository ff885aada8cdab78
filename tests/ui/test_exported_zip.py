"""The files of an export as one download."""

import zipfile

import pytest

from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest, StageRecord
from meshcli.project.project import Project
from meshcli.ui.files import _export_zip


def test_all_files_in_their_folders_and_no_others(project: Project) -> None:
    contents = {"export/desk.glb": b"glb", "export/blender/cameras.json": b"{}"}
    for file, data in {**contents, "export/mine.txt": b"not listed"}.items():
        path = project.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    outputs = tuple(map(project.output, contents))
    with project.write_lock(new=True):
        project.save(Manifest().with_record("export", StageRecord("done", "export", outputs=outputs)))
    path = _export_zip(project)
    try:
        with zipfile.ZipFile(path) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == {
                "desk.glb": b"glb", "blender/cameras.json": b"{}"
            }  # fmt: skip
    finally:
        path.unlink()
    (project.root / "export" / "desk.glb").unlink()
    with pytest.raises(UsageError, match="not there any more"):
        _export_zip(project)


def test_before_an_export_there_is_none(project: Project) -> None:
    with project.write_lock(new=True):
        project.save(Manifest())
    with pytest.raises(UsageError, match="nothing was exported yet"):
        _export_zip(project)
