import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from meshcli.errors import MissingError, UsageError
from meshcli.system.digests import file_digest
from meshcli.weights import locations
from meshcli.weights.catalogue import COMPONENT_FILES, SETTINGS_FILES
from meshcli.weights.locations import cached_digest, find_weights, require_weights, weights_digest

PUBLISHED = "instant_mesh_base.ckpt"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and working directory."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "MESHCLI_CKPTS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home/data"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def folder(path: Path, **names: str) -> Path:
    """A folder in diffusers layout, of empty files."""
    for file in SETTINGS_FILES:
        put(path / file, b"{}")
    for component, files in COMPONENT_FILES.items():
        put(path / component / names.get(component, files[0]))
    return path


def test_the_order_in_which_places_are_searched(home, tmp_path, monkeypatch):
    assert find_weights("instant-mesh-base") is None
    snapshot = home / ".cache/huggingface/hub/models--TencentARC--InstantMesh/snapshots/c0ffee"
    expected = []
    for path, where in [
        (snapshot / PUBLISHED, "Hugging Face cache"),
        (locations.data_directory() / "ckpts" / PUBLISHED, "data directory"),
        (Path("ckpts") / PUBLISHED, "./ckpts"),
        (tmp_path / "env" / PUBLISHED, "$MESHCLI_CKPTS"),
    ]:
        put(path)
        expected.append((path, where))
        monkeypatch.setenv("MESHCLI_CKPTS", str(tmp_path / "env"))
        found = find_weights("instant-mesh-base")
        assert found is not None
        assert (found.path, found.where) == (path, where)
    named = put(tmp_path / "my weights.ckpt")
    for given in (named, tmp_path / "env"):
        found = find_weights("instant-mesh-base", given)
        assert found is not None
        assert found.where == "--weights"
        assert found.path in (named, tmp_path / "env" / PUBLISHED)


def test_named_weights_have_no_fallback(tmp_path):
    put(Path("ckpts") / PUBLISHED)
    with pytest.raises(MissingError, match="--weights nowhere does not exist"):
        find_weights("instant-mesh-base", Path("nowhere"))
    with pytest.raises(MissingError, match=r"has no instant_mesh_base.ckpt"):
        find_weights("instant-mesh-base", tmp_path)


def test_the_hub_cache_by_its_own_rules(home, tmp_path, monkeypatch):
    repository = "models--TencentARC--InstantMesh"
    for variable, base in [
        ("XDG_CACHE_HOME", tmp_path / "x/huggingface/hub"),
        ("HF_HOME", tmp_path / "y/hub"),
        ("HF_HUB_CACHE", tmp_path / "z"),
    ]:
        monkeypatch.setenv(variable, str(base.parent.parent if variable[0] == "X" else
                                         base.parent if variable == "HF_HOME" else base))  # fmt: skip
        put(base / repository / "refs/main", b"new")
        put(base / repository / "snapshots/old" / PUBLISHED)
        newest = put(base / repository / "snapshots/new" / PUBLISHED)
        found = find_weights("instant-mesh-base")
        assert found is not None
        assert found.path == newest, variable


def test_a_conversion_alone_will_do():
    alone = put(Path("ckpts/instant_mesh_base.safetensors"))
    found = find_weights("instant-mesh-base")
    assert found is not None
    assert found.path == alone
    published = put(Path("ckpts") / PUBLISHED)
    found = find_weights("instant-mesh-base")
    assert found is not None
    assert found.path == published


def test_a_folder_counts_only_when_it_is_complete(tmp_path):
    path = folder(Path("ckpts/zero123plus-v1.2"), unet="diffusion_pytorch_model.bin")
    found = find_weights("zero123plus")
    assert found is not None
    assert found.path == path
    assert locations.component_file(path, "unet").name == "diffusion_pytorch_model.bin"
    assert locations.component_file(path, "vae").name == "diffusion_pytorch_model.safetensors"
    for file in (*SETTINGS_FILES, "vision_encoder/model.safetensors"):
        kept = (path / file).rename(tmp_path / "kept")
        assert find_weights("zero123plus") is None, file
        kept.rename(path / file)
    assert find_weights("zero123plus", path) is not None
    assert find_weights("zero123plus", Path("ckpts")) is not None


