"""Record tests/golden from the published programs themselves, on the processor, with weights and inputs by formula.

    python tests/tools/record_golden.py INSTANTMESH ZERO123PLUS

Both are checkouts: TencentARC/InstantMesh and SUDO-AI-3D/zero123plus. Runs in an environment of the programs' time
(tests/golden/README.md names the versions), with this repository and its `tests` on PYTHONPATH. What needs a GPU or a
window is replaced by empty modules: rasterising is not recorded.
"""

import argparse
import json
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from synthetic_weights import CONFIGS, component_shapes, summary

from helpers import golden_inputs, tiny_zero123plus
from helpers.golden_inputs import Arrays, facts, inputs

OUT = Path(__file__).parents[1] / "golden"
MISSING = ("nvdiffrast", "nvdiffrast.torch", "rembg", "imageio", "xatlas")
VIT_FIXED = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "qkv_bias": True}
DINO = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "patch_size": 16, "image_size": 224}  # fmt: skip  # facebook/dino-vitb16
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def cameras() -> Arrays:
    """src/utils/camera_util.py and PerspectiveCamera."""
    from src.models.geometry.camera.perspective_camera import PerspectiveCamera
    from src.models.geometry.render.neural_render import xfm_points
    from src.utils import camera_util

    given, table = inputs("cameras"), facts("cameras")
    found: Arrays = {}
    for scale in (1.0, 0.8):
        found[f"input_cameras_scale_{scale}"] = camera_util.get_zero123plus_input_cameras(radius=4.0 * scale)
    for circle in table["circular"]:
        name, size = f"circular_{circle['index']}", {"M": circle["M"], "radius": circle["radius"]}
        found[f"{name}_c2w"] = camera_util.get_circular_camera_poses(**size, elevation=circle["elevation_deg"])
        found[f"{name}_render_cameras_mesh_w2c"] = torch.linalg.inv(found[f"{name}_c2w"])[None]
        found[f"{name}_render_cameras_nerf"] = render_cameras(**size, elevation=circle["elevation_deg"])
    angles = given["spherical_azimuth_deg"], given["spherical_elevation_deg"]
    found["spherical_c2w"] = camera_util.spherical_camera_pose(*angles, table["spherical_radius"])
    for fov in (30.0, 50.0, 49.1):
        found[f"intrinsics_fov_{fov}"] = camera_util.FOV_to_intrinsics(fov)
    for fov in (30.0, 50.0):
        found[f"projection_fovy_{fov}"] = PerspectiveCamera(fovy=fov, device="cpu").proj_mtx
    points = torch.from_numpy(given["project_points_world"])[None]
    found["project_points_camera"] = xfm_points(points, found["circular_0_render_cameras_mesh_w2c"][0, :1])
    found["project_points_clip"] = PerspectiveCamera(30.0, "cpu").project(found["project_points_camera"])
    return found


def render_cameras(M: int, radius: float, elevation: float, fov: float = 30.0) -> torch.Tensor:  # noqa: N803
    """get_render_cameras of run.py, for the radiance field."""
    from src.utils.camera_util import FOV_to_intrinsics, get_circular_camera_poses

    poses = get_circular_camera_poses(M=M, radius=radius, elevation=elevation).flatten(-2)
    return torch.cat([poses, FOV_to_intrinsics(fov).float().flatten().repeat(M, 1)], dim=-1)[None]


def image_prep() -> Arrays:
    """resize_foreground, to_rgb_image of both pipelines, and the preparation in run.py."""
    from einops import rearrange
    from PIL import Image
    from pipelines import gray, white
    from src.utils.infer_util import resize_foreground
    from torchvision.transforms import v2

    given = inputs("image_prep")
    found: Arrays = {}
    for case in golden_inputs.CASES:
        source = Image.fromarray(given[f"rgba_{case}_in"])
        found[f"rgba_{case}_ratio_0.85_out"] = np.asarray(resize_foreground(source, 0.85))
        found[f"rgba_{case}_to_rgb_white"] = np.asarray(white.to_rgb_image(source))
        found[f"rgba_{case}_to_rgb_gray127"] = np.asarray(gray.to_rgb_image(source))
    sheet = torch.from_numpy(given["sheet_u8_hwc"].astype(np.float32) / 255).permute(2, 0, 1)
    found["views_f32"] = rearrange(sheet, "c (n h) (m w) -> (n m) c h w", n=3, m=2)

    def resized(name: str, size: Any) -> torch.Tensor:
        values = torch.from_numpy(given[name])
        return v2.functional.resize(values, size, interpolation=3, antialias=True).clamp(0, 1)

    for height, width in ((48, 48), (20, 20), (24, 40), (32, 32)):
        found[f"resize_out_{height}x{width}_every_5"] = resized("resize_in", (height, width)).flatten()[::5]
    found["resize_int_out"] = resized("resize_int_in", 24)
    found["resize_320_every_101"] = resized("resize_in", (320, 320)).flatten()[::101]
    return found


