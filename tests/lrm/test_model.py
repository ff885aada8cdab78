import json
from typing import Any

import numpy as np
import pytest
import torch
from test_nerf_field import compare, rays_of, same_surface
from tools.synthetic_weights import summary

from helpers.golden import EXTERNAL, RECORDED_FOLDER, Arrays, Numbers, difference, needs_shared_golden
from helpers.lrm_golden import CPU, largest, pictures, sizes, tensor, tensors, weights
from meshcli.lrm.encoder import Encoder
from meshcli.lrm.mesh_field import MeshDecoder, MeshField
from meshcli.lrm.model import load_decoder, parameter_shapes, predict_planes, resize_to_training
from meshcli.lrm.nerf_field import NerfDecoder, NerfField
from meshcli.lrm.sizes import Sizes
from meshcli.lrm.streaming import stream_parameters
from meshcli.lrm.transformer import TriplaneTransformer
from meshcli.lrm.volume import render_rays
from meshcli.reconstructors.network_file import read_network

VARIANTS = ("instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base")
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def given(numbers: Numbers) -> Tensors:
    return tensors(numbers, "whole_model")


def planes(model: dict[str, Any], given: Tensors, views: list[int]) -> tuple[torch.Tensor, Tensors]:
    """Planes of some views, and what is left of the weights."""
    values = weights(sizes(model), model["weights"])
    images, cameras = pictures(given["images_u8"])[views], given["cameras"][0][views]
    return predict_planes(sizes(model), values, images, cameras, CPU, torch.float32), values


@pytest.mark.parametrize("name", VARIANTS)
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    expected = json.loads((RECORDED_FOLDER / "state_dicts.json").read_text())[name]
    assert summary(parameter_shapes(read_network(name).sizes)) == expected


@needs_shared_golden
@pytest.mark.parametrize("name", VARIANTS)
def test_every_name_and_shape_by_itself(name: str) -> None:
    variant = EXTERNAL.facts("state_dicts")["variants"][name]
    expected = {key: tuple(shape) for key, shape in variant["state_dict"].items()}
    assert parameter_shapes(Sizes(variant["kind"], **variant["config"])) == expected


def test_pictures_to_mesh(numbers: Numbers, given: Tensors) -> None:
    """forward_planes and extract_mesh (InstantMesh's src/models/lrm_mesh.py)."""
    model = numbers.facts("whole_model")["mesh"]
    found, rest = planes(model, given, list(range(6)))
    assert largest(found, given["mesh_planes"][0]) < 2e-5
    assert all(name.startswith("synthesizer.") for name in rest)  # the others are dropped as they are used
    small = sizes(model)
    decoder = load_decoder(small, rest, CPU)
    assert isinstance(decoder, MeshDecoder)
    assert not rest
    field = MeshField(decoder, found, small.grid_scale)
    surface = field.extract_surface(small.grid_res)
    assert torch.equal(surface.faces.int(), given["mesh_faces"])
    assert largest(surface.vertices, given["mesh_vertices"]) < 1e-4
    colours = (field.colours(surface.vertices).clamp(0, 1) * 255).to(torch.uint8)
    assert int((colours.int() - given["mesh_colors_u8"].int()).abs().max()) <= 1


def test_four_views(numbers: Numbers, given: Tensors) -> None:
    """As run.py chooses them with --view 4."""
    model = numbers.facts("whole_model")["mesh"]
    assert largest(planes(model, given, [0, 2, 4, 5])[0], given["mesh_planes_view4"][0]) < 2e-5


