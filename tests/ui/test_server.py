"""How the server starts: what is refused before it listens, where it listens, and which files it serves."""

import http.client
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from helpers.cli_processes import FAKE_MESHCLI, error_lines, meshcli
from helpers.ui_server import serving
from meshcli.errors import UsageError
from meshcli.project.project import Project
from meshcli.ui.gate import COOKIE
from meshcli.ui.server import FIRST_PORT, Listening, bind, check

WITHOUT_NICEGUI = "import sys; sys.modules['nicegui'] = None; from meshcli.commands.cli import main; sys.exit(main())"
nicegui = pytest.importorskip("nicegui", reason="needs the extra ui")


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    line = [sys.executable, "-c", WITHOUT_NICEGUI, "ui", str(tmp_path / "desk"), "--no-open"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert error_lines(done.stderr) == ["error: the page needs the package nicegui: `pip install 'meshcli[ui]'`"]
    assert not (tmp_path / "desk").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.4", "workshop"])
def test_others_are_never_let_in_without_a_password(host: str) -> None:
    with pytest.raises(UsageError, match="add --password"):
        check(Listening(host))
    with pytest.raises(UsageError, match="at least 8 characters"):
        check(Listening(host, password="short"))
    check(Listening(host, password="long enough"))


def test_a_port_that_is_taken_is_named_and_the_next_one_is_tried() -> None:
    taken = bind(Listening())
    port = taken.getsockname()[1]
    try:
        with pytest.raises(UsageError, match=f"port {port}: .*; name another with --port"):
            bind(Listening(port=port))
        other = bind(Listening())
        assert FIRST_PORT <= port < other.getsockname()[1]
        assert other.getsockname()[0] == "127.0.0.1"
        other.close()
    finally:
        taken.close()


def test_an_address_that_is_not_this_machines_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--host no\.such\.host\.invalid: "):
        bind(Listening("no.such.host.invalid"))
    with pytest.raises(UsageError, match=r"192\.0\.2\.1, port 8765"):
        bind(Listening("192.0.2.1", 8765))


@pytest.mark.slow
def test_mistakes_end_before_anything_listens(project: Project, photos: list[Path]) -> None:
    open_host = meshcli("ui", str(project.root), "--host", "0.0.0.0", "--no-open")
    assert open_host.returncode == 2
    assert "add --password" in open_host.stderr
    assert meshcli("ui", str(photos[0]), "--no-open").returncode == 2
    project.root.mkdir()
    (project.root / "manifest.json").write_text("{")
    assert meshcli("ui", str(project.root), "--no-open").returncode == 5
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # not listening, but taken
        taken = str(probe.getsockname()[1])
        assert meshcli("ui", str(project.root.parent / "new"), "--port", taken, "--no-open").returncode == 2


def test_only_files_of_the_manifest_are_served(project: Project, photos: list[Path]) -> None:
    assert meshcli("generate", str(project.root), *map(str, photos), "--azimuth=0,40,-50").returncode == 0
    (project.root / "photos" / "secret.png").write_bytes(photos[0].read_bytes())
    (project.root.parent / "outside.png").write_bytes(photos[0].read_bytes())
    (project.root / "views" / "00.png").unlink()
    (project.root / "views" / "00.png").symlink_to(project.root.parent / "outside.png")
    with serving(project.root, FAKE_MESHCLI) as address:
        parts = urlsplit(address)
        headers = {"cookie": f"{COOKIE}={parts.query.partition('=')[2]}"}

        def get(path: str) -> tuple[int, bytes, str]:
            connection = http.client.HTTPConnection(parts.netloc)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, body, answer.headers.get("content-type", "")

        assert get("/project/picture/photos/a.png?side=64")[::2] == (200, "image/webp")
        assert get("/project/file/photos/a.png")[1] == (project.root / "photos" / "a.png").read_bytes()
        for path in (
            "/project/file/photos/secret.png",
            "/project/picture/photos/secret.png",
            "/project/file/manifest.json",
            "/project/file/log.txt",
            "/project/file/../outside.png",
            "/project/file/..%2Foutside.png",
            "/project/file/photos%2F..%2F..%2Foutside.png",
            "/project/file//etc/passwd",
            "/project/file/%2Fetc%2Fpasswd",
            "/project/picture/views/00.png",  # a link that leads out
            "/project/frame/../a",
            "/project/cutout/zz",
            "/openapi.json",
            "/docs",
        ):
            status, body, _ = get(path)
            assert status == 404, path
            assert b"root:" not in body
            assert photos[0].read_bytes()[:8] not in body
        assert get("/project/mesh")[0] == 404