def encoder_small() -> Arrays:
    """DinoWrapper, with what lies between its layers."""
    given, found = inputs("encoder_small"), {}
    main = model_of(facts("encoder_small")["main"]).encoder
    parts = {
        "pixel_values_view0": (main.model.embeddings, "in", 0), "embeddings_out": (main.model.embeddings, "out", None),
        "camera_embedding": (main.camera_embedder, "out", None),
        **{f"layer{n}_out_view0": (layer, "out", 0) for n, layer in enumerate(main.model.encoder.layer)},
    }  # fmt: skip
    with watched({f"main_{name}": part for name, part in parts.items()}) as seen:
        found["main_last_hidden_state"] = encoded(main, given, "main")
    found |= {name: seen[name][0] for name in seen}
    found["main_pixel_values_view0_every_11"] = found.pop("main_pixel_values_view0").flatten()[::11]
    found["main_pos_interpolated"] = main.model.embeddings.interpolate_pos_encoding(torch.zeros(1, 37, 48), 96, 96)
    other = encoder_of(facts("encoder_small")["alt"])
    for height, width in golden_inputs.ENCODED:
        name = f"alt_{height}x{width}"
        found[f"{name}_last_hidden_state"] = encoded(other, given, name)
        tokens = torch.zeros(1, height * width // 256 + 1, 48)
        found[f"{name}_pos_interpolated"] = other.model.embeddings.interpolate_pos_encoding(tokens, height, width)
    return found


def triplane_small() -> Arrays:
    """TriplaneTransformer."""
    table, given = facts("triplane_small"), torch.from_numpy(inputs("triplane_small")["image_feats"])
    net = model_of(table["model"]).transformer
    with watched({f"layer{n}_out": (layer, "out", None) for n, layer in enumerate(net.layers)}) as seen:
        planes = net(given)
    low = model_of(table["model"], table["lowvar_extra_overrides"]).transformer
    return {"planes": planes, "lowvar_planes": low(given), **{name: values[0] for name, values in seen.items()}}


def synth_mesh() -> Arrays:
    """The heads of the mesh network at points and on a grid."""
    from src.models.renderer.utils.renderer import generate_planes, project_onto_planes, sample_from_planes

    given = {name: torch.from_numpy(values) for name, values in inputs("synth_mesh").items()}
    net = with_grid(model_of(facts("synth_mesh")["model"]))
    planes, axes = given["planes"], generate_planes()
    grid = net.geometry.verts.expand(2, -1, -1), net.geometry.indices
    sdf, deformation, weight = net.synthesizer.get_geometry_prediction(planes, *grid)
    final = net.get_sdf_deformation_prediction(planes)
    return {
        "plane_axes": axes, "projections": project_onto_planes(axes, given["points"]),
        "sampled_features": sample_from_planes(axes, planes, given["points"], box_warp=2.0),
        "texture_rgb": net.synthesizer.get_texture_prediction(planes, given["points"]),
        "grid_verts": net.geometry.verts, "grid_cubes": net.geometry.indices.int(), "sdf_raw": sdf,
        "deformation_raw": deformation, "weight_raw": weight, "sdf_final": final[0], "deformation_final": final[1],
    }  # fmt: skip


def mesh_extract() -> Arrays:
    """extract_mesh of the mesh network."""
    planes = torch.from_numpy(inputs("mesh_extract")["planes"])
    net = with_grid(model_of(facts("mesh_extract")["model"]))
    vertices, faces, sdf, deformation, moved, _ = net.get_geometry_prediction(planes)
    _, _, colours = net.extract_mesh(planes, use_texture_map=False)
    told("mesh_extract", sdf)
    weight = net.get_sdf_deformation_prediction(planes)[3]
    rgb = net.synthesizer.get_texture_prediction(planes, vertices[0][None])[0].clamp(0, 1)
    return {
        "sdf": sdf, "deformation": deformation, "v_deformed_every_7": moved.flatten()[::7],
        "weight_raw": weight, "vertices": vertices[0], "faces": faces[0].int(), "vertex_rgb": rgb,
        "vertex_colors_u8": colours,
    }  # fmt: skip


def empty_fix() -> Arrays:
    """get_sdf_deformation_prediction on shapes without a surface, and get_center_boundary_index."""
    from src.models.geometry.rep_3d.flexicubes_geometry import get_center_boundary_index

    cases = torch.from_numpy(inputs("empty_fix")["sdf_in"])
    net = with_grid(
        model_of(facts("mesh_extract")["model"] | {"params": golden_inputs.PARAMS | {"grid_res": 8, "grid_scale": 2.1}})
    )
    found: Arrays = {}

    def repaired(sdf: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros(len(sdf), 729, 3), torch.zeros(len(sdf), 512, 21)
        with mock.patch.object(net.synthesizer, "get_geometry_prediction", return_value=(sdf, *zeros)):
            return net.get_sdf_deformation_prediction(torch.zeros(len(sdf), 3, 6, 8, 8))[0]

    single = [repaired(case[None])[0] for case in cases]
    found |= {"sdf_out_single": torch.stack(single), "sdf_out_batch": repaired(cases)}
    for number, sdf in enumerate(single):
        vertices, faces, _ = net.geometry.get_mesh(net.geometry.verts, sdf[:, 0], weight_n=torch.zeros(512, 21))
        found |= {f"single_case{number}_vertices": vertices, f"single_case{number}_faces": faces.int()}
    for suffix, size in (("", 8), ("_res5", 5), ("_res7", 7), ("_res16", 16)):
        center, boundary = get_center_boundary_index(size, "cpu")
        found |= {f"center_indices{suffix}": center, f"boundary_indices{suffix}": boundary.int()}
    return found


def flexicubes_analytic() -> Arrays:
    """FlexiCubes by itself."""
    from src.models.geometry.rep_3d.flexicubes import FlexiCubes

    cubes, found = FlexiCubes("cpu", weight_scale=0.5), {}
    given = {name: torch.from_numpy(values) for name, values in inputs("flexicubes_analytic").items()}
    for grid in golden_inputs.GRIDS:
        vertices, indices = cubes.construct_voxel_grid(grid)
        vertices = vertices * 2.1
        found |= {f"g{grid}_verts": vertices, f"g{grid}_cubes": indices.int()}
        weight, moved = given[f"g{grid}_weight"], vertices + given[f"g{grid}_deformation"]
        parts = {"beta_fx12": weight[:, :12], "alpha_fx8": weight[:, 12:20], "gamma_f": weight[:, 20]}
        for shape in golden_inputs.SHAPES:
            sdf = given[f"g{grid}_{shape}_sdf"]
            for mode, places, weights in (("plain", vertices, {}), ("random", moved, parts)):
                points, faces, *_ = cubes(places, sdf, indices, grid, **weights)
                found[f"g{grid}_{shape}_{mode}_vertices"] = points.reshape(-1, 3)
                found[f"g{grid}_{shape}_{mode}_faces"] = faces.int().reshape(-1, 3)
    return found


def flexicubes_tables() -> Arrays:
    """The case tables that the mesh extraction reads."""
    from src.models.geometry.rep_3d.flexicubes import FlexiCubes

    cubes = FlexiCubes("cpu")
    return {
        "dmc_table": cubes.dmc_table.byte().char(), "num_vd_table": cubes.num_vd_table.char(),
        "check_table": cubes.check_table.short(), "cube_corners": cubes.cube_corners.short(),
        "cube_corners_idx": cubes.cube_corners_idx.short(), "cube_edges": cubes.cube_edges.view(12, 2).short(),
        "quad_split_1": cubes.quad_split_1, "quad_split_2": cubes.quad_split_2,
    }  # fmt: skip


def voxel_grid() -> Arrays:
    """construct_voxel_grid as FlexiCubesGeometry scales it."""
    from src.models.geometry.rep_3d.flexicubes import FlexiCubes

    found: Arrays = {}
    for size in (16, 128):
        vertices, cubes = FlexiCubes("cpu").construct_voxel_grid(size)
        found[f"axis_values_res{size}"] = (vertices * 2.1)[: size + 1, 2]
        found[f"cubes_first8_last8_res{size}"] = torch.cat([cubes[:8], cubes[-8:]]).int()
    return found


def nerf() -> Arrays:
    """TriplaneSynthesizer of the radiance field, and extract_mesh."""
    from src.models.renderer.utils import math_utils

    table = facts("nerf")
    given = {name: torch.from_numpy(values) for name, values in inputs("nerf").items()}
    planes, size = given["planes"], table["render"]["size"]
    net = model_of(table["model"])
    rig = {name: table["render"][name] for name in ("M", "radius", "elevation")}
    around, wide = render_cameras(**rig), render_cameras(**rig | {"M": 1}, fov=75.0)
    origins, directions = net.synthesizer.ray_sampler(
        around[0, :, :16].view(-1, 4, 4), around[0, :, 16:].view(-1, 3, 3), size
    )
    start, end = math_utils.get_ray_limits_box(origins, directions, box_side_length=2.0)
    found = {
        "render_cameras": around, "wide_render_cameras": wide, "ray_origins_first_of_each_view": origins[:, 0],
        "ray_directions": directions, "ray_start": start, "ray_end": end,
    }  # fmt: skip
    found |= rendered(net, planes, around, size, "mid_images")
    found |= rendered(net, planes, wide, size, "wide_images")
    found["crop_images_rgb"] = rendered(net, planes, around, size, "", table["crop_params"])["_rgb"]
    with (
        mock.patch("torch.rand_like", return_value=given["draws_0_rand_like"]),
        mock.patch("torch.rand", return_value=given["draws_1_rand"]),
    ):
        found |= pictures(net.synthesizer(planes, around, size), "draws_images")
    at = net.synthesizer.forward_points(planes, given["points"])
    lattice = net.synthesizer.forward_grid(planes, table["grid_size"])
    found |= {"points_rgb": at["rgb"], "points_sigma": at["sigma"], "grid_sigma": lattice["sigma"]}
    found["grid_rgb_every_7"] = lattice["rgb"].flatten()[::7]
    told("nerf", lattice["sigma"], table["mesh_threshold"])
    return found | field_mesh(net, planes, table, "mesh")


def whole_model() -> Arrays:
    """Pictures to meshes, by both networks."""
    from src.utils.camera_util import get_zero123plus_input_cameras

    table, images = facts("whole_model"), torch.from_numpy(inputs("whole_model")["images_u8"])[None].float() / 255
    rig = get_zero123plus_input_cameras()
    net = with_grid(model_of(table["mesh"]))
    planes, four = net.forward_planes(images, rig), [0, 2, 4, 5]
    vertices, faces, colours = net.extract_mesh(planes)
    told("whole_model, mesh", net.get_sdf_deformation_prediction(planes)[0])
    found = {
        "cameras": rig, "mesh_planes": planes, "mesh_vertices": vertices, "mesh_faces": faces.astype(np.int32),
        "mesh_colors_u8": colours, "mesh_planes_view4": net.forward_planes(images[:, four], rig[:, four]),
    }  # fmt: skip
    field, small = model_of(table["nerf"]), table["nerf"]["render"]
    planes = field.forward_planes(images, rig)
    sigma = field.synthesizer.forward_grid(planes, table["nerf"]["grid_size"])["sigma"]
    told("whole_model, nerf", sigma, table["nerf"]["mesh_threshold"])
    around = render_cameras(small["M"], small["radius"], small["elevation"])
    found |= {"nerf_planes": planes, "nerf_sigma_every_5": sigma.flatten()[::5], "nerf_render_cameras": around}
    found |= rendered(field, planes, around, small["size"], "nerf_render_images")
    surface = field_mesh(field, planes, table["nerf"], "nerf")
    surface.pop("nerf_vertex_rgb")
    return found | surface


def mesh_utils() -> Arrays:
    """compute_vertex_normal and save_obj_with_mtl."""
    from PIL import Image
    from src.models.geometry.render.neural_render import compute_vertex_normal
    from src.utils.mesh_util import save_obj_with_mtl

    given, mesh = inputs("mesh_utils"), mesh_extract()
    degenerate = (torch.from_numpy(given[f"degenerate_{name}"]) for name in ("vertices", "faces"))
    names = ("vertices", "uvs", "faces", "tex_faces", "texture")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sample.obj"
        save_obj_with_mtl(*(given[f"export_{name}"] for name in names), str(file))
        texts = {f"{ending}_text": np.array(file.with_suffix(f".{ending}").read_text()) for ending in ("obj", "mtl")}
        with Image.open(file.with_suffix(".png")) as picture:
            texture = np.asarray(picture)
    return texts | {
        "vertex_normals": compute_vertex_normal(mesh["vertices"], mesh["faces"].long()),
        "degenerate_vertex_normals": compute_vertex_normal(*degenerate), "export_png_u8": texture,
    }  # fmt: skip


def zero123plus_unet_call() -> Arrays:
    """RefOnlyNoisedUNet, the scheduler with trailing steps, and the VAE."""
    given = {name: torch.from_numpy(values) for name, values in inputs("zero123plus_unet_call").items()}
    pipe = pipeline()
    pipe.prepare()
    pipe.scheduler.set_timesteps(golden_inputs.STEPS)
    found: Arrays = {"timesteps": pipe.scheduler.timesteps, "sigmas": pipe.scheduler.sigmas}
    text, latents, unet = given["encoder_hidden_states"], given["sample"], pipe.unet
    for step in (0, 2, 3):
        time = pipe.scheduler.timesteps[step]
        with (
            mock.patch("torch.randn_like", return_value=given["noise"]),
            watched({"lat": (unet.unet, "in", None)}) as seen,
        ):
            out = unet(latents, time, text, cross_attention_kwargs={"cond_lat": given["cond_lat"]}).sample
        nothing, photo = out.chunk(2)
        found[f"noisy_cond_lat_{step}"], found[f"unet_out_{step}"] = seen["lat"][0], out
        found[f"guided_{step}"] = nothing + 4.0 * (photo - nothing)
    found["plain_unet_out_0"] = pipe.plain(latents, pipe.scheduler.timesteps[0], text).sample
    module = "diffusers.schedulers.scheduling_euler_ancestral_discrete.randn_tensor"
    for step, time in enumerate(pipe.scheduler.timesteps):
        with mock.patch(module, return_value=given["sched_noise"]):
            after = pipe.scheduler.step(given["sched_model_output"], time, given["sched_sample"])
        found[f"sched_prev_{step}"] = after.prev_sample
    for count in (28, 36, 50, 75):
        pipe.scheduler.set_timesteps(count)
        found |= {f"timesteps_{count}": pipe.scheduler.timesteps, f"sigmas_{count}": pipe.scheduler.sigmas}
    latent = pipe.vae.encode(given["vae_sample"]).latent_dist
    decoded = pipe.vae.decode(given["vae_latent"], return_dict=False)[0]
    return found | {"vae_mean": latent.mean, "vae_logvar": latent.logvar, "vae_decoded_every_3": decoded.flatten()[::3]}


def zero123plus_pipeline() -> Arrays:
    """The whole pipeline: with given draws, with a seed of torch's and a generator, and with the seed alone."""
    from PIL import Image
    from pipelines import gray

    given, pipe = inputs("zero123plus_pipeline"), pipeline()
    photo = Image.fromarray(given["input_image_u8"])
    pipe.prepare()
    draws = [torch.from_numpy(given[name]) for name in sorted(given) if name.startswith("draw_")]
    draw = mock.Mock(side_effect=draws)
    reached: list[torch.Tensor] = []
    parts = {"unet": (pipe.unet.unet, "both", None), "vae_in": (pipe.vae.encoder, "in", None),
             "moments": (pipe.vae.quant_conv, "out", None), "vision": (pipe.vision_encoder, "in", None),
             "embeds": (pipe.vision_encoder.visual_projection, "out", None)}  # fmt: skip
    decoded: list[torch.Tensor] = []
    decode = pipe.vae.decode

    def watch_decode(latents: torch.Tensor, **options: Any) -> Any:
        result = decode(latents, **options)
        decoded.extend([latents, result[0]])
        return result

    with (
        mock.patch("torch.randn", draw),
        watched(parts) as seen,
        mock.patch.object(pipe.vae, "decode", watch_decode),
        mock.patch("torch.randn_like", draw),
    ):
        sheet = painted(pipe, photo, callback=lambda step, time, latents: reached.append(latents.clone()))
    assert draw.call_count == len(draws)
    moments = [part.chunk(2, dim=1) for part in seen["moments"]]
    scaling, calls = pipe.vae.config.scaling_factor, seen["unet"]
    written = torch.stack([given for given, _ in calls[0::2]])
    read, out = (torch.stack([call[which] for call in calls[1::2]]) for which in (0, 1))
    cond = [mean + torch.exp(0.5 * logvar.clamp(-30, 20)) * torch.from_numpy(given[f"draw_0{n}_vae_posterior"])
            for n, (mean, logvar) in enumerate(moments)]  # fmt: skip
    text, positive = prompt(pipe, seen["embeds"][0])
    found = {
        "rgb_image_u8": np.asarray(gray.to_rgb_image(photo)),
        "vae_pixel_values_every_3": seen["vae_in"][0].flatten()[::3],
        "clip_pixel_values_every_3": seen["vision"][0].flatten()[::3], "vae_mean_cond": moments[0][0],
        "vae_logvar_cond": moments[0][1], "vae_mean_zero_image": moments[1][0], "vae_logvar_zero_image": moments[1][1],
        "cond_lat": torch.cat([cond[1], cond[0]]), "image_embeds": seen["embeds"][0], "input_ids": pipe.ids,
        "text_hidden": text, "encoder_hidden_states": torch.cat([text, positive]),
        "ramping_coefficients": np.array(pipe.config.ramping_coefficients), "timesteps": pipe.scheduler.timesteps,
        "sigmas": pipe.scheduler.sigmas, "step_noisy_cond_lat": written, "step_unet_sample": read,
        "step_unet_out": out, "step_latents": torch.stack(reached), "decoder_in": decoded[0],
        "unscaled_latents": decoded[0] * scaling, "decoder_out_every_7": decoded[1].flatten()[::7], "image_u8": sheet,
    }  # fmt: skip
    seeds = facts("zero123plus_pipeline")["native"]
    torch.manual_seed(seeds["global_seed"])
    other = torch.Generator().manual_seed(seeds["generator_seed"])
    finals: list[torch.Tensor] = []
    found["native_image_u8"] = painted(pipe, photo, generator=other, callback=lambda *step: finals.append(step[2]))
    found["native_final_latents"] = finals[-1]
    torch.manual_seed(seeds["global_seed"])
    found["native_noargs_image_u8"] = painted(pipe, photo)
    given_x = torch.from_numpy(given["const_x"])
    for name in ("scale_latents", "unscale_latents", "scale_image", "unscale_image"):
        found[f"const_{name}"] = getattr(gray, name)(given_x)
    return found


def told(name: str, values: torch.Tensor, level: float = 0.0) -> None:
    """Say how a surface lies in a field: a value too near its level would let rounding decide on the topology."""
    quantiles = [round(float(values.quantile(part)), 3) for part in (0.1, 0.5, 0.9)]
    print(f"{name}: {quantiles}, nearest to the level {float((values - level).abs().min()):.1e}")


def model_of(table: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> Any:
    """InstantMesh or InstantNeRF with its weights."""
    from src.models.lrm import InstantNeRF
    from src.models.lrm_mesh import InstantMesh

    build = InstantMesh if table["model"] == "InstantMesh" else InstantNeRF
    with vit(table["vit"]):
        net = build(encoder_feat_dim=table["encoder_feat_dim"], **table["params"])
    return filled(net, table["weights"], "", extra or {})


def encoder_of(table: Mapping[str, Any]) -> Any:
    """A DinoWrapper by itself."""
    from src.models.encoder.dino_wrapper import DinoWrapper

    with vit(table["vit"]):
        return filled(DinoWrapper("", freeze=False), table["weights"], "encoder.", {})


@contextmanager
def vit(sizes: Mapping[str, int]) -> Iterator[None]:
    """Build DINO from sizes instead of fetching it."""
    from src.models.encoder.dino import ViTModel
    from src.models.encoder.dino_wrapper import DinoWrapper
    from transformers import ViTConfig, ViTImageProcessor

    def build(*_: object) -> tuple[Any, Any]:
        config = ViTConfig(**sizes, **VIT_FIXED)
        return ViTModel(config, add_pooling_layer=False), ViTImageProcessor(image_mean=MEAN, image_std=STD)

    with mock.patch.object(DinoWrapper, "_build_dino", staticmethod(build)):
        yield


def filled(net: torch.nn.Module, rule: Mapping[str, Any], prefix: str, extra: Mapping[str, Any]) -> Any:
    """A network with weights by the rule of tests/golden/README.md."""
    from helpers.lrm_golden import tensor

    state = {name: tensor(prefix + name, value.shape, rule, extra) for name, value in net.state_dict().items()}
    net.load_state_dict(state, strict=True)
    return net.eval().requires_grad_(False)


def with_grid(net: Any) -> Any:
    """After init_flexicubes_geometry, without its renderer."""
    from src.models.geometry.rep_3d.flexicubes_geometry import FlexiCubesGeometry

    net.geometry = FlexiCubesGeometry(grid_res=net.grid_res, scale=net.grid_scale, device="cpu")
    return net


def encoded(encoder: Any, given: Arrays, name: str) -> torch.Tensor:
    """Tokens of pictures."""
    images = torch.from_numpy(given[f"{name}_images_u8"])[None].float() / 255
    return encoder(images, torch.from_numpy(given[f"{name}_cameras"]))


def rendered(net: Any, planes: Any, around: Any, size: int, name: str, crop: Any = None) -> Arrays:
    """Pictures with the middle of every draw."""
    middle = lambda count, samples, **_: ((torch.arange(samples) + 0.5) / samples).expand(count, -1)  # noqa: E731
    with mock.patch("torch.rand_like", lambda like: torch.full_like(like, 0.5)), mock.patch("torch.rand", middle):
        return pictures(net.synthesizer(planes, around, size, crop), name)


def pictures(result: Mapping[str, torch.Tensor], name: str) -> Arrays:
    """Colour, depth and weight under their names."""
    return {f"{name}_{part}": result[f"images_{part}"] for part in ("rgb", "depth", "weight")}


def field_mesh(net: Any, planes: torch.Tensor, table: Mapping[str, Any], name: str) -> Arrays:
    """extract_mesh of a radiance field."""
    vertices, faces, colours = net.extract_mesh(planes, table["grid_size"], table["mesh_threshold"])
    rgb = net.synthesizer.forward_points(planes, torch.tensor(vertices, dtype=torch.float32)[None])["rgb"][0]
    return {
        f"{name}_vertices": vertices.astype(np.float32), f"{name}_faces": faces.astype(np.int32),
        f"{name}_colors_u8": colours, f"{name}_vertex_rgb": rgb,
    }  # fmt: skip


def pipeline() -> Any:
    """Zero123PlusPipeline on networks in miniature, with trailing steps as the programs set them."""
    from diffusers import AutoencoderKL, EulerAncestralDiscreteScheduler, UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor2_0
    from pipelines import gray
    from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

    scratch = tempfile.TemporaryDirectory()  # gone with the function
    folder = Path(scratch.name) / "zero123plus-v1.2"
    tiny_zero123plus.write(folder)
    scheduler = EulerAncestralDiscreteScheduler.from_pretrained(folder / "scheduler")
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    pipe = gray.Zero123PlusPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "vae", low_cpu_mem_usage=False).eval(),
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder").eval(), tokenizer=tokenizer, unet=unet,
        scheduler=EulerAncestralDiscreteScheduler.from_config(scheduler.config, timestep_spacing="trailing"),
        vision_encoder=CLIPVisionModelWithProjection.from_pretrained(folder / "vision_encoder").eval(),
        feature_extractor_clip=CLIPImageProcessor.from_pretrained(folder / "feature_extractor_clip"),
        feature_extractor_vae=CLIPImageProcessor.from_pretrained(folder / "feature_extractor_vae"),
        ramping_coefficients=tiny_zero123plus.RAMP,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    plain = UNet2DConditionModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    plain.set_attn_processor(AttnProcessor2_0())
    object.__setattr__(pipe, "plain", plain)
    ids = tokenizer("", padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    object.__setattr__(pipe, "ids", ids)
    return pipe


def painted(pipe: Any, photo: Any, **options: Any) -> Any:
    """A sheet (192, 128, 3)."""
    result = pipe(photo, num_inference_steps=golden_inputs.STEPS, width=128, height=192, callback_steps=1, **options)
    return np.asarray(result.images[0])


def prompt(pipe: Any, embeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The embedding of no words, without and with the picture's."""
    text = pipe.text_encoder(pipe.ids)[0]
    return text, text + embeds[:, None] * torch.tensor(pipe.config.ramping_coefficients)[:, None]


@contextmanager
def watched(parts: Mapping[str, tuple[torch.nn.Module, str, int | None]]) -> Iterator[dict[str, list[Any]]]:
    """What goes into modules or comes out of them, call by call."""
    seen: dict[str, list[Any]] = {name: [] for name in parts}

    def value(of: Any, row: int | None) -> Any:
        part = of[0] if isinstance(of, tuple) else getattr(of, "sample", of)
        return part.clone() if row is None else part[row].clone()

    def hook(name: str, which: str, row: int | None) -> Callable[..., None]:
        def keep(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            given = value(args or tuple(kwargs.values()), row) if which != "out" else None
            made = value(output, row) if which != "in" else None
            seen[name].append((given, made) if which == "both" else made if given is None else given)

        return keep

    handles = [
        module.register_forward_hook(hook(name, which, row), with_kwargs=True)
        for name, (module, which, row) in parts.items()
    ]
    yield seen
    for handle in handles:
        handle.remove()


def state_dicts(configs: Path) -> dict[str, Any]:
    """What stands for the names and shapes of the published networks at full size."""
    from omegaconf import OmegaConf
    from src.models.lrm import InstantNeRF
    from src.models.lrm_mesh import InstantMesh

    found = {}
    with torch.device("meta"), vit(DINO):
        for name in ("instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base"):
            params = OmegaConf.load(configs / f"{name}.yaml").model_config.params
            net = (InstantMesh if "mesh" in name else InstantNeRF)(**params)
            found[name] = summary({key: tuple(value.shape) for key, value in net.state_dict().items()})
    return found | {name: summary(component_shapes(name)) for name in CONFIGS}


TOPICS = (
    cameras, image_prep, encoder_small, triplane_small, synth_mesh, mesh_extract, empty_fix, flexicubes_analytic,
    flexicubes_tables, voxel_grid, nerf, whole_model, mesh_utils, zero123plus_unet_call, zero123plus_pipeline,
)  # fmt: skip


def prepare(instantmesh: Path, zero123plus: Path) -> None:
    """Make the programs importable: `src`, and both pipelines as `pipelines`."""
    import importlib.util

    for name in MISSING:
        sys.modules[name] = types.ModuleType(name)
    sys.path.insert(0, str(instantmesh))
    pipelines = types.ModuleType("pipelines")
    for name, file in (("white", instantmesh / "zero123plus"), ("gray", zero123plus / "diffusers-support")):
        spec = importlib.util.spec_from_file_location(name, file / "pipeline.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        setattr(pipelines, name, module)
    sys.modules["pipelines"] = pipelines


def main() -> None:
    """Record all, or the topics that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("instantmesh", type=Path)
    parser.add_argument("zero123plus", type=Path)
    parser.add_argument("--only", nargs="+", choices=[topic.__name__ for topic in TOPICS])
    asked = parser.parse_args()
    prepare(asked.instantmesh, asked.zero123plus)
    torch.manual_seed(0)
    for topic in TOPICS:
        if not asked.only or topic.__name__ in asked.only:
            with torch.no_grad():
                found = topic()
            arrays = {name: np.asarray(values) for name, values in found.items()}
            np.savez_compressed(OUT / f"{topic.__name__}.npz", **arrays)
    if not asked.only:
        (OUT / "state_dicts.json").write_text(json.dumps(state_dicts(asked.instantmesh / "configs"), indent=2) + "\n")


if __name__ == "__main__":
    main()
