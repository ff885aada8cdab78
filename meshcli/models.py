"""Which weights there are: names, published files, where from, licences. Light: facts only."""

from dataclasses import dataclass

from meshcli.errors import UsageError

INSTANTMESH = "TencentARC/InstantMesh"
ZERO123PLUS = "sudo-ai/zero123plus-v1.2"
APACHE = "Apache-2.0"
COMPONENTS = {  # of the diffusers layout: the names a component's weights may have, best first
    "unet": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "vae": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "text_encoder": ("model.safetensors", "pytorch_model.bin"),
    "vision_encoder": ("model.safetensors", "pytorch_model.bin"),
}
SETTINGS = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "feature_extractor_clip/preprocessor_config.json",
    "feature_extractor_vae/preprocessor_config.json",
    *(f"{component}/config.json" for component in COMPONENTS),
)


@dataclass(frozen=True)
class Model:
    """One thing that can be fetched."""

    name: str  # as `meshcli models pull NAME` takes it
    what: str
    licence: str
    repository: str  # on the Hugging Face hub
    file: str  # as published; for a whole repository in diffusers layout the name of its folder here
    size: int  # bytes to fetch, about
    prefix: str = ""  # of the keys that belong to the network; the others are dropped

    @property
    def folder(self) -> bool:
        """Whether it is a whole repository in diffusers layout."""
        return self.repository == ZERO123PLUS


def _lrm(kind: str, size: str, parameters: int) -> Model:
    what = f"sparse-view reconstruction, {'mesh' if kind == 'mesh' else 'radiance field'}"
    name, file = f"instant-{kind}-{size}", f"instant_{kind}_{size}.ckpt"
    return Model(name, what, APACHE, INSTANTMESH, file, 4 * parameters, "lrm_generator.")


MODELS = {
    model.name: model
    for model in (
        _lrm("mesh", "large", 378_657_644),
        _lrm("mesh", "base", 313_352_516),
        _lrm("nerf", "large", 378_477_332),
        _lrm("nerf", "base", 313_249_004),
        Model("zero123plus-unet", "Zero123++'s UNet for white backgrounds, by InstantMesh", APACHE, INSTANTMESH,
              "diffusion_pytorch_model.bin", 4 * 865_910_724),
        Model("zero123plus", "six views from one photo, with a UNet for grey backgrounds",
              "CC BY-NC 4.0 (not commercial), on Stable Diffusion 2.1 (OpenRAIL++-M)", ZERO123PLUS,
              "zero123plus-v1.2", 2 * 1_922_000_000),
    )
}  # fmt: skip


def model(name: str) -> Model:
    """The model of that name; a UsageError that lists them when there is none."""
    if name not in MODELS:
        raise UsageError(f"there are no weights called {name}; known: {', '.join(MODELS)}")
    return MODELS[name]
