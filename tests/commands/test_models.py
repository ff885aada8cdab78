"""`meshcli models` as a user meets it, against a hub on this machine."""

import functools
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import meshcli
from helpers.cli_processes import error_lines, until
from helpers.fake_hub import Hub, serve, stranger
from meshcli.commands import cli
from meshcli.errors import MissingError, ResourceError
from meshcli.weights import download
from meshcli.weights.catalogue import (
    COMPONENT_FILES,
    INSTANTMESH_REPOSITORY,
    MODELS,
    SETTINGS_FILES,
    ZERO123PLUS_REPOSITORY,
    find_model,
)
from meshcli.weights.locations import rembg_file

BASE = "instant_mesh_base.ckpt"
ROOT = Path(meshcli.__file__).parents[1]
NO_NETWORK = """
import pathlib, socket
def refuse(*words, **flags):
    pathlib.Path("the network was touched").touch()
    raise OSError("no network in this test")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def checkpoint(megabytes: int = 0) -> bytes:
    torch.manual_seed(megabytes)
    data = io.BytesIO()
    torch.save({"state_dict": {"lrm_generator.a.weight": torch.randn(1 + megabytes * 1024, 256)}}, data)
    return data.getvalue()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as hub:
        yield hub


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "no network").mkdir()
    (tmp_path / "no network/sitecustomize.py").write_text(NO_NETWORK)
    return tmp_path


def environment(home: Path, hub: Hub | None) -> dict[str, str]:
    """A user without anything; without a hub: without a network, too."""
    return stranger(home, hub, *([] if hub else [home / "no network"]), ROOT)


def call(home: Path, hub: Hub | None, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """`meshcli models ...` as a process of its own: the hub's library reads its settings when it is imported."""
    command = [sys.executable, "-m", "meshcli", "models", *words]
    where = environment(home, hub) | more
    run = subprocess.run(command, env=where, cwd=home / "here", capture_output=True, text=True, check=False)
    assert "Traceback" not in run.stderr, run.stderr
    if hub is None:
        assert not (home / "here/the network was touched").exists()
    return run


@pytest.mark.slow
def test_pull_then_everything_offline(home, hub):
    data = checkpoint(3)
    hub.repositories[INSTANTMESH_REPOSITORY] = {BASE: data, "README.md": b"no"}
    fetched = call(home, hub, "pull", "instant-mesh-base")
    assert fetched.returncode == 0, fetched.stderr
    path = Path(fetched.stdout.strip())
    assert path == home / ".local/share/meshcli/ckpts" / BASE
    assert path.read_bytes() == data
    assert "Apache-2.0" in fetched.stderr
    before = len(hub.asked)
    again = call(home, None, "pull", "instant-mesh-base", "--json")
    assert json.loads(again.stdout)["models"] == [{"name": "instant-mesh-base", "path": str(path)}]
    assert call(home, None, "path", "instant-mesh-base").stdout.strip() == str(path)
    assert "as published (sha256)" in call(home, None, "verify").stdout
    converted = Path(call(home, None, "convert", "instant-mesh-base").stdout.strip())
    assert converted == path.with_suffix(".safetensors")
    rows = json.loads(call(home, None, "list", "--json").stdout)["models"]
    assert [row["name"] for row in rows if row["path"]] == ["instant-mesh-base"]
    assert [row["name"] for row in rows] == list(MODELS)
    assert len(hub.asked) == before


def test_later_damage_is_found(home, hub):
    hub.repositories[INSTANTMESH_REPOSITORY] = {BASE: checkpoint(1)}
    path = Path(call(home, hub, "pull", "instant-mesh-base", "--to", "w").stdout.strip())
    assert path == home / "here/w" / BASE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    checked = call(home, None, "verify", "instant-mesh-base", "--weights", "w", "--json")
    document = json.loads(checked.stdout)
    assert checked.returncode == document["exit_code"] == 4
    assert "its sha256 is not the published one" in document["files"][0]["result"]
    assert checked.stderr == f"error: {document['error']}\n" == "error: damaged: instant-mesh-base\n"


