import pytest
import torch

from helpers.golden import Numbers
from helpers.lrm_golden import CPU, largest, pictures, sizes, tensors, weights
from meshcli.lrm.matrices import Linear, linear, pack_matrix, packing_is_faster
from meshcli.lrm.model import predict_planes
from meshcli.lrm.processor import has_bfloat16, is_x86
from meshcli.lrm.streaming import stream_parameters

BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
oneDNN = pytest.mark.skipif(  # noqa: N816
    not torch.backends.mkldnn.is_available() or not is_x86(),
    reason="this torch has no oneDNN for x86",
)


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every matrix is packed, whatever is faster here."""
    monkeypatch.setattr("meshcli.lrm.matrices.packing_is_faster", lambda dtype: True)


@oneDNN
@BOTH
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (130, 64, 96)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_matrix_gives_the_same(
    dtype: torch.dtype, shape: tuple[int, int, int], bias: bool, packing: None
) -> None:
    if dtype == torch.bfloat16 and not has_bfloat16():
        pytest.skip("this processor has no products of bfloat16")
    rows, inputs, outputs = shape
    generator = torch.Generator().manual_seed(1)
    given, matrix, more = (
        torch.randn(size, generator=generator).to(dtype) for size in ((2, rows, inputs), (outputs, inputs), (outputs,))
    )
    tolerance = 5e-5 if dtype == torch.float32 else 0.2  # of sums up to 20
    packed = pack_matrix(matrix)
    assert packed.is_mkldnn
    expected = given.double() @ matrix.double().T + (more.double() if bias else 0)
    found = linear(given, packed, more if bias else None)
    assert found.dtype == dtype
    assert largest(found, expected) < tolerance
    assert largest(found, linear(given, matrix, more if bias else None)) < tolerance


@oneDNN
def test_lent_matrices_are_packed_and_vectors_are_not(packing: None) -> None:
    with torch.device("meta"):
        layer = Linear(3, 2)
    lent: list[bool] = []
    stream_parameters(layer, {"weight": torch.ones(2, 3), "bias": torch.ones(2)}, "", CPU, torch.float32)
    layer.register_forward_hook(lambda *_: lent.append(layer.weight.is_mkldnn), prepend=True)
    with torch.inference_mode():
        assert layer(torch.ones(1, 3)).tolist() == [[4.0, 4.0]]
    assert lent == [True]
    assert layer.weight.is_meta


@oneDNN
def test_packed_or_not_the_planes_are_the_published_ones(numbers: Numbers, packing: None) -> None:
    given, model = tensors(numbers, "whole_model"), numbers.facts("whole_model")["mesh"]
    small = sizes(model)
    images, cameras = pictures(given["images_u8"]), given["cameras"][0]
    found = predict_planes(small, weights(small, model["weights"]), images, cameras, CPU, torch.float32)
    assert largest(found, given["mesh_planes"][0]) < 2e-5


@pytest.mark.parametrize(
    ("intel", "bfloat16", "expected"),
    [
        (True, True, (False, True)),
        (True, False, (False, False)),
        (False, True, (True, True)),
        (False, False, (True, False)),
    ],
)
def test_which_layers_are_packed(
    intel: bool, bfloat16: bool, expected: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.lrm.matrices.is_intel", lambda: intel)
    monkeypatch.setattr("meshcli.lrm.matrices.has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr("meshcli.lrm.matrices.is_x86", lambda: True)
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: True)
    assert (packing_is_faster(torch.float32), packing_is_faster(torch.bfloat16)) == expected
    assert not packing_is_faster(torch.float64)
    assert not packing_is_faster(torch.float16)
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    assert not packing_is_faster(torch.float32)
    assert not packing_is_faster(torch.bfloat16)
