"""Zero123++'s weight files and their digests for fingerprints. Light: paths and digests."""

import os
from dataclasses import dataclass
from pathlib import Path

from meshcli.settings import WhichUNet
from meshcli.system.digests import digest
from meshcli.weights.locations import (
    component_file,
    data_directory,
    find_weights,
    hub_cache,
    require_weights,
    weights_digest,
)

PIPELINE_MODEL, WHITE_UNET_MODEL = "zero123plus", "zero123plus-unet"  # names for `meshcli models`
PROMPT_FILE = "empty_prompt.safetensors"


@dataclass(frozen=True)
class WeightFiles:
    """One weight file per network."""

    folder: Path  # in diffusers layout; also holds the settings files
    unet: Path
    vae: Path
    text_encoder: Path
    vision_encoder: Path

    def digests(self) -> dict[str, str]:
        """SHA-256 of each network's weights; reads gigabytes the first time, then cached."""
        return {
            name: weights_digest(path)
            for name, path in (
                ("unet", self.unet),
                ("vae", self.vae),
                ("text_encoder", self.text_encoder),
                ("vision_encoder", self.vision_encoder),
            )
        }

    def prompt_file(self) -> Path:
        """Cache file for the embedding of the empty prompt: beside the weights where that is writable."""
        folder = self.folder.resolve()
        if os.access(folder, os.W_OK) and not folder.is_relative_to(hub_cache().resolve()):
            return self.folder / PROMPT_FILE
        return data_directory() / f"{digest(str(folder))[:16]}-{PROMPT_FILE}"


def first_missing(unet: WhichUNet, named: Path | None = None) -> str:
    """Name of the first model that is not on this machine, for `meshcli models pull`; empty when all are."""
    return next((name for name in required_models(unet) if find_weights(name, named) is None), "")


def locate_weights(unet: WhichUNet, named: Path | None = None) -> WeightFiles:
    """Find the weight files; MissingError with the command that fetches what is not on this machine."""
    found = [require_weights(name, named).path for name in required_models(unet)]
    folder = found[0]
    return WeightFiles(
        folder,
        found[1] if unet == "white" else component_file(folder, "unet"),
        component_file(folder, "vae"),
        component_file(folder, "text_encoder"),
        component_file(folder, "vision_encoder"),
    )


def required_models(unet: WhichUNet) -> tuple[str, ...]:
    """Names of the models needed for a UNet, as `meshcli models` lists them."""
    return (PIPELINE_MODEL, WHITE_UNET_MODEL) if unet == "white" else (PIPELINE_MODEL,)