@pytest.mark.slow
def test_an_interrupted_download_is_resumed(home, hub):
    data = checkpoint(24)
    hub.repositories[INSTANTMESH_REPOSITORY] = {BASE: data}
    hub.cuts = [21 << 20]
    fetched = call(home, hub, "pull", "instant-mesh-base")
    assert fetched.returncode == 0, fetched.stderr
    assert Path(fetched.stdout.strip()).read_bytes() == data
    first, second = hub.starts(BASE)
    assert first == 0
    assert 0 < second <= 21 << 20  # from what was on the disk


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_fetches(home, hub):
    data = checkpoint(24)
    hub.repositories[INSTANTMESH_REPOSITORY] = {BASE: data}
    hub.cuts = [21 << 20]  # the library writes ten megabytes at a time
    hub.stall.clear()
    command = [sys.executable, "-m", "meshcli", "models", "pull", "instant-mesh-base", "--to", "w"]
    with subprocess.Popen(command, env=environment(home, hub), cwd=home / "here") as process:
        parts = functools.partial((home / "here/w").glob, ".part-*instant*ckpt")
        until(
            lambda: (
                process.poll() is not None
                or (hub.reached.is_set() and any(part.stat().st_size >= 10 << 20 for part in parts()))
            )
        )
        assert process.poll() is None
        process.kill()
    hub.stall.set()
    assert not (home / "here/w" / BASE).exists()
    assert call(home, None, "path", "instant-mesh-base", "--weights", "w").returncode == 4
    assert call(home, hub, "pull", "instant-mesh-base", "--to", "w").returncode == 0
    assert (home / "here/w" / BASE).read_bytes() == data
    first, second = hub.starts(BASE)
    assert first == 0
    assert 10 << 20 <= second <= 21 << 20  # from what was on the disk
    assert sorted(path.name for path in (home / "here/w").iterdir()) == [".published.json", BASE]


def test_a_file_that_arrives_damaged_is_not_kept(home, hub):
    hub.repositories[INSTANTMESH_REPOSITORY] = {BASE: checkpoint()}
    hub.damaged = True
    fetched = call(home, hub, "pull", "instant-mesh-base", "--to", "w")
    assert fetched.returncode == 4
    assert "arrived damaged" in fetched.stderr
    assert not (home / "here/w" / BASE).exists()


def diffusers_folder() -> dict[str, bytes]:
    files = dict.fromkeys(SETTINGS_FILES, b"{}") | {"tokenizer/vocab.json": b"{}", ".gitattributes": b"x"}
    for number, (part, names) in enumerate(COMPONENT_FILES.items()):
        files[f"{part}/{names[0]}"] = f"weights {number}".encode()
        files[f"{part}/{names[1]}"] = b"the same in a worse form"
    return files


@pytest.mark.slow
def test_a_whole_repository_in_one_format(home, hub):
    files = hub.repositories[ZERO123PLUS_REPOSITORY] = diffusers_folder()
    fetched = call(home, hub, "pull", "zero123plus", "--to", "w")
    assert fetched.returncode == 0, fetched.stderr
    assert "not commercial" in fetched.stderr
    folder = home / "here/w/zero123plus-v1.2"
    assert Path(fetched.stdout.strip()) == folder
    arrived = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    arrived = {name for name in arrived if not name.startswith(".cache") and ".published" not in name}
    assert arrived == {name for name in files if not name.endswith(".bin") and name != ".gitattributes"}
    (folder / "vae/config.json").unlink()
    assert call(home, None, "path", "zero123plus", "--weights", "w").returncode == 4
    before = len(hub.asked)
    assert call(home, hub, "pull", "zero123plus", "--to", "w").returncode == 0
    assert {path for method, path, _ in hub.asked[before:] if "/resolve/" in path and method == "GET"} == {
        f"/{ZERO123PLUS_REPOSITORY}/resolve/main/vae/config.json"
    }


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (401, ["pull", "instant-mesh-base"], "refuses the download"),
        (503, ["pull", "zero123plus"], "refuses the download"),
    ],
)
def test_a_hub_that_refuses(home, hub, status, words, reason):
    hub.status = status
    refused = call(home, hub, *words)
    assert refused.returncode == 4
    assert len(error_lines(refused.stderr)) == 1
    assert reason in refused.stderr


