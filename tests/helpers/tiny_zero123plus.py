"""Zero123++ in miniature: its structure with few channels, in the hub's layout, with synthetic weights.

The published pipeline's numbers in tests/golden were recorded with these sizes and weights.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from meshcli.generators.zero123plus.files import WeightFiles

UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 24,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [32, 64, 96, 96],
    "layers_per_block": 2,
    "attention_head_dim": [2, 4, 6, 6],
    "cross_attention_dim": 64,
    "use_linear_projection": True,
    "norm_num_groups": 16,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "center_input_sample": False,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "act_fn": "silu",
}
VAE = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [16, 32, 32, 32],
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 8,
    "sample_size": 64,
    "scaling_factor": 0.18215,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "act_fn": "silu",
}
TEXT = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "vocab_size": 40,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-05,
    "bos_token_id": 38,
    "eos_token_id": 39,
    "pad_token_id": 1,
    "projection_dim": 64,
}
VISION = {
    "architectures": ["CLIPVisionModelWithProjection"],
    "model_type": "clip_vision_model",
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
    "projection_dim": 64,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-05,
    "num_channels": 3,
}
FOR_CLIP = {
    "do_resize": True,
    "size": {"shortest_edge": 56},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 56, "width": 56},
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "do_convert_rgb": True,
}
FOR_VAE = {
    **FOR_CLIP,
    "size": {"shortest_edge": 64},
    "do_center_crop": False,
    "crop_size": {"height": 64, "width": 64},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.8, 0.8, 0.8],
}
SCHEDULER = {  # as published, it names no spacing of the steps
    "_class_name": "EulerAncestralDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "prediction_type": "v_prediction",
    "steps_offset": 1,
}
CONFIGS = {
    "unet": UNET,
    "vae": VAE,
    "text": TEXT,
    "vision": VISION,
    "fe_clip": FOR_CLIP,
    "fe_vae": FOR_VAE,
    "sched": SCHEDULER,
}
RAMP = [0.0, *(1.0 - 0.5 ** (1.0 + place / 8.0) for place in range(76))]  # of no meaning
SUFFIXES = {"to_q.weight": 3.0, "to_k.weight": 3.0, "to_v.weight": 2.0}

Multipliers = Callable[[str], float]


def write(folder: Path, ramp: list[float] = RAMP) -> Path:
    """The whole folder, as the hub would have it."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    unet = UNet2DConditionModel.from_config(UNET)
    vae = AutoencoderKL.from_config(VAE)
    text = CLIPTextModel(CLIPTextConfig(**TEXT))
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION))
    _component(folder / "unet", "diffusion_pytorch_model", UNET, unet.state_dict(), 500, _unet_multiplier)
    _component(folder / "vae", "diffusion_pytorch_model", VAE, vae.state_dict(), 501, _vae_multiplier)
    published = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in text.state_dict().items()}
    _component(folder / "text_encoder", "model", TEXT, published, 502)
    _component(folder / "vision_encoder", "model", VISION, vision.state_dict(), 503)
    files: dict[str, Any] = {
        "model_index.json": {"_class_name": "Zero123PlusPipeline", "ramping_coefficients": ramp},
        "scheduler/scheduler_config.json": SCHEDULER,
        "feature_extractor_clip/preprocessor_config.json": FOR_CLIP,
        "feature_extractor_vae/preprocessor_config.json": FOR_VAE,
        "tokenizer/vocab.json": {
            "!": 0,
            **{f"word{number}": number for number in range(1, 38)},
            "<|startoftext|>": 38,
            "<|endoftext|>": 39,
        },
        "tokenizer/special_tokens_map.json": {
            "bos_token": {"content": "<|startoftext|>"},
            "eos_token": {"content": "<|endoftext|>"},
            "pad_token": "!",
        },
        "tokenizer/tokenizer_config.json": {"model_max_length": 77, "pad_token": "!"},
    }
    for name, table in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(table))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    return folder


def drawn(name: str, shape: tuple[int, ...], seed: int, scale: float = 0.06) -> torch.Tensor:
    """A tensor by the rule of tests/golden/README.md, before multipliers."""
    numbers = np.random.default_rng(zlib.crc32(name.encode()) + seed).standard_normal(shape).astype(np.float32)
    if name.endswith(".weight") and numbers.ndim == 1:
        numbers = np.float32(1) + np.float32(0.02) * numbers
    elif name.endswith("bias"):
        numbers = np.float32(0.02) * numbers
    else:
        numbers = np.float32(scale) * numbers
    return torch.from_numpy(np.asarray(numbers))


def _component(
    folder: Path,
    stem: str,
    config: Mapping[str, Any],
    shapes: Mapping[str, torch.Tensor],
    seed: int,
    multiplier: Multipliers = lambda name: 1.0,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    state = {
        name: drawn(name, tuple(like.shape), seed) * multiplier(name)
        for name, like in shapes.items()
        if like.is_floating_point()
    }
    save_file(state, folder / f"{stem}.safetensors", metadata={"format": "pt"})


def _unet_multiplier(name: str) -> float:
    return next((factor for suffix, factor in SUFFIXES.items() if name.endswith(suffix)), 1.0)


def _vae_multiplier(name: str) -> float:
    return 0.6 if name == "decoder.conv_out.weight" else 1.0


def files(folder: Path) -> WeightFiles:
    """Of a folder that was written."""
    large, model = "diffusion_pytorch_model.safetensors", "model.safetensors"
    return WeightFiles(
        folder,
        folder / "unet" / large,
        folder / "vae" / large,
        folder / "text_encoder" / model,
        folder / "vision_encoder" / model,
    )
