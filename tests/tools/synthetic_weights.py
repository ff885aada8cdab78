"""Write a complete set of synthetic full-size weights in the published layouts: everything runs without the real ones.

    python tests/tools/synthetic_weights.py FOLDER [--only instant-mesh-base zero123plus ...]

FOLDER then serves as --weights, $MESHCLI_CKPTS or ./ckpts: four LRM checkpoints, the UNet for white backgrounds, and
the diffusers folder of Zero123++ v1.2 (13 GB in all). Names and shapes are those of the networks; values are drawn per
name and scaled so that activations stay of order one. What the networks make of them is noise; that they are of the
right size, layout and speed is the point.
"""

import argparse
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from meshcli.lrm.model import parameter_shapes
from meshcli.reconstructors.network_file import read_network
from meshcli.weights.catalogue import MODELS

SEED = 20260101
Shapes = Mapping[str, Sequence[int]]

BLOCKS = {
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
CLIP = {"layer_norm_eps": 1e-05, "attention_dropout": 0.0, "initializer_factor": 1.0, "initializer_range": 0.02}
CONFIGS: dict[str, dict[str, Any]] = {  # Stable Diffusion 2.1's networks and CLIP ViT-H/14, as Zero123++ v1.2 has them
    "unet": {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.20.2", **BLOCKS, "sample_size": 96,
             "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2,
             "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "use_linear_projection": True,
             "norm_num_groups": 32, "center_input_sample": False, "flip_sin_to_cos": True, "freq_shift": 0,
             "act_fn": "silu", "downsample_padding": 1, "mid_block_scale_factor": 1, "norm_eps": 1e-05},
    "vae": {"_class_name": "AutoencoderKL", "_diffusers_version": "0.20.2", "act_fn": "silu", "sample_size": 768,
            "in_channels": 3, "out_channels": 3, "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
            "latent_channels": 4, "norm_num_groups": 32, "scaling_factor": 0.18215,
            "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4},
    "text_encoder": {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **CLIP, "vocab_size": 49408,
                     "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "projection_dim": 512,
                     "num_attention_heads": 16, "max_position_embeddings": 77, "hidden_act": "gelu",
                     "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "torch_dtype": "float16"},
    "vision_encoder": {"architectures": ["CLIPVisionModelWithProjection"], "model_type": "clip_vision_model", **CLIP,
                       "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "image_size": 224,
                       "num_attention_heads": 16, "patch_size": 14, "projection_dim": 1024, "hidden_act": "gelu",
                       "num_channels": 3, "torch_dtype": "float16"},
}  # fmt: skip


def processor(size: int, mean: list[float], std: list[float], crop: bool) -> dict[str, Any]:
    """The settings of an image processor."""
    return {
        "image_processor_type": "CLIPImageProcessor", "feature_extractor_type": "CLIPFeatureExtractor",
        "do_resize": True, "size": {"shortest_edge": size}, "resample": 3, "do_center_crop": crop,
        "crop_size": {"height": size, "width": size}, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": mean, "image_std": std, "do_convert_rgb": True,
    }  # fmt: skip


SETTINGS: dict[str, Any] = {
    "model_index.json": {
        "_class_name": ["pipeline", "Zero123PlusPipeline"],
        "_diffusers_version": "0.20.2",
        "feature_extractor_clip": ["transformers", "CLIPImageProcessor"],
        "feature_extractor_vae": ["transformers", "CLIPImageProcessor"],
        "ramping_coefficients": [0.0, *(round(0.25 - 0.002 * token, 4) for token in range(76))],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "EulerAncestralDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "vision_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    },
    "scheduler/scheduler_config.json": {
        "_class_name": "EulerAncestralDiscreteScheduler", "_diffusers_version": "0.20.2", "beta_end": 0.012,
        "beta_schedule": "linear", "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000,
        "prediction_type": "v_prediction", "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
        "trained_betas": None,
    },
    "feature_extractor_clip/preprocessor_config.json": processor(
        224, [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711], crop=True
    ),
    "feature_extractor_vae/preprocessor_config.json": processor(512, [0.5] * 3, [0.8] * 3, crop=False),
    # A tokenizer that knows the empty prompt, which is the only one that is ever asked for.
    "tokenizer/vocab.json": {"!": 0, "<|startoftext|>": 49406, "<|endoftext|>": 49407},
    "tokenizer/special_tokens_map.json": {
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "!", "unk_token": "<|endoftext|>"
    },
    "tokenizer/tokenizer_config.json": {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "add_prefix_space": False,
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "!", "unk_token": "<|endoftext|>",
    },
}  # fmt: skip


def values(name: str, shape: Sequence[int]) -> torch.Tensor:
    """The tensor of that name, float32."""
    draw = np.random.default_rng([zlib.crc32(name.encode()), SEED]).standard_normal(prod(shape), np.float32)
    drawn = torch.from_numpy(draw.reshape(shape))
    if name.endswith("weight") and len(shape) == 1:
        return 1.0 + 0.02 * drawn  # gains
    if name.endswith("bias") or len(shape) <= 1:
        return 0.02 * drawn
    if ("embeddings" in name or "pos_embed" in name) and len(shape) <= 3:
        return smooth(shape) if name == "transformer.pos_embed" else 0.5 * drawn
    if name == "transformer.deconv.weight":  # nearly the same in the four pixels that a token becomes
        return (drawn[..., :1, :1] + 0.05 * drawn) * shape[0] ** -0.5
    return drawn * scale(name) * prod(shape[1:]) ** -0.5


def smooth(shape: Sequence[int]) -> torch.Tensor:
    """Position embeddings of the three planes that vary slowly, so that the surface is smooth, as a real one is."""
    _, tokens, channels = shape
    side = round((tokens / 3) ** 0.5)
    place = torch.linspace(-1.0, 1.0, side)
    row, column = torch.meshgrid(place, place, indexing="ij")
    rng = torch.Generator().manual_seed(SEED)
    turns, phases = torch.randn(2, 3, channels, generator=rng), 6.2832 * torch.rand(3, channels, generator=rng)
    angle = row[..., None, None] * turns[0] + column[..., None, None] * turns[1] + phases  # (side, side, 3, channels)
    return (2.0 * torch.cos(2.0 * angle)).permute(2, 0, 1, 3).reshape(shape)


def scale(name: str) -> float:
    """By how much a weight differs from 1 / sqrt(inputs)."""
    if "decoder.net" in name:
        return 3.0 if name.endswith("6.weight") else 1.4  # heads: variance through ReLU, then a spread of results
    return 0.1 if "adaLN" in name else 1.0


def component_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Name to shape of what the file of one of Zero123++'s networks holds."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CONFIGS[name]
    with torch.device("meta"):
        network: torch.nn.Module = {
            "unet": lambda: UNet2DConditionModel.from_config(config),
            "vae": lambda: AutoencoderKL.from_config(config),
            "text_encoder": lambda: CLIPTextModel(CLIPTextConfig(**config)),
            "vision_encoder": lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**config)),
        }[name]()
    prefix = "text_model." if name == "text_encoder" else ""  # which newer libraries leave out
    return {prefix + key.removeprefix(prefix): tuple(value.shape) for key, value in network.state_dict().items()}


def summary(shapes: Shapes) -> dict[str, Any]:
    """How many entries and numbers there are, and a digest of all names and shapes."""
    lines = "".join(f"{name} {'x'.join(map(str, shapes[name]))}\n" for name in sorted(shapes))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    return {"entries": len(shapes), "numbers": sum(map(prod, shapes.values())), "sha256": digest}


def lrm(shapes: Shapes) -> Iterator[tuple[str, torch.Tensor]]:
    """A whole network; the density of the radiance field crosses its threshold of 10."""
    for name, shape in shapes.items():
        tensor = values(name, shape)
        if name == "synthesizer.decoder.net.6.weight":
            tensor[0] *= 6.0
        if name == "synthesizer.decoder.net.6.bias":
            tensor[0] += 11.0
        yield name, tensor


def write_lrm(path: Path, shapes: Shapes) -> None:
    """A training checkpoint: the network's keys have a prefix, and there is more than the network."""
    state = {f"lrm_generator.{name}": tensor for name, tensor in lrm(shapes)}
    state["lpips.net.lin0.model.1.weight"] = torch.ones(1, 64, 1, 1)
    torch.save({"epoch": 0, "global_step": 1, "state_dict": state}, path)


def write_unet(path: Path, shapes: Shapes) -> None:
    """The plain state dict of a UNet."""
    torch.save({name: values(f"white.{name}", shape) for name, shape in shapes.items()}, path)


def write_hub(folder: Path, dtype: torch.dtype) -> None:
    """A whole repository in diffusers layout."""
    for file, content in SETTINGS.items():
        write_json(folder / file, content)
    (folder / "tokenizer/merges.txt").write_text("#version: 0.2\n")
    for name, config in CONFIGS.items():
        write_json(folder / name / "config.json", config)
        file = "model.safetensors" if "encoder" in name else "diffusion_pytorch_model.safetensors"
        tensors = {key: values(f"{name}.{key}", shape).to(dtype) for key, shape in component_shapes(name).items()}
        save_file(tensors, folder / name / file, metadata={"format": "pt"})


def write_json(path: Path, content: object) -> None:
    """Indented, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    """Write what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=[*MODELS], default=[*MODELS], metavar="NAME")
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="of the diffusers folder")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        path = asked.folder / MODELS[name].file
        if name == "zero123plus":
            write_hub(path, getattr(torch, asked.dtype))
        elif name == "zero123plus-unet":
            write_unet(path, component_shapes("unet"))
        else:
            write_lrm(path, parameter_shapes(read_network(name).sizes))
        print(path, flush=True)


if __name__ == "__main__":
    main()
