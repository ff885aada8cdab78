import pytest
import torch
from lrm_golden import CPU, arrays, facts, filled, largest, needs_golden, pictures, sizes, vit, weights

from meshcli.lrm.encoder import Encoder
from meshcli.lrm.sizes import Sizes, VitSizes

TOLERANCE = 1e-5


def encoder_of(case: str) -> Encoder:
    table = facts("encoder_small")
    whole = sizes(table["main"])
    small = vit(table[case]["vit"])
    values = weights(
        Sizes(**{**vars(whole), "vit": small}), table[case]["weights"], "encoder."
    )  # fmt: skip
    return filled(Encoder(small), values, "encoder.")


@needs_golden
def test_tokens_of_the_small_model() -> None:
    golden, encoder = arrays("encoder_small"), encoder_of("main")
    images, cameras = pictures(golden["main_images_u8"]), golden["main_cameras"][0]
    assert largest(encoder(images, cameras), golden["main_last_hidden_state"]) < TOLERANCE
    assert largest(encoder.camera_embedder(cameras), golden["main_camera_embedding"][0]) < TOLERANCE
    assert largest(encoder.model.embeddings.positions(6, 6), golden["main_pos_interpolated"]) < TOLERANCE


@needs_golden
@pytest.mark.parametrize(("height", "width"), [(80, 96), (112, 112), (64, 64)])
def test_pictures_of_other_sizes(height: int, width: int) -> None:
    golden, encoder, name = arrays("encoder_small"), encoder_of("alt"), f"alt_{height}x{width}"
    tokens = encoder(pictures(golden[f"{name}_images_u8"]), golden[f"{name}_cameras"][0])
    assert largest(tokens, golden[f"{name}_last_hidden_state"]) < TOLERANCE
    positions = encoder.model.embeddings.positions(height // 16, width // 16)
    assert largest(positions, golden[f"{name}_pos_interpolated"]) < TOLERANCE


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
