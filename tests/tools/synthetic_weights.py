"""Write a complete set of synthetic full-size weights in the published layouts: everything runs without the real ones.

    python tests/tools/synthetic_weights.py FOLDER [--only instant-mesh-base zero123plus ...]

FOLDER then serves as --weights, $MESHCLI_CKPTS or ./ckpts: four LRM checkpoints, the UNet for white backgrounds, and
the diffusers folder of Zero123++ v1.2 (13 GB in all). Names and shapes come from the golden folder's state_dicts.json
and zero123plus_state_dicts.json; values are drawn per name and scaled so that activations stay of order one. What the
networks make of them is noise; that they are of the right size, layout and speed is the point.
"""

import argparse
import json
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from meshcli.models import MODELS

SEED = 20260101
GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
Shapes = Mapping[str, list[int]]

BLOCKS = {
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
CLIP = {"layer_norm_eps": 1e-05, "attention_dropout": 0.0, "initializer_factor": 1.0, "initializer_range": 0.02}
CONFIGS: dict[str, dict[str, Any]] = {  # what the shapes do not tell, in the words of the published files
    "unet": {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.20.2", **BLOCKS,
             "center_input_sample": False, "flip_sin_to_cos": True, "freq_shift": 0, "act_fn": "silu",
             "downsample_padding": 1, "mid_block_scale_factor": 1, "norm_eps": 1e-05},
    "vae": {"_class_name": "AutoencoderKL", "_diffusers_version": "0.20.2", "act_fn": "silu", "sample_size": 768},
    "text_encoder": {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **CLIP,
                     "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "torch_dtype": "float16"},
    "vision_encoder": {"architectures": ["CLIPVisionModelWithProjection"], "model_type": "clip_vision_model", **CLIP,
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


def values(name: str, shape: list[int]) -> torch.Tensor:
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


def smooth(shape: list[int]) -> torch.Tensor:
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


def write_hub(folder: Path, components: Mapping[str, Any], dtype: torch.dtype) -> None:
    """A whole repository in diffusers layout."""
    for file, content in SETTINGS.items():
        write_json(folder / file, content)
    (folder / "tokenizer/merges.txt").write_text("#version: 0.2\n")
    for name, component in components.items():
        write_json(folder / name / "config.json", CONFIGS[name] | component["config"])
        file = "model.safetensors" if "encoder" in name else "diffusion_pytorch_model.safetensors"
        tensors = {key: values(f"{name}.{key}", shape).to(dtype) for key, shape in component["state_dict"].items()}
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
    parser.add_argument("--golden", type=Path, default=GOLDEN)
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="of the diffusers folder")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    variants = json.loads((asked.golden / "state_dicts.json").read_text())["variants"]
    components = json.loads((asked.golden / "zero123plus_state_dicts.json").read_text())["components"]
    for name in asked.only:
        path = asked.folder / MODELS[name].file
        if name == "zero123plus":
            write_hub(path, components, getattr(torch, asked.dtype))
        elif name == "zero123plus-unet":
            write_unet(path, components["unet"]["state_dict"])
        else:
            write_lrm(path, variants[name]["state_dict"])
        print(path, flush=True)


if __name__ == "__main__":
    main()
