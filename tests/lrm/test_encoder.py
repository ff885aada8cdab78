import pytest
import torch

from helpers.golden import Numbers, difference
from helpers.lrm_golden import CPU, filled, largest, pictures, sizes, tensors, vit, weights
from meshcli.lrm.encoder import Encoder
from meshcli.lrm.sizes import Sizes, VitSizes

TOLERANCE = 1e-5


def encoder_of(numbers: Numbers, case: str) -> Encoder:
    table = numbers.facts("encoder_small")
    whole = sizes(table["main"])
    small = vit(table[case]["vit"])
    values = weights(Sizes(**{**vars(whole), "vit": small}), table[case]["weights"], "encoder.")
    return filled(Encoder(small), values, "encoder.")


def test_tokens_of_the_small_model(numbers: Numbers) -> None:
    """DinoWrapper (InstantMesh's src/models/encoder), and what lies between its layers."""
    given, encoder = tensors(numbers, "encoder_small"), encoder_of(numbers, "main")
    images, cameras = pictures(given["main_images_u8"]), given["main_cameras"][0]
    seen: dict[str, torch.Tensor] = {}
    embeddings = encoder.model.embeddings
    embeddings.register_forward_pre_hook(lambda _, args: seen.update(pixel_values_view0=args[0][0]))
    embeddings.register_forward_hook(lambda _, args, found: seen.update(embeddings_out=found.clone()))
    for number, layer in enumerate(encoder.model.encoder.layer):
        name = f"layer{number}_out_view0"
        layer.register_forward_hook(lambda _, args, found, name=name: seen.update({name: found[0].clone()}))
    seen["last_hidden_state"] = encoder(images, cameras)
    seen["camera_embedding"] = encoder.camera_embedder(cameras)
    seen["pos_interpolated"] = embeddings.positions(6, 6)
    assert len(seen) == 7
    stored = numbers.arrays("encoder_small")
    for name, values in seen.items():
        assert difference(values, stored, f"main_{name}") < TOLERANCE, name


@pytest.mark.parametrize(("height", "width"), [(80, 96), (112, 112), (64, 64)])
def test_pictures_of_other_sizes(numbers: Numbers, height: int, width: int) -> None:
    given, encoder, name = tensors(numbers, "encoder_small"), encoder_of(numbers, "alt"), f"alt_{height}x{width}"
    tokens = encoder(pictures(given[f"{name}_images_u8"]), given[f"{name}_cameras"][0])
    assert largest(tokens, given[f"{name}_last_hidden_state"]) < TOLERANCE
    positions = encoder.model.embeddings.positions(height // 16, width // 16)
    assert largest(positions, given[f"{name}_pos_interpolated"]) < TOLERANCE


def test_each_picture_is_seen_by_itself() -> None:
    small = VitSizes(hidden=16, layers=1, heads=2, inner=32, patch=8, image=16)
    encoder = Encoder(small).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in encoder.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    images, cameras = torch.rand(3, 3, 24, 24, generator=generator), torch.rand(3, 16, generator=generator)
    together = encoder(images, cameras)
    assert together.shape == (3, 10, 16)
    assert largest(encoder(images[1:2], cameras[1:2])[0], together[1]) < 1e-5
    other = cameras.clone()
    other[1] += 1
    assert largest(encoder(images, other)[0], together[0]) == 0.0
    assert largest(encoder(images, other)[1], together[1]) > 1e-3
    assert together.device == CPU
