"""Temporary files that a killed process left behind, and files of the user with names like theirs."""

from pathlib import Path

from meshcli.system.atomic_files import remove_temporary_files, replacing


def test_only_our_own_names_are_removed(tmp_path: Path) -> None:
    with replacing(tmp_path / "film.mp4") as temporary:
        temporary.write_text("a film")
        left_behind = tmp_path / temporary.name
    left_behind.write_text("half a film")
    of_the_user = [tmp_path / name for name in (".tmp-notes", ".tmp-0123456789ab", ".tmp-0123456789AB-x", "tmp-1")]
    for path in of_the_user:
        path.write_text("mine")
    remove_temporary_files(tmp_path)
    assert not left_behind.exists()
    assert all(path.read_text() == "mine" for path in of_the_user)
