"""Where Zero123++'s weights are, and what stands for them in fingerprints. Light: paths and digests."""

import os
from dataclasses import dataclass
from pathlib import Path

from meshcli.settings import WhichUNet
from meshcli.system.digests import digest
from meshcli.weights.locations import component, data_directory, find, hub_cache, require, weights_digest

REPOSITORY, WHITE = "zero123plus", "zero123plus-unet"  # as `meshcli models` calls them
PROMPT = "empty_prompt.safetensors"


@dataclass(frozen=True)
class Files:
    """The weights of every network."""

    folder: Path  # diffusers layout; its settings are read
    unet: Path
    vae: Path
    text_encoder: Path
    vision_encoder: Path

    def digests(self) -> dict[str, str]:
        """What the weights are; gigabytes are read the first time."""
        return {
            name: weights_digest(path)
            for name, path in (
                ("unet", self.unet),
                ("vae", self.vae),
                ("text_encoder", self.text_encoder),
                ("vision_encoder", self.vision_encoder),
            )
        }

    def prompt(self) -> Path:
        """Where the embedding of the empty prompt is kept: beside the weights where that may be written to."""
        folder = self.folder.resolve()
        if os.access(folder, os.W_OK) and not folder.is_relative_to(hub_cache().resolve()):
            return self.folder / PROMPT
        return data_directory() / f"{digest(str(folder))[:16]}-{PROMPT}"


def missing(unet: WhichUNet, named: Path | None = None) -> str:
    """The first of the weights that is not on this machine, by its name for `meshcli models pull`; or nothing."""
    return next((name for name in needed(unet) if find(name, named) is None), "")


def locate(unet: WhichUNet, named: Path | None = None) -> Files:
    """The weights; MissingError with the command that gets them when they are not on this machine."""
    found = [require(name, named).path for name in needed(unet)]
    folder = found[0]
    return Files(
        folder,
        found[1] if unet == "white" else component(folder, "unet"),
        component(folder, "vae"),
        component(folder, "text_encoder"),
        component(folder, "vision_encoder"),
    )


def needed(unet: WhichUNet) -> tuple[str, ...]:
    """Names of the weights, as `meshcli models` calls them."""
    return (REPOSITORY, WHITE) if unet == "white" else (REPOSITORY,)
