import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from meshcli.errors import MissingError
from meshcli.system.atomic_files import replacing
from meshcli.system.digests import file_digest
from meshcli.weights import conversion
from meshcli.weights.conversion import ensure_safetensors
from meshcli.weights.locations import data_directory, hub_cache, weights_digest
from meshcli.weights.safetensors_file import read_header, state_dict


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home/data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home/cache"))


@pytest.fixture
def made(monkeypatch):
    """Every conversion that is made."""
    calls = []
    real = conversion.convert_checkpoint
    monkeypatch.setattr(conversion, "convert_checkpoint", lambda *words: calls.append(words[1]) or real(*words))
    return calls


def write(path: Path, value: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"a": torch.full((3,), value)}, path)
    return path


def test_once_beside_it(tmp_path, made):
    source = write(tmp_path / "ckpts/w.ckpt")
    told: list[str] = []
    found = ensure_safetensors(source, tell=told.append)
    assert found == tmp_path / "ckpts/w.safetensors"
    assert len(told) == 1
    assert read_header(found).metadata["original_sha256"] == file_digest(source)
    assert ensure_safetensors(source, tell=told.append) == ensure_safetensors(found) == found
    assert len(made) == len(told) == 1
    assert weights_digest(source) == weights_digest(found)


def test_an_original_that_changes_is_converted_again(tmp_path, made):
    source = write(tmp_path / "w.ckpt")
    ensure_safetensors(source)
    write(source, 2.0)
    os.utime(source, (1, 1))
    assert float(state_dict(ensure_safetensors(source))["a"][0]) == 2.0
    os.utime(source, (5, 5))  # touched, not changed
    ensure_safetensors(source)
    assert len(made) == 2


def test_a_conversion_that_was_damaged_is_made_again_elsewhere(tmp_path, made):
    source = write(tmp_path / "w.ckpt")
    found = ensure_safetensors(source)
    found.write_bytes(found.read_bytes()[:-4])
    again = ensure_safetensors(source)
    assert state_dict(again)["a"].sum() == 3
    assert len(made) == 2


def test_unknown_files_are_not_replaced(tmp_path):
    source = write(tmp_path / "w.ckpt")
    other = tmp_path / "w.safetensors"
    torch.save({}, other)
    before = other.read_bytes()
    assert ensure_safetensors(source).parent == data_directory() / "converted"
    assert other.read_bytes() == before


def test_never_into_the_hubs_cache(made):
    snapshot = hub_cache() / "models--TencentARC--InstantMesh/snapshots/abc"
    blob = write(hub_cache() / "models--TencentARC--InstantMesh/blobs/1234")
    snapshot.mkdir(parents=True)
    (snapshot / "w.ckpt").symlink_to(blob)
    before = sorted(hub_cache().rglob("*"))
    found = ensure_safetensors(snapshot / "w.ckpt")
    assert found.parent == data_directory() / "converted"
    assert ensure_safetensors(snapshot / "w.ckpt") == found
    assert sorted(hub_cache().rglob("*")) == before
    assert len(made) == 1


def test_two_originals_of_one_name_in_the_cache():
    paths = [write(hub_cache() / f"models--a--b/snapshots/{n}/w.ckpt", n) for n in (1, 2)]
    assert [float(state_dict(ensure_safetensors(path))["a"][0]) for path in paths] == [1.0, 2.0]


def test_a_folder_that_is_read_only(tmp_path, monkeypatch, made):
    source = write(tmp_path / "disk/w.ckpt")

    def refuse(path: Path):
        if path.is_relative_to(tmp_path / "disk"):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return replacing(path)

    monkeypatch.setattr("meshcli.weights.torch_checkpoint.replacing", refuse)
    found = ensure_safetensors(source)
    assert found.parent == data_directory() / "converted"
    made.clear()
    assert ensure_safetensors(source) == found
    assert not made
    shutil.copy(found, source.with_suffix(".safetensors"))  # whoever owns the disk has converted it
    assert ensure_safetensors(source) == source.with_suffix(".safetensors")


def test_a_full_disk_is_no_reason_to_write_elsewhere(tmp_path, monkeypatch):
    source = write(tmp_path / "w.ckpt")

    def full(path: Path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("meshcli.weights.torch_checkpoint.replacing", full)
    with pytest.raises(OSError, match="No space left"):
        ensure_safetensors(source)


def test_a_failed_conversion_leaves_no_file(tmp_path):
    source = tmp_path / "w.ckpt"
    source.write_text("404: Not Found")
    with pytest.raises(MissingError, match=r"w\.ckpt cannot be used"):
        ensure_safetensors(source)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["w.ckpt"]
