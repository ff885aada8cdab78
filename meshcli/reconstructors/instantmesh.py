"""InstantMesh: a network turns posed pictures into a triplane, and the triplane is decoded to a coloured mesh.

The triplane is saved with its decoder (5 MB): meshes of other resolutions come from it in a second, without pictures,
transformer or checkpoint.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from meshcli.errors import UsageError
from meshcli.lrm.mesh_field import MeshDecoder, MeshField, SurfaceMesh
from meshcli.lrm.model import (
    DECODER_PREFIX,
    PlanesNetwork,
    load_decoder,
    parameter_shapes,
    predict_planes,
    resize_to_training,
)
from meshcli.lrm.nerf_field import NerfDecoder, NerfField
from meshcli.lrm.sizes import Sizes
from meshcli.lrm.triplane import POINTS_PER_CHUNK
from meshcli.meshes.mesh import Mesh
from meshcli.meshes.simplify import simplify
from meshcli.out_of_memory import retry_after_oom, retry_in_smaller_chunks
from meshcli.progress import Progress
from meshcli.sdf.extract import keep_parts
from meshcli.settings import LrmSettings
from meshcli.views.view import View
from meshcli.weights.catalogue import LRM_PREFIX
from meshcli.weights.kept_networks import file_key, kept_networks
from meshcli.weights.safetensors_file import check_shapes, read_header, state_dict

PLANES_KEY = "planes"  # name of the tensor in the triplane's file
MAX_VIEWS = 24  # by choice, four times the six of training; time and memory grow with every view

ColourFunction = Callable[[NDArray[np.float32]], NDArray[np.uint8]]  # points (N, 3) of the world to sRGB (N, 3)


@dataclass(frozen=True)
class Triplanes:
    """A network's triplane and the decoder for it."""

    sizes: Sizes
    values: Tensor  # (3, D, side, side), float32, on the computing device
    decoder: MeshDecoder | NerfDecoder

    def write(self, metadata: Mapping[str, str]) -> bytes:
        """Serialise as safetensors. Give one entry of metadata: several would be written in varying order."""
        tensors = {DECODER_PREFIX + name: value for name, value in self.decoder.state_dict().items()} | {
            PLANES_KEY: self.values
        }
        return save({name: value.cpu().contiguous() for name, value in tensors.items()}, dict(metadata))

    @classmethod
    def read(cls, path: Path, sizes: Sizes, device: torch.device) -> "Triplanes":
        """Read a file made by `write`; MissingError when it does not fit these sizes."""
        expected = {name: shape for name, shape in parameter_shapes(sizes).items() if name.startswith(DECODER_PREFIX)}
        expected[PLANES_KEY] = (3, sizes.triplane_dim, sizes.plane, sizes.plane)
        check_shapes(path, read_header(path).shapes, expected)
        tensors = state_dict(path)
        values = tensors.pop(PLANES_KEY).to(device, torch.float32, copy=True)
        return cls(sizes, values, load_decoder(sizes, tensors, device))


def encode_views(
    views: Sequence[View], sizes: Sizes, weights: Path, device: torch.device, dtype: torch.dtype, progress: Progress
) -> Triplanes:
    """Run the network on views with their cameras; `weights` is a safetensors file.

    Raises MissingError for weights of another network, UsageError for more than MAX_VIEWS views.
    """
    if len(views) > MAX_VIEWS:
        raise UsageError(
            f"the network takes up to {MAX_VIEWS} views, not {len(views)}; choose fewer with `meshcli select`"
        )
    check_shapes(weights, read_header(weights).for_network(LRM_PREFIX).shapes, parameter_shapes(sizes))
    decoder = load_decoder(sizes, state_dict(weights, prefix=LRM_PREFIX), device)
    cameras = torch.from_numpy(camera_vectors(views))

    def predict() -> Tensor:
        named = state_dict(weights, prefix=LRM_PREFIX)
        return predict_planes(sizes, named, picture_batch(views), cameras, device, dtype, progress)

    kept = kept_networks()
    if kept is None:
        return Triplanes(sizes, retry_after_oom(predict), decoder)

    def predict_with_kept() -> Tensor:
        network = kept.get(
            "lrm",
            (file_key(weights), sizes, str(device), dtype),
            lambda: PlanesNetwork(sizes, state_dict(weights, prefix=LRM_PREFIX), device, dtype, keep=True),
        )
        return network.predict(picture_batch(views), cameras, progress)

    def predict_without() -> Tensor:
        kept.drop()
        return predict()

    return Triplanes(sizes, retry_after_oom(predict_with_kept, predict_without), decoder)


