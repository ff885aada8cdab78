"""Sizes and inputs of the numbers in tests/golden: what the published programs were given, by formula.

Everything is drawn by name, so that one input can be changed without the others.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

VIT = {
    "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96, "patch_size": 16,
    "image_size": 64,
}  # fmt: skip
PARAMS = {
    "transformer_dim": 32, "transformer_layers": 2, "transformer_heads": 4, "triplane_low_res": 4,
    "triplane_high_res": 8, "triplane_dim": 6, "rendering_samples_per_ray": 20,
}  # fmt: skip
HEADS = "synthesizer.decoder.net"
# Distances and colours spread, deformations and weights matter.
MESH = {
    f"{HEADS}_sdf.6.weight": {"mul": 12.0}, f"{HEADS}_deformation.6.weight": {"mul": 12.0},
    f"{HEADS}_weight.6.weight": {"mul": 30.0}, f"{HEADS}_rgb.6.weight": {"mul": 30.0},
}  # fmt: skip
NERF = {f"{HEADS}.6.weight": {"mul": 30.0}}
SMALL = [f"layers.{layer}.{part}" for layer in (0, 1) for part in ("cross_attn.out_proj.weight",
         "self_attn.out_proj.weight", "mlp.3.weight", "mlp.3.bias")]  # fmt: skip
ENCODED = [(80, 96), (112, 112), (64, 64)]  # pixels
GRIDS, SHAPES = (10,), ("sphere", "torus", "noise", "aligned_box", "allpos", "allneg")
RIG = {"M": 3, "radius": 4.0, "elevation": 20.0}
CASES = ("ellipse", "rect", "full", "soft", "edge")
STEPS, VIEW = 4, 64  # of the painted sheet: denoising steps, pixels along a side of a view


def network(kind: str, seed: int, bias: float = 0.2916, **params: float) -> dict[str, Any]:
    """A small network in the words of InstantMesh's files, and the rule of its weights.

    `bias` moves the signed distances so that about half are negative and none is so near 0 that rounding decides.
    """
    mesh = kind == "InstantMesh"
    grid = {"grid_res": 12, "grid_scale": 2.1} if mesh else {}
    overrides = MESH | {f"{HEADS}_sdf.6.bias": {"add": bias}} if mesh else NERF
    rule = {"seed": seed, "scale": 0.1, "overrides": overrides}
    return {"model": kind, "vit": VIT, "encoder_feat_dim": 48, "params": PARAMS | grid | params, "weights": rule}


FACTS: dict[str, Any] = {
    "cameras": {
        "circular": [
            {"index": 0, "M": 7, "radius": 4.5, "elevation_deg": 20.0},
            {"index": 1, "M": 4, "radius": 2.0, "elevation_deg": -35.0},
        ],
        "spherical_radius": 2.5,
    },
    "encoder_small": {
        "main": network("InstantMesh", 11),
        "alt": {"vit": VIT | {"image_size": 112}, "weights": {"seed": 12, "scale": 0.1, "overrides": {}}},
    },
    "triplane_small": {
        "model": network("InstantMesh", 11),
        "lowvar_extra_overrides": {f"transformer.{name}": {"mul": 0.03} for name in ("pos_embed", *SMALL)},
    },
    "synth_mesh": {"model": network("InstantMesh", 13, grid_res=8)},
    "mesh_extract": {"model": network("InstantMesh", 13)},
    "empty_fix": {"grid_res": 8},
    "flexicubes_analytic": {
        "cases": [
            {"grid": grid, "shape": shape, "mode": mode}
            for grid in GRIDS
            for shape in SHAPES
            for mode in ("plain", "random")
        ]
    },
    "nerf": {"model": network("InstantNeRF", 14), "render": RIG | {"size": 8}, "grid_size": 18, "mesh_threshold": 0.45,
             "crop_params": [2, 1, 4, 4]},
    "whole_model": {
        "mesh": network("InstantMesh", 15, bias=0.28),
        "nerf": network("InstantNeRF", 16) | {"grid_size": 18, "mesh_threshold": 0.19803, "render": RIG | {"size": 8}},
    },
    "zero123plus_pipeline": {
        "native": {"global_seed": 5, "generator_seed": 6},
        "draw_order": ["vae_posterior", "vae_posterior", "initial_latents",
                       *["reference_noise", "scheduler_step"] * STEPS],
    },
}  # fmt: skip


def facts(topic: str) -> Any:
    """Sizes and settings, laid out as in the JSON files of other recordings."""
    return FACTS[topic]


def inputs(topic: str) -> Arrays:
    """What the published functions of a topic were given, by name."""
    make = INPUTS.get(topic)
    return make() if make else {}


def normal(name: str, *shape: int) -> NDArray[np.float32]:
    """Numbers around 0."""
    return _rng(name).standard_normal(shape).astype(np.float32)


def uniform(name: str, *shape: int, reach: float = 1.0) -> NDArray[np.float32]:
    """Numbers between -reach and reach."""
    return _rng(name).uniform(-reach, reach, shape).astype(np.float32)


def pixels(name: str, *shape: int) -> NDArray[np.uint8]:
    """Bytes."""
    return _rng(name).integers(0, 256, shape, np.uint8)


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _cameras() -> Arrays:
    return {
        "spherical_azimuth_deg": np.array([0.0, 33.0, 90.0, 171.0, 270.0, 359.0]),
        "spherical_elevation_deg": np.array([0.0, 60.0, -80.0, 20.0, -45.0, 88.0]),
        "project_points_world": uniform("project_points_world", 16, 3),
    }


def _image_prep() -> Arrays:
    found: Arrays = {}
    for name, (height, width) in zip(CASES, ((61, 47), (40, 90), (33, 33), (50, 51), (37, 64)), strict=True):
        rgba = pixels(f"rgba_{name}", height, width, 4)
        down, right = np.mgrid[:height, :width]
        middle = ((2 * down / height - 1) ** 2 + (2 * right / width - 1) ** 2) < 0.6
        inside = {
            "ellipse": middle, "rect": (down > 5) & (down < 22) & (right > 8) & (right < 80), "full": down >= 0,
            "soft": middle, "edge": (down < 17) & (right >= 50),
        }[name]  # fmt: skip
        rgba[..., 3] = np.where(inside, rgba[..., 3] if name == "soft" else 255, 0)
        found[f"rgba_{name}_in"] = rgba
    return found | {
        "sheet_u8_hwc": pixels("sheet", 60, 40, 3),
        "resize_in": np.abs(uniform("resize", 2, 3, 32, 32)),
        "resize_int_in": np.abs(uniform("resize_int", 1, 3, 30, 44)),
    }


def _encoder_small() -> Arrays:
    found = {"main_images_u8": pixels("main", 6, 3, 96, 96), "main_cameras": normal("main_cameras", 1, 6, 16)}
    for height, width in ENCODED:
        name = f"alt_{height}x{width}"
        found[f"{name}_images_u8"] = pixels(name, 2, 3, height, width)
        found[f"{name}_cameras"] = normal(f"{name}_cameras", 1, 2, 16)
    return found


def _planes(name: str, count: int = 1) -> Arrays:
    return {"planes": normal(f"{name}_planes", count, 3, 6, 8, 8)}


def _synth_mesh() -> Arrays:
    return _planes("synth_mesh", 2) | {"points": uniform("synth_mesh_points", 2, 120, 3, reach=1.2)}


def _empty_fix() -> Arrays:
    """All outside; all inside; one side only in the outermost layer; one vertex inside."""
    cases = np.abs(normal("empty_fix", 4, 9, 9, 9)) + np.float32(0.1)
    cases[1] *= -1
    cases[2, 0] *= -1
    cases[3, 4, 4, 4] *= -1
    return {"sdf_in": cases.reshape(4, 729, 1)}


def _flexicubes_analytic() -> Arrays:
    found: Arrays = {}
    for grid in GRIDS:
        count = (grid + 1) ** 3
        x, y, z = (axis.ravel() for axis in 2.1 * (np.mgrid[: grid + 1, : grid + 1, : grid + 1] / grid - 0.5))
        box = np.maximum.reduce([abs(places) for places in np.mgrid[: grid + 1, : grid + 1, : grid + 1] - grid // 2])
        distances = {
            "sphere": np.sqrt(x * x + y * y + z * z) - 0.71, "allpos": x * 0 + 1, "allneg": x * 0 - 1,
            "torus": np.sqrt((np.sqrt(x * x + y * y) - 0.6) ** 2 + z * z) - 0.27, "noise": normal("noise", count),
            "aligned_box": box.ravel() - 3.0,
        }  # fmt: skip
        found |= {f"g{grid}_{shape}_sdf": values.astype(np.float32) for shape, values in distances.items()}
        found[f"g{grid}_deformation"] = uniform("deformation", count, 3, reach=0.25 / grid)
        found[f"g{grid}_weight"] = normal("weight", grid**3, 21)
    return found


def _nerf() -> Arrays:
    coarse, rays = PARAMS["rendering_samples_per_ray"] // 2, 8 * 8
    return _planes("nerf") | {
        "points": uniform("nerf_points", 1, 100, 3, reach=1.2),
        "draws_0_rand_like": _rng("coarse").random((3, rays, coarse, 1), np.float32),
        "draws_1_rand": _rng("fine").random((3 * rays, coarse), np.float32),
    }


def _whole_model() -> Arrays:
    return {"images_u8": pixels("whole_images", 6, 3, 96, 96)}


def _mesh_utils() -> Arrays:
    vertices = normal("degenerate", 6, 3)
    faces = np.array([[0, 1, 2], [0, 2, 3], [1, 2, 3], [4, 4, 4]])  # a face without area, a vertex without faces
    turned = _rng("faces")
    return {
        "degenerate_vertices": vertices,
        "degenerate_faces": faces,
        "export_vertices": uniform("export_vertices", 9, 3),
        "export_uvs": np.abs(uniform("export_uvs", 13, 2)),
        "export_faces": np.array([turned.permutation(9)[:3] for _ in range(12)], np.int32),
        "export_tex_faces": np.array([turned.permutation(13)[:3] for _ in range(12)], np.int32),
        "export_texture": np.abs(uniform("export_texture", 16, 16, 3)) * (np.abs(uniform("dark", 16, 16, 1)) > 0.2),
    }


def _unet_call() -> Arrays:
    text = normal("unet_text", 1, 77, 64)
    return {
        "sample": normal("unet_sample", 2, 4, 24, 16),
        "cond_lat": normal("unet_cond_lat", 2, 4, 8, 8),
        "noise": normal("unet_noise", 2, 4, 8, 8),
        "encoder_hidden_states": np.concatenate([text, text + normal("unet_image", 1, 1, 64)]),
        **{f"sched_{name}": normal(f"sched_{name}", 1, 4, 24, 16) for name in ("sample", "model_output", "noise")},
        "vae_sample": uniform("vae_sample", 1, 3, 64, 64),
        "vae_latent": normal("vae_latent", 1, 4, 8, 8),
    }


def _pipeline() -> Arrays:
    shapes = {
        "vae_posterior": (1, 4, 8, 8), "initial_latents": (1, 4, 24, 16), "reference_noise": (2, 4, 8, 8),
        "scheduler_step": (1, 4, 24, 16),
    }  # fmt: skip
    found: Arrays = {
        "input_image_u8": pixels("painted", 75, 75, 3),
        "const_x": np.linspace(-3, 3, 13, dtype=np.float32),
    }
    for number, what in enumerate(FACTS["zero123plus_pipeline"]["draw_order"]):
        found[f"draw_{number:02}_{what}"] = normal(f"draw_{number}", *shapes[what])
    return found


INPUTS: dict[str, Callable[[], Arrays]] = {
    "cameras": _cameras,
    "image_prep": _image_prep,
    "encoder_small": _encoder_small,
    "triplane_small": lambda: {"image_feats": normal("image_feats", 2, 29, 48)},
    "synth_mesh": _synth_mesh,
    "mesh_extract": lambda: _planes("mesh_extract"),
    "empty_fix": _empty_fix,
    "flexicubes_analytic": _flexicubes_analytic,
    "nerf": _nerf,
    "whole_model": _whole_model,
    "mesh_utils": _mesh_utils,
    "zero123plus_unet_call": _unet_call,
    "zero123plus_pipeline": _pipeline,
}
