from typing import Any

import pytest
import torch
from lrm_golden import CPU, arrays, facts, largest, needs_golden, pictures, sizes, tensor, weights
from test_nerf_field import compare, rays_of, same_surface

from meshcli.lrm.mesh_field import MeshDecoder, MeshField
from meshcli.lrm.model import load_decoder, parameter_shapes, planes_of, resize
from meshcli.lrm.nerf_field import NerfDecoder, NerfField
from meshcli.lrm.sizes import Sizes
from meshcli.lrm.volume import render

VARIANTS = ("instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base")


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return arrays("whole_model")


def planes(kind: str, golden: dict[str, torch.Tensor], views: list[int]) -> tuple[torch.Tensor, dict[str, Any]]:
    """Planes of some views, and what is left of the weights."""
    model = facts("whole_model")[kind]
    values = weights(sizes(model), model["weights"])
    images, cameras = pictures(golden["images_u8"])[views], golden["cameras"][0][views]
    return planes_of(sizes(model), values, images, cameras, CPU, torch.float32), values


@needs_golden
@pytest.mark.parametrize("name", VARIANTS)
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    variant = facts("state_dicts")["variants"][name]
    expected = {key: tuple(shape) for key, shape in variant["state_dict"].items()}
    assert parameter_shapes(Sizes(variant["kind"], **variant["config"])) == expected


@needs_golden
def test_pictures_to_mesh(golden: dict[str, torch.Tensor]) -> None:
    found, rest = planes("mesh", golden, list(range(6)))
    assert largest(found, golden["mesh_planes"][0]) < 2e-5
    assert all(name.startswith("synthesizer.") for name in rest)  # the others are dropped as they are used
    small = sizes(facts("whole_model")["mesh"])
    decoder = load_decoder(small, rest, CPU)
    assert isinstance(decoder, MeshDecoder)
    assert not rest
    field = MeshField(decoder, found, small.grid_scale)
    surface = field.surface(small.grid_res)
    assert torch.equal(surface.faces.int(), golden["mesh_faces"])
    assert largest(surface.vertices, golden["mesh_vertices"]) < 1e-4
    colours = (field.colours(surface.vertices).clamp(0, 1) * 255).to(torch.uint8)
    assert int((colours.int() - golden["mesh_colors_u8"].int()).abs().max()) <= 1


@needs_golden
def test_four_views(golden: dict[str, torch.Tensor]) -> None:
    assert largest(planes("mesh", golden, [0, 2, 4, 5])[0], golden["mesh_planes_view4"][0]) < 2e-5


@needs_golden
def test_pictures_to_radiance_field(golden: dict[str, torch.Tensor]) -> None:
    table = facts("whole_model")["nerf"]
    found, rest = planes("nerf", golden, list(range(6)))
    assert largest(found, golden["nerf_planes"][0]) < 2e-5
    decoder = load_decoder(sizes(table), rest, CPU)
    assert isinstance(decoder, NerfDecoder)
    field = NerfField(decoder, found)
    assert largest(field.density(40).flatten()[::5], golden["nerf_sigma_every_5"]) < 1e-4
    surface = field.surface(40, table["mesh_threshold"])
    rows = same_surface(surface, golden["nerf_vertices"].numpy(), golden["nerf_faces"].numpy(), 40, 1e-4)
    colours = (field.colours(surface.vertices[rows]).clamp(0, 1) * 255).to(torch.uint8)
    assert int((colours.int() - golden["nerf_colors_u8"].int()).abs().max()) <= 1
    rendering = render(field, *rays_of(golden["nerf_render_cameras"][0], 12), 12)
    compare(rendering, golden, "nerf_render", 1e-4)


@needs_golden
def test_pictures_are_resized_as_published() -> None:
    prepared = arrays("image_prep")
    for name in ("20x20", "32x32", "48x48"):
        found = resize(prepared["resize_in"], int(name[:2]))
        assert largest(found, prepared[f"resize_out_{name}"]) < 1e-6
    flat = resize(prepared["resize_in"], 320).flatten()[::101]
    assert largest(flat, prepared["resize_320_every_101"]) < 1e-6


@needs_golden
@pytest.mark.slow
def test_the_full_size_base_model() -> None:
    table, expected = facts("full_size_base"), arrays("full_size_base")
    full = Sizes("mesh", **table["config"]["params"])
    rule = table["config"]["weights"]
    values = Weights(full, rule)
    images, cameras = pictures(expected["encoder_images_u8"]), expected["encoder_cameras"][0]
    found = planes_of(full, values, images, cameras, CPU, torch.float32)
    assert largest(found.flatten()[::101], expected["chained_planes_every_101"]) < 5e-5


class Weights(dict[str, torch.Tensor]):
    """Makes each tensor when it is asked for: 1.2 GB need not be there at once."""

    def __init__(self, full: Sizes, rule: dict[str, Any]) -> None:
        super().__init__()
        self.shapes, self.rule = parameter_shapes(full), rule

    def pop(self, name: str) -> torch.Tensor:  # type: ignore[override]
        return tensor(name, self.shapes.pop(name), self.rule, {})