@dataclass(frozen=True)
class ExtractedMesh:
    """A mesh extracted from a triplane."""

    mesh: Mesh  # with vertex colours
    colour_at: ColourFunction  # at any point of the surface
    empty: bool  # the field has no surface; see SurfaceMesh
    faces_before_simplifying: int


def extract_mesh(planes: Triplanes, settings: LrmSettings, progress: Progress) -> ExtractedMesh:
    """Extract a mesh with vertex colours; `settings.grid` and `settings.threshold` must be resolved."""
    progress(0, 3, "finding the surface")
    surface = retry_in_smaller_chunks(lambda chunk: _extract_surface(planes, settings, chunk), POINTS_PER_CHUNK)
    vertices = surface.vertices.cpu().numpy().astype(np.float32)
    faces = surface.faces.cpu().numpy().astype(np.int32)
    if settings.parts != "all" and len(faces):
        vertices, faces = keep_parts(vertices, faces, only_largest=settings.parts == "largest")
    mesh, dense_faces = Mesh(vertices, faces), len(faces)
    if settings.simplify:
        progress(1, 3, "simplifying the surface")
        mesh = simplify(mesh, settings.simplify)
    progress(2, 3, "colouring the surface")

    def colour_at(points: NDArray[np.float32]) -> NDArray[np.uint8]:
        return retry_in_smaller_chunks(lambda chunk: _colours(planes, points, chunk), POINTS_PER_CHUNK)

    coloured = Mesh(mesh.vertices, mesh.faces, colour_at(mesh.vertices))
    progress(3, 3, "colouring the surface")
    return ExtractedMesh(coloured, colour_at, surface.empty, dense_faces)


def camera_vectors(views: Sequence[View]) -> NDArray[np.float32]:
    """The network's camera inputs (V, 16): three rows of camera-to-world, then fx, fy, cx, cy."""
    rows = []
    for camera in (view.camera for view in views):
        flat = [value for row in camera.camera_to_world[:3] for value in row]
        rows.append([*flat, camera.fx, camera.fy, camera.cx, camera.cy])
    return np.array(rows, np.float32)


def picture_batch(views: Sequence[View]) -> Tensor:
    """The views' RGB without alpha, as generated, at the training size: (V, 3, H, W) in [0, 1]."""
    images = [torch.from_numpy(view.pixels[..., :3].copy()).permute(2, 0, 1)[None].float() / 255 for view in views]
    return torch.cat([resize_to_training(image) for image in images])


def triplane_field(planes: Triplanes, chunk: int) -> MeshField | NerfField:
    """The field that a triplane holds; `chunk` points are evaluated at a time."""
    if isinstance(planes.decoder, MeshDecoder):
        return MeshField(planes.decoder, planes.values, planes.sizes.grid_scale, chunk)
    return NerfField(planes.decoder, planes.values, chunk)


def _extract_surface(planes: Triplanes, settings: LrmSettings, chunk: int) -> SurfaceMesh:
    field = triplane_field(planes, chunk)
    if isinstance(field, MeshField):
        return field.extract_surface(settings.grid)
    return field.extract_surface(settings.grid, settings.threshold)


def _colours(planes: Triplanes, points: NDArray[np.float32], chunk: int) -> NDArray[np.uint8]:
    """Colours at points (N, 3) as bytes, truncated rather than rounded, as published."""
    positions = torch.from_numpy(np.ascontiguousarray(points, np.float32)).to(planes.values.device)
    values = triplane_field(planes, chunk).colours(positions).clamp(0.0, 1.0)
    return (values * 255.0).to(torch.uint8).cpu().numpy()
