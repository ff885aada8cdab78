"""Files in storage, and who may work on an object there."""

import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from meshcli.batch import claims
from meshcli.batch.claims import Claim, drop_claim, is_taken, take, taken_names
from meshcli.batch.storage import Storage, is_url, parent_url
from meshcli.errors import MissingError, ProjectError, ResourceError, UsageError

pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(f"{request.param}://{tmp_path}/out")


def test_files_go_there_and_come_back(storage: Storage, tmp_path: Path) -> None:
    assert (storage.names(), storage.files(), storage.read("a.txt")) == ({}, {}, None)
    storage.write("a.txt", b"one")
    here = tmp_path / "here" / "ü [1].png"
    here.parent.mkdir()
    here.write_bytes(b"two")
    storage.put({"desk/views/ü [1].png": here, "desk/empty": tmp_path / "here" / ".." / "here" / "ü [1].png"})
    assert set(storage.names()) == {"a.txt", "desk"}
    assert storage.names()["desk"] is None
    assert {name: found.size for name, found in storage.files("desk").items()} == {"views/ü [1].png": 3, "empty": 3}
    assert storage.read_all(["a.txt", "desk/empty", "gone"]) == {"a.txt": b"one", "desk/empty": b"two"}
    storage.get({"desk/views/ü [1].png": tmp_path / "back" / "1.png"})
    assert (tmp_path / "back" / "1.png").read_bytes() == b"two"
    storage.remove(["a.txt", "gone"])
    assert "a.txt" not in storage.names()
    with pytest.raises(ProjectError, match="is not there"):
        storage.get({"gone": tmp_path / "gone"})


def test_a_file_is_created_once(storage: Storage) -> None:
    won: list[int] = []
    threads = [threading.Thread(target=lambda n=n: storage.create("x", b"%d" % n) and won.append(n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert storage.read("x") == b"%d" % won[0]
    assert list(storage.files()) == ["x"]


def test_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    storage = Storage(f"memory://{tmp_path}/out")
    storage.write("desk/../../owl", b"")
    with pytest.raises(ProjectError, match=r"holds '\.\./\.\./owl', which is no name of a file"):
        storage.files("desk")


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("nope://bucket/out", UsageError, "there is no kind of storage nope://"),
        ("hdfs://host/out", MissingError, "`pip install pyarrow`"),
        ("gs://bucket/out", MissingError, "`pip install gcsfs`"),
        ("sftp://host/out", MissingError, "`pip install paramiko`"),
    ],
)
def test_what_is_missing_is_said_with_the_line_to_type(
    url: str, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyarrow", "gcsfs", "paramiko"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(error, match=said):
        Storage(url)


def test_storage_without_fsspec_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingError, match=r"pip install 'meshcli\[storage\]'"):
        Storage("s3://bucket/out")


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (PermissionError("Access Denied"), ProjectError),
        (type("NoCredentialsError", (Exception,), {})("Unable to locate credentials"), ProjectError),
        (ConnectionError("Could not connect to the endpoint URL"), ResourceError),
        (OSError(28, "No space left on device"), OSError),
    ],
)
def test_errors_of_libraries_are_one_line(
    raised: Exception, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(f"memory://{tmp_path}/out")

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(storage, "_files", SimpleNamespace(ls=fail, pipe_file=fail))
    with pytest.raises(error) as caught:
        storage.write("a", b"")
    assert "\n" not in str(caught.value)
    with pytest.raises(ProjectError, match=str(raised).replace("[", ".").replace("]", ".")):
        storage.require_answer()


def test_urls() -> None:
    assert [is_url(text) for text in ("s3://b/x", "file:///x", "out", "./s3:/x", "C:/x", "a;s3://b")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    assert parent_url("s3://b/out/") == "s3://b"


def test_one_of_two_works_on_an_object(storage: Storage) -> None:
    first = take(storage, "desk", "driver")
    assert first
    assert take(storage, "desk", "other") is None
    assert take(storage, "owl", "other")
    assert (is_taken(storage, "desk"), taken_names(storage)) == (True, {"desk", "owl"})
    first.release()
    assert not is_taken(storage, "desk")
    assert take(storage, "desk", "other")


def test_of_many_at_a_time_one_works(storage: Storage) -> None:
    won: list[Claim | None] = []
    threads = [threading.Thread(target=lambda: won.append(take(storage, "desk", "driver"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in won) == 1


def test_a_claim_that_nobody_renews_is_taken_over_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take(storage, "desk", "driver")
    assert first
    now = time.time()
    monkeypatch.setattr(claims, "time", SimpleNamespace(time=lambda: now + claims.EXPIRY + 1))
    second = take(storage, "desk", "other")
    assert second
    assert second.number == first.number + 1
    assert take(storage, "desk", "third") is None
    assert not first.is_ours()
    first.renew()
    first.release()
    assert second.is_ours(), "the first one may not take it back"
    second.release()
    assert not list(storage.files(claims.CLAIMS))


def test_a_renewed_claim_lives_on(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take(storage, "desk", "driver")
    assert first
    now = time.time()
    monkeypatch.setattr(claims, "time", SimpleNamespace(time=lambda: now + claims.EXPIRY - 1))
    first.renew()
    monkeypatch.setattr(claims, "time", SimpleNamespace(time=lambda: now + claims.EXPIRY + 1))
    assert take(storage, "desk", "other") is None


def test_a_driver_takes_back_the_claims_of_its_own_workers(storage: Storage) -> None:
    lost = take(storage, "desk", "driver")
    assert lost
    drop_claim(storage, "desk", "other")
    assert is_taken(storage, "desk")
    drop_claim(storage, "desk", "driver")
    assert not is_taken(storage, "desk")
    assert not lost.is_ours(), "should the worker live after all, it writes nothing"