def test_pictures_to_radiance_field(numbers: Numbers, given: Tensors) -> None:
    """forward_planes, extract_mesh and the renderer (InstantMesh's src/models/lrm.py)."""
    table = numbers.facts("whole_model")["nerf"]
    count, threshold, size = table["grid_size"], table["mesh_threshold"], table["render"]["size"]
    found, rest = planes(table, given, list(range(6)))
    assert largest(found, given["nerf_planes"][0]) < 2e-5
    decoder = load_decoder(sizes(table), rest, CPU)
    assert isinstance(decoder, NerfDecoder)
    field = NerfField(decoder, found)
    assert largest(field.density(count).flatten()[::5], given["nerf_sigma_every_5"]) < 1e-4
    surface = field.extract_surface(count, threshold)
    rows = same_surface(surface, given["nerf_vertices"].numpy(), given["nerf_faces"].numpy(), count, 1e-4)
    colours = (field.colours(surface.vertices[rows]).clamp(0, 1) * 255).to(torch.uint8)
    assert int((colours.int() - given["nerf_colors_u8"].int()).abs().max()) <= 1
    samples = table["params"]["rendering_samples_per_ray"] // 2
    rendering = render_rays(field, *rays_of(given["nerf_render_cameras"][0], size), samples)
    compare(rendering, given, "nerf_render", 1e-4)


def test_pictures_are_resized_as_published(numbers: Numbers) -> None:
    """torchvision's resize as run.py calls it: bicubic, with antialiasing, then cut off."""
    prepared, source = numbers.arrays("image_prep"), tensors(numbers, "image_prep")["resize_in"]
    for side in (20, 32, 48):
        assert difference(resize_to_training(source, side), prepared, f"resize_out_{side}x{side}") < 1e-6
    assert difference(resize_to_training(source, 320), prepared, "resize_320") < 1e-6


@needs_shared_golden
@pytest.mark.slow
def test_the_full_size_base_model(monkeypatch: pytest.MonkeyPatch) -> None:
    table, stored, given = full_size()
    full, seen = Sizes("mesh", **table["params"]), []
    forward = Encoder.forward
    monkeypatch.setattr(Encoder, "forward", lambda *args: seen.append(forward(*args)) or seen[0])
    images, cameras = pictures(given["encoder_images_u8"]), given["encoder_cameras"][0]
    found = predict_planes(full, Weights(full, table["weights"]), images, cameras, CPU, torch.float32)
    assert difference(found, stored, "chained_planes") < 5e-5
    assert difference(seen[0], stored, "encoder_out") < 5e-5
    assert difference(seen[0].mean(dim=1), stored, "encoder_out_token_mean") < 5e-5
    assert difference(seen[0][:, 0], stored, "encoder_cls_tokens") < 5e-5


@needs_shared_golden
@pytest.mark.slow
def test_the_full_size_transformer() -> None:
    table, stored, _ = full_size()
    full, seed = Sizes("mesh", **table["params"]), table["weights"]["seed"]
    with torch.device("meta"):
        transformer = TriplaneTransformer(full)
    stream_parameters(transformer, Weights(full, table["weights"]), "transformer.", CPU, torch.float32)
    drawn = np.random.default_rng(seed + 2).standard_normal((1, table["L"], 768)).astype(np.float32)
    with torch.inference_mode():
        found = transformer(torch.from_numpy(drawn))
    assert difference(found, stored, "planes") < 5e-5
    assert difference(found.mean(dim=(-2, -1)), stored, "planes_channel_mean") < 5e-5
    assert difference(found.std(dim=(-2, -1)), stored, "planes_channel_std") < 5e-5


def full_size() -> tuple[dict[str, Any], Arrays, Tensors]:
    return (
        EXTERNAL.facts("full_size_base")["config"],
        EXTERNAL.arrays("full_size_base"),
        tensors(EXTERNAL, "full_size_base"),
    )


class Weights(dict[str, torch.Tensor]):
    """Makes each tensor when it is asked for: 1.2 GB need not be there at once."""

    def __init__(self, full: Sizes, rule: dict[str, Any]) -> None:
        super().__init__()
        self.shapes, self.rule = parameter_shapes(full), rule

    def pop(self, name: str) -> torch.Tensor:  # type: ignore[override]
        return tensor(name, self.shapes.pop(name), self.rule, {})
