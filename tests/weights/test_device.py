from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from meshcli.errors import UsageError
from meshcli.weights import device
from meshcli.weights.device import (
    available_devices,
    check_device,
    dtype_name,
    has_fast_bf16,
    resolve_device,
    resolve_dtype,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_names_of_devices(name):
    assert check_device(name) == name


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "", "cpu:0 "])
def test_no_such_device_anywhere(name):
    with pytest.raises(UsageError, match="write auto, cpu, cuda"):
        resolve_device(name)


def test_a_named_device_that_is_absent_says_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=r"--device cuda:2: this machine has cuda:0, cuda:1, (mps, )?cpu"):
        resolve_device("cuda:2")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    assert resolve_device("cuda") == resolve_device("auto") == torch.device("cuda:0")


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert available_devices() == ["cpu"]
    assert resolve_device("auto") == CPU
    for name in ("cuda", "mps"):
        with pytest.raises(UsageError, match="this machine has cpu"):
            resolve_device(name)


def test_precisions(monkeypatch):
    assert resolve_dtype("fp32", CPU) == torch.float32
    assert resolve_dtype("bf16", CPU) == torch.bfloat16
    assert resolve_dtype("auto", CPU, auto="fp32") == torch.float32
    monkeypatch.setattr("meshcli.weights.device.has_fast_bf16", lambda: True)
    assert resolve_dtype("auto", CPU) == torch.bfloat16
    monkeypatch.setattr("meshcli.weights.device.has_fast_bf16", lambda: False)
    assert resolve_dtype("auto", CPU) == torch.float32
    assert resolve_dtype("auto", torch.device("cuda:0")) == torch.float16
    with pytest.raises(UsageError, match="fp16 is for GPUs"):
        resolve_dtype("fp16", CPU)


def test_a_card_without_bf16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old Card")
    with pytest.raises(UsageError, match="Old Card has none"):
        resolve_dtype("bf16", torch.device("cuda:0"))


@pytest.mark.parametrize(
    ("line", "fast"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 sse", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx512f avx512_bf16 sse", True),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_bf16 sse", False),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16", True),
        ("flags : fpu amx_bf16", True),
        ("Features\t: fp asimd bf16", True),
        ("flags : fpu avx2 avx512f", False),
        ("model name : bf16", False),
    ],
)
def test_processors_with_bf16(line, fast, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{line}\n")
    assert has_fast_bf16(tmp_path / "cpuinfo") is fast
    assert not has_fast_bf16(tmp_path / "absent")


def test_names_of_precisions():
    assert [dtype_name(kind) for kind in (torch.float32, torch.bfloat16, torch.float16)] == ["fp32", "bf16", "fp16"]


@pytest.mark.parametrize(
    ("origin", "hint"),
    [
        (None, "`pip install 'meshcli[models]'`"),
        ('{"url": "file:///a/m.whl", "archive_info": {}}', "`pip install 'meshcli[models] @ file:///a/m.whl'`"),
        ('{"url": "https://h/m", "vcs_info": {"vcs": "git"}}', "`pip install 'meshcli[models] @ git+https://h/m'`"),
    ],
)
def test_the_hint_to_install_follows_where_the_package_came_from(
    origin: str | None, hint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(device, "SOURCE", tmp_path)
    monkeypatch.setattr(device, "distribution", lambda _: SimpleNamespace(read_text=lambda _: origin))
    assert device.install_hint.__wrapped__() == hint
    (tmp_path / "pyproject.toml").touch()
    assert "`pip install '.[models]'` there" in device.install_hint.__wrapped__()
