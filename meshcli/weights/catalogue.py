"""Catalogue of weights: names, published files, sources, licences. Light: facts only."""

from dataclasses import dataclass

from meshcli.errors import UsageError

INSTANTMESH_REPOSITORY = "TencentARC/InstantMesh"
ZERO123PLUS_REPOSITORY = "sudo-ai/zero123plus-v1.2"
REMBG_URL = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"
LRM_PREFIX = "lrm_generator."  # of the network's tensors in InstantMesh's checkpoints
LRM_PARTS = ("encoder.", "transformer.", "synthesizer.")  # what comes after it
APACHE = "Apache-2.0"
COMPONENT_FILES = {  # of the diffusers layout: possible names of each component's weights, preferred first
    "unet": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "vae": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "text_encoder": ("model.safetensors", "pytorch_model.bin"),
    "vision_encoder": ("model.safetensors", "pytorch_model.bin"),
}
SETTINGS_FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "feature_extractor_clip/preprocessor_config.json",
    "feature_extractor_vae/preprocessor_config.json",
    *(f"{component}/config.json" for component in COMPONENT_FILES),
)


@dataclass(frozen=True)
class Model:
    """Weights that can be fetched."""

    name: str  # as `meshcli models pull NAME` takes it
    description: str
    licence: str
    repository: str  # on the Hugging Face Hub; empty for rembg's models
    file: str  # as published; for a repository in diffusers layout the name of the local folder
    size: int = 0  # approximate download in bytes; 0: unknown
    prefix: str = ""  # of the network's tensors in the file; others are dropped
    md5: str = ""  # of a rembg model, as rembg states it; empty for others

    @property
    def is_folder(self) -> bool:
        """Whether it is a whole repository in diffusers layout."""
        return self.repository == ZERO123PLUS_REPOSITORY


def _rembg(name: str, md5: str, what: str, licence: str = APACHE, size: int = 0) -> Model:
    return Model(name, f"cuts photos out: {what}", licence, "", f"{name}.onnx", size, md5=md5)


def _lrm(kind: str, size: str, parameters: int) -> Model:
    what = f"sparse-view reconstruction, {'mesh' if kind == 'mesh' else 'radiance field'}"
    name, file = f"instant-{kind}-{size}", f"instant_{kind}_{size}.ckpt"
    return Model(name, what, APACHE, INSTANTMESH_REPOSITORY, file, 4 * parameters, LRM_PREFIX)


MODELS = {
    model.name: model
    for model in (
        _lrm("mesh", "large", 378_657_644),
        _lrm("mesh", "base", 313_352_516),
        _lrm("nerf", "large", 378_477_332),
        _lrm("nerf", "base", 313_249_004),
        Model("zero123plus-unet", "Zero123++'s UNet for white backgrounds, by InstantMesh", APACHE,
              INSTANTMESH_REPOSITORY, "diffusion_pytorch_model.bin", 4 * 865_910_724),
        Model("zero123plus", "six views from one photo, with a UNet for grey backgrounds",
              "CC BY-NC 4.0 (not commercial), on Stable Diffusion 2.1 (OpenRAIL++-M)", ZERO123PLUS_REPOSITORY,
              "zero123plus-v1.2", 2 * 1_922_000_000),
        _rembg("u2netp", "8e83ca70e441ab06c318d82300c84806", "small, the default", size=4_574_861),
        _rembg("u2net", "60024c5c889badc19c04ad937298a77b", "large"),
        _rembg("u2net_human_seg", "c09ddc2e0104f800e3e1bb4652583d1f", "people"),
        _rembg("silueta", "55e59e0d8062d2f5d013f4725ee84782", "u2net, smaller"),
        _rembg("isnet-general-use", "fc16ebd8b0c10d971d3513d564d01e29", "finer edges"),
        _rembg("isnet-anime", "6f184e756bb3bd901c8849220a83e38e", "drawings"),
    )
}  # fmt: skip


def find_model(name: str) -> Model:
    """Look a model up; UsageError with all names when there is none of that name."""
    if name not in MODELS:
        raise UsageError(f"there are no weights called {name}; known: {', '.join(MODELS)}")
    return MODELS[name]