def test_missing_weights_come_with_the_command_that_gets_them():
    with pytest.raises(MissingError, match=r"`meshcli models pull instant-nerf-large`.*instant_nerf_large.ckpt"):
        require_weights("instant-nerf-large")
    with pytest.raises(UsageError, match="no weights called instant-mush; known: instant-mesh-large"):
        require_weights("instant-mush")


def test_a_digest_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(locations, "file_digest", lambda path: read.append(path) or file_digest(path))
    path = put(tmp_path / "w", b"one")
    first = cached_digest(path)
    assert first == file_digest(path) == cached_digest(path)
    assert len(read) == 1
    put(path, b"two")
    os.utime(path, ns=(1, 1))
    assert cached_digest(path) == file_digest(path) != first
    assert len(read) == 2
    link = tmp_path / "link"
    link.symlink_to(path)
    assert cached_digest(link) == file_digest(path)
    assert len(read) == 2
    for memory in (tmp_path / "home/.cache/meshcli/digests").iterdir():
        memory.write_text("[]")
    assert cached_digest(path) == file_digest(path)
    assert len(read) == 3


def test_a_conversion_stands_for_its_original(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "c.safetensors", metadata={"original_sha256": "abc"})
    assert weights_digest(tmp_path / "c.safetensors") == "abc"
    save_file({"a": torch.zeros(1)}, tmp_path / "p.safetensors")
    assert weights_digest(tmp_path / "p.safetensors") == file_digest(tmp_path / "p.safetensors")


def test_the_digest_of_a_folder_is_that_of_all_its_files(tmp_path):
    path = folder(tmp_path / "z", **{part: files[1] for part, files in COMPONENT_FILES.items()})
    before = weights_digest(path)
    put(path / "scheduler/scheduler_config.json", json.dumps({"beta_start": 1}).encode())
    changed = weights_digest(path)
    put(path / "vae/diffusion_pytorch_model.bin", b"other")
    assert len({before, changed, weights_digest(path)}) == 3


def test_where_rembg_keeps_its_models(tmp_path, monkeypatch):
    monkeypatch.delenv("U2NET_HOME", raising=False)
    monkeypatch.delenv("REMBG_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert find_weights("u2netp") is None
    with pytest.raises(MissingError, match=r"models pull u2netp`.*put u2netp\.onnx into .*rembg/models/u2netp"):
        require_weights("u2netp")
    old = put(tmp_path / ".u2net/u2netp.onnx")
    assert locations.rembg_file("u2netp") == old
    new = put(tmp_path / "rembg/models/u2netp/u2netp.onnx")
    assert require_weights("u2netp").path == new
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "own"))
    assert find_weights("u2netp") is None
    assert put(tmp_path / "own/u2netp.onnx") == locations.rembg_file("u2netp")


def test_rembgs_models_are_found_where_all_weights_are(home, tmp_path, monkeypatch):
    monkeypatch.delenv("U2NET_HOME", raising=False)
    monkeypatch.delenv("REMBG_HOME", raising=False)
    found = None
    for path, where in [
        (locations.rembg_folders("u2netp")[1] / "u2netp.onnx", "rembg's folder"),
        (locations.rembg_folders("u2netp")[0] / "u2netp.onnx", "rembg's folder"),
        (locations.data_directory() / "ckpts/u2netp.onnx", "data directory"),
        (Path("ckpts/u2netp.onnx"), "./ckpts"),
        (tmp_path / "env/u2netp.onnx", "$MESHCLI_CKPTS"),
    ]:
        put(path)
        monkeypatch.setenv("MESHCLI_CKPTS", str(tmp_path / "env"))
        found = find_weights("u2netp")
        assert found is not None
        assert (found.path, found.where) == (path, where)
        assert locations.rembg_file("u2netp") == path
    assert locations.rembg_file("u2netp", tmp_path / "other") == found.path  # it may hold another network's weights
    own = put(tmp_path / "own/u2netp.onnx")
    assert locations.rembg_file("u2netp", own) == locations.rembg_file("u2netp", own.parent) == own
    assert find_weights("u2netp", own.parent).path == own
    assert locations.holds_rembg_model("u2netp", own.parent)
    assert not locations.holds_rembg_model("u2net", own)