def test_files_that_are_not_published_any_more(home, hub):
    hub.repositories[INSTANTMESH_REPOSITORY] = {"README.md": b""}
    refused = call(home, hub, "pull", "instant-mesh-base")
    assert refused.returncode == 4
    assert f"no longer publishes {BASE}" in refused.stderr


@pytest.mark.slow
def test_the_hub_is_unreachable(home, hub):
    for words, more in [
        (["pull", "instant-mesh-base"], {"HF_ENDPOINT": "http://127.0.0.1:9"}),
        (["pull", "instant-mesh-base"], {"HF_HUB_OFFLINE": "1"}),
        (["pull", "instant-mesh-base", "--offline"], {}),
    ]:
        refused = call(home, hub, *words, **more)
        assert refused.returncode == 4
        last = refused.stderr.splitlines()[-1]
        assert last.startswith("error: ")
        assert "instant-mesh-base" in last or INSTANTMESH_REPOSITORY in last
    assert hub.asked == []


def test_offline_touches_no_network(home):
    for words in (["list"], ["path", "u2netp"], ["pull", "zero123plus", "u2netp", "--offline"], ["verify"]):
        assert call(home, None, *words).returncode == (0 if words[0] in ("list", "verify") else 4)


@pytest.mark.slow
def test_the_hubs_own_cache_is_used_and_left_alone(home, hub):
    hub.repositories[INSTANTMESH_REPOSITORY] = {BASE: checkpoint()}
    code = f"from huggingface_hub import hf_hub_download; print(hf_hub_download({INSTANTMESH_REPOSITORY!r}, {BASE!r}))"
    where = environment(home, hub)
    run = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, text=True, check=True)
    cached = Path(run.stdout.strip())
    before = sorted(home.glob(".cache/huggingface/**/*"))
    assert call(home, None, "pull", "instant-mesh-base").stdout.strip() == str(cached)
    assert "as published" in call(home, None, "verify").stdout
    converted = Path(call(home, None, "convert", "instant-mesh-base").stdout.strip())
    assert converted.parent == home / ".local/share/meshcli/converted"
    assert sorted(home.glob(".cache/huggingface/**/*")) == before


def test_room_is_looked_for_first(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "list_repository", lambda repository: [download.RemoteFile(BASE, 10**18, "x")])
    with pytest.raises(ResourceError, match=r"room for .* and 1000000000\.0 GB are to be fetched"):
        download.pull(find_model("instant-mesh-base"), tmp_path / "a/b")


def test_weights_of_another_network_are_found_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, data in {"instant_nerf_base.ckpt": checkpoint(), "u2netp.onnx": b"x"}.items():
        Path(name).write_bytes(data)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    assert cli.main(["models", "verify", "instant-nerf-base", "u2netp", "--weights", "."]) == 4
    out = capsys.readouterr().out.splitlines()
    assert "encoder.model.embeddings.cls_token is missing (expected shape 1 x 1 x 768)" in out[0]
    assert "its md5 is not the published one" in out[1]


def test_mistakes(home):
    for words, code, reason in [
        (["pull", "instant-mush"], 2, "no weights called instant-mush"),
        (["pull"], 2, "Missing argument"),
        (["convert", "nowhere.ckpt"], 4, "neither a file nor one of"),
        (["path", "instant-mesh-base", "--weights", "nowhere"], 4, "--weights nowhere does not exist"),
    ]:
        refused = call(home, None, *words)
        assert refused.returncode == code
        assert reason in refused.stderr


