"""docker/Dockerfile: what it copies is there and is sent to the builder. test_image.py builds it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
COPIED = [
    source for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
]


def test_something_is_copied() -> None:
    assert {"meshcli", "configs", "pyproject.toml", "requirements.lock"} <= set(COPIED)


@pytest.mark.parametrize("source", COPIED)
def test_what_is_copied_is_there_and_sent(source: str) -> None:
    assert (ROOT / source).exists()
    first, *others = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in ("", "#")]
    assert first == "*"  # all that follows are exceptions, so weights and results never get into an image
    assert f"!{source.partition('/')[0]}" in others


def test_it_ends_as_a_user_of_no_rights_with_a_health_check() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(
        r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE
    )  # a number: Kubernetes' runAsNonRoot reads no names
    assert 'CMD ["meshcli", "--version"]' in last
    assert 'VOLUME ["/weights"]' in last
    assert DOCKERFILE.count("pip install") == DOCKERFILE.count("--mount=type=secret,id=pip.conf") == 2
