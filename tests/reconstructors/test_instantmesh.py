from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from helpers.golden import Numbers
from helpers.tiny_lrm import tiny_sizes, write_weights
from meshcli.errors import MissingError, UsageError
from meshcli.progress import silent
from meshcli.reconstructors.instantmesh import Triplanes, camera_vectors, encode_views, picture_batch
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View
from meshcli.weights.safetensors_file import state_dict

CPU = torch.device("cpu")


def rig_views(scale: float = 1.0) -> list[View]:
    generator = np.random.default_rng(0)
    return [
        View(f"a{tile}", generator.integers(0, 255, (320, 320, 4), np.uint8), camera)
        for tile, camera in enumerate(zero123plus_rig(relative_scale=1 / scale))
    ]


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_one_photo_with_its_six_tiles_has_the_published_cameras(numbers: Numbers, scale: float) -> None:
    """get_zero123plus_input_cameras (InstantMesh's src/utils/camera_util.py)."""
    published = numbers.arrays("cameras")[f"input_cameras_scale_{scale}"][0]
    np.testing.assert_allclose(camera_vectors(rig_views(scale)), published, atol=1e-6, rtol=0)


def test_pictures_are_colours_without_alpha() -> None:
    views = rig_views()
    assert torch.equal(picture_batch(views)[2], torch.from_numpy(views[2].pixels[..., :3]).permute(2, 0, 1) / 255)
    small = [View("b0", view.pixels[::2, ::2], view.camera) for view in views]
    assert picture_batch(small).shape == (6, 3, 320, 320)


@pytest.mark.parametrize("count", [1, 24])
def test_any_number_of_views(count: int, tmp_path: Path) -> None:
    views = (rig_views() * 4)[:count]
    planes = encode_views(views, tiny_sizes(), write_weights(tmp_path), CPU, torch.float32, silent)
    assert planes.values.shape == (3, 4, 12, 12)
    assert planes.values.isfinite().all()


def test_more_than_24_views_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="24 views, not 30"):
        encode_views(rig_views() * 5, tiny_sizes(), write_weights(tmp_path), CPU, torch.float32, silent)


def test_the_cameras_matter_and_the_order_of_views_does_not(tmp_path: Path) -> None:
    weights, views = write_weights(tmp_path), rig_views()
    planes = encode_views(views, tiny_sizes(), weights, CPU, torch.float32, silent).values
    swapped = encode_views(views[::-1], tiny_sizes(), weights, CPU, torch.float32, silent).values
    assert float((planes - swapped).abs().max()) < 1e-5
    turned = [View(view.name, view.pixels, view.camera.turned(40)) for view in views]
    assert (
        float((planes - encode_views(turned, tiny_sizes(), weights, CPU, torch.float32, silent).values).abs().max())
        > 3e-4
    )


def test_weights_may_keep_the_prefix_of_their_names(tmp_path: Path) -> None:
    weights, views = write_weights(tmp_path), rig_views()[:1]
    kept = tmp_path / "kept.safetensors"
    tensors = {f"lrm_generator.{name}": tensor for name, tensor in state_dict(weights).items()}
    save_file({**tensors, "lpips.weight": torch.zeros(3)}, kept)
    plain, planes = (encode_views(views, tiny_sizes(), path, CPU, torch.float32, silent) for path in (weights, kept))
    assert torch.equal(plain.values, planes.values)
    assert plain.write({}) == planes.write({})


@pytest.mark.parametrize("kind", ["mesh", "nerf"])
def test_planes_come_back_from_their_file(kind: str, tmp_path: Path) -> None:
    sizes = tiny_sizes("nerf" if kind == "nerf" else "mesh")
    planes = encode_views(
        rig_views(), sizes, write_weights(tmp_path, f"instant-{kind}-base"), CPU, torch.float32, silent
    )
    path = tmp_path / "triplane.safetensors"
    path.write_bytes(planes.write({"key": "7"}))
    again = Triplanes.read(path, sizes, CPU)
    assert torch.equal(again.values, planes.values)
    for name, value in planes.decoder.state_dict().items():
        assert torch.equal(again.decoder.state_dict()[name], value)
    other = tiny_sizes("mesh" if kind == "nerf" else "nerf")
    with pytest.raises(MissingError, match=r"synthesizer\.decoder"):
        Triplanes.read(path, other, CPU)