def test_a_file_of_ones_own_is_converted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.pt").write_bytes(checkpoint())
    assert cli.main(["models", "convert", "mine.pt", "-q"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "mine.safetensors"


class Releases(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *words: object) -> None:
        pass


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """rembg's place, here."""
    folder = tmp_path / "releases"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Releases, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(download, "REMBG_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    yield folder
    server.shutdown()
    server.server_close()


def small(data: bytes):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(find_model("u2netp"), md5=hashlib.md5(data, usedforsecurity=False).hexdigest())


def test_rembgs_models(releases, tmp_path):
    data = os.urandom(300_000)
    (releases / "u2netp.onnx").write_bytes(data)
    heard: list[int] = []
    path = download.pull(small(data), progress=lambda done, total, what: heard.append(done))
    assert path == rembg_file("u2netp")
    assert path.read_bytes() == data
    assert heard[-1] == 300_000 >> 10
    assert [file.name for file in path.parent.iterdir()] == ["u2netp.onnx"]


def test_rembgs_model_that_lies_there_already(tmp_path, monkeypatch, capsys):
    """Brought on a stick: `pull --to` takes it without a network, and every other command finds it in ./ckpts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    monkeypatch.setattr(download, "REMBG_URL", "http://127.0.0.1:9")
    data = os.urandom(3000)
    monkeypatch.setitem(MODELS, "u2netp", small(data))
    file = tmp_path / "ckpts/u2netp.onnx"
    file.parent.mkdir()
    file.write_bytes(data)
    for words in (["pull", "u2netp", "--to", "ckpts"], ["pull", "u2netp", "--offline"], ["path", "u2netp"]):
        assert cli.main(["models", *words]) == 0
        assert capsys.readouterr().out == f"{file}\n"
    assert cli.main(["models", "pull", "u2netp", "--to", "ckpts"]) == 0
    assert capsys.readouterr().err == "u2netp is already in ckpts\n"
    assert cli.main(["models", "verify", "u2netp"]) == 0
    assert "as published (md5)" in capsys.readouterr().out
    assert cli.main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert (rows["u2netp"]["where"], rows["u2netp"]["path"]) == ("./ckpts", str(file))
    file.write_bytes(b"an own network of this name")
    assert cli.main(["models", "pull", "u2netp", "--to", "ckpts"]) == 4
    assert "ckpts/u2netp.onnx is not u2netp as published" in capsys.readouterr().err
    assert file.read_bytes() == b"an own network of this name"


def test_rembgs_models_go_to_a_folder_that_is_named(releases, tmp_path):
    data = os.urandom(3000)
    (releases / "u2netp.onnx").write_bytes(data)
    assert download.pull(small(data), tmp_path / "stick") == tmp_path / "stick/u2netp.onnx"
    assert (tmp_path / "stick/u2netp.onnx").read_bytes() == data


def test_rembgs_models_damaged_or_gone(releases):
    with pytest.raises(MissingError, match=r"refuses the download .*404"):
        download.pull(small(b"x"))
    (releases / "u2netp.onnx").write_bytes(b"something else")
    with pytest.raises(MissingError, match="md5 differs"):
        download.pull(small(b"x"))
    assert rembg_file("u2netp") is None


def test_rembgs_place_cannot_be_reached(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "REMBG_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    assert cli.main(["models", "pull", "u2netp"]) == 4
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: http://127.0.0.1:9/u2netp.onnx cannot be reached (ConnectionError); try again, or ")
    assert error.endswith(f"put u2netp.onnx into {tmp_path}/rembg/models/u2netp")


def test_rembgs_models_cut_off(releases, monkeypatch):
    """The line breaks in the middle: nothing is left that could be taken for the model, and the next try succeeds."""
    data = os.urandom(300_000)
    (releases / "u2netp.onnx").write_bytes(data)
    with monkeypatch.context() as patch:
        patch.setattr(Releases, "copyfile", lambda self, source, output: output.write(source.read(100_000)))
        with pytest.raises(MissingError, match=r"u2netp\.onnx (cannot be reached|is not the file it should be)"):
            download.pull(small(data))
    assert rembg_file("u2netp") is None
    path = download.pull(small(data))
    assert path.read_bytes() == data
    assert [file.name for file in path.parent.iterdir()] == ["u2netp.onnx"]


def test_facts_about_rembgs_models_agree_with_rembg():
    spec = find_spec("rembg")  # read, not imported: that compiles for half a minute in a fresh environment
    assert spec
    assert spec.origin
    text = "".join(path.read_text() for path in (Path(spec.origin).parent / "sessions").glob("*.py"))
    ours = [each for each in MODELS.values() if each.md5]
    assert ours
    for each in ours:
        assert f"{download.REMBG_URL}/{each.file}" in text
        assert f"md5:{each.md5}" in text
