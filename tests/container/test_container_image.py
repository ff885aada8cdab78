"""The image is built with buildah on a base that debootstrap makes, without a registry, and the demo runs in it.

`make test-image` runs this, as root; it takes minutes and 6 GB of disk for a while.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LACKING = [program for program in ("buildah", "debootstrap") if shutil.which(program) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.skipif("BUILD_IMAGE" not in os.environ, reason="only `make test-image` builds the image"),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="needs root: debootstrap makes device files, buildah changes the root"
    ),
    pytest.mark.skipif(bool(LACKING), reason=f"needs {' and '.join(LACKING)}: apt-get install buildah debootstrap"),
]


class Builder:
    """buildah with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.words = [
            "buildah",
            "--storage-driver",
            "vfs",
            "--root",
            str(folder / "store"),
            "--runroot",
            str(folder / "run"),
        ]

    def __call__(self, *words: str | Path) -> str:
        """Run one command; what it printed, without the last line's end."""
        run = subprocess.run([*self.words, *map(str, words)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"buildah {words[0]}: {run.stdout[-4000:]}{run.stderr[-4000:]}"
        return run.stdout.strip()

    def run(self, container: str, *words: str, user: str = "1000:1000", volumes: tuple[str, ...] = ()) -> Any:
        """Run a program in a container; the finished process."""
        mounts = [word for volume in volumes for word in ("--volume", volume)]
        line = [*self.words, "run", "--isolation", "chroot", "--user", user, *mounts, container, "--", *words]
        return subprocess.run(line, capture_output=True, text=True, check=False)


def pip_settings() -> dict[str, str]:
    """How pip reaches its index on this machine; folders of wheels on this disk are left out."""
    line = [sys.executable, "-m", "pip", "config", "list"]
    text = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    settings = (entry.split("=", 1) for entry in text.splitlines() if "=" in entry)
    named = {name.rsplit(".", 1)[1]: str(ast.literal_eval(value)) for name, value in settings}
    reaching = ("index-url", "extra-index-url", "cert", "trusted-host", "proxy")
    return {name: value for name, value in named.items() if name in reaching and "file:" not in value}


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """buildah with `localhost/debian`, this machine's Debian without Python."""
    folder = tmp_path_factory.mktemp("image")
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release.get("VERSION_CODENAME", "stable").strip('"')
    if release.get("ID") != "debian":
        pytest.skip("needs Debian: a base of another system is made otherwise")
    run = subprocess.run(
        [shutil.which("debootstrap") or "", "--variant=minbase", codename, str(folder / "base")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    build = Builder(folder)
    container = build("from", "scratch")
    build("add", container, folder / "base", "/")
    build("commit", "--rm", container, "localhost/debian")
    shutil.rmtree(folder / "base")
    yield build
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def container(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A container of the image, which is built as `make image` builds it."""
    settings = pip_settings()
    secret = tmp_path_factory.mktemp("pip") / "pip.conf"
    secrets = ["--secret", f"id=pip.conf,src={secret}"]
    if certificates := settings.get("cert"):
        secrets += ["--secret", f"id=ca.crt,src={certificates}"]
        settings["cert"] = "/etc/pip-ca.crt"
    secret.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items())]))
    builder(
        *("build", "--isolation", "chroot", "--format", "docker", "--build-arg", "BASE=localhost/debian"),
        *(*secrets, "--file", ROOT / "docker" / "Dockerfile", "--tag", "localhost/meshcli", ROOT),
    )
    return builder("from", "localhost/meshcli")


def test_image_says_how_it_is_run(builder: Builder, container: str) -> None:
    inspected = json.loads(builder("inspect", "--type", "image", "localhost/meshcli"))["Docker"]
    config = inspected["config"]
    print(f"image: {builder('images', '--format', '{{.Size}}', 'localhost/meshcli')}")
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["meshcli"]
    assert config["Healthcheck"]["Test"] == ["CMD", "meshcli", "--version"]
    assert config["Volumes"] == {"/weights": {}}


def test_image_has_neither_compiler_nor_secret_nor_a_way_to_change_it(builder: Builder, container: str) -> None:
    looked_for = "for each in cc gcc g++ clang make pip; do command -v $each && exit 1; done; true"
    assert builder.run(container, "sh", "-c", looked_for).returncode == 0
    assert (
        builder.run(
            container, "sh", "-c", "test ! -e /etc/pip.conf && test ! -e /etc/pip-ca.crt && test ! -e /src"
        ).returncode
        == 0
    )
    refused = builder.run(container, "touch", "/opt/meshcli/bin/meshcli")
    assert "Permission denied" in refused.stderr


@pytest.mark.parametrize("user", ["1000:1000", "4321:4321"])
def test_any_user_has_a_home_and_a_folder_for_weights(user: str, builder: Builder, container: str) -> None:
    assert builder.run(container, "meshcli", "--version", user=user).stdout.startswith("meshcli ")
    assert builder.run(container, "sh", "-c", 'touch "$HOME/x$$" "$MESHCLI_CKPTS/x$$"', user=user).returncode == 0


def test_the_demo_runs_in_it(builder: Builder, container: str, tmp_path: Path) -> None:
    os.chown(tmp_path, 1000, 1000)
    run = builder.run(
        container,
        *("meshcli", "run", "demo", "/photos/1.png", "/photos/2.png", "/photos/3.png", "--config", "quick"),
        volumes=(f"{ROOT / 'examples' / 'desk'}:/photos:ro", f"{tmp_path}:/work"),
    )
    assert run.returncode == 0, run.stderr[-4000:]
    assert (tmp_path / "demo" / "mesh" / "mesh.glb").read_bytes()[:4] == b"glTF"
    assert (tmp_path / "demo" / "renders" / "turntable.mp4").stat().st_uid == 1000
