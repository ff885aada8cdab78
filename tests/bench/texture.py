"""Measure textures: python tests/bench/texture.py [SET...] [--bake SOURCE] [--size N] [--save DIR].

A set is an object and where its three photos were taken: desk (the example, with its cameras), or spot:round (azimuths
0, 120, 240) and spot:side (0, 45, -45) for each of the meshes with truth, elevation 10, 1024 x 1024 pixels. The project
is made once by the real command and kept in the bench's cache; its geometry is the same from then on. Without --bake
what the command itself made is measured; with it the same surface is textured anew from views, photos or both.

Seen from the photos' own cameras, at the photos' own size, where both cover the pixel and 3 pixels away from outlines:
PSNR, and fine detail, the energy of what a Gaussian of 2 pixels takes away, relative to the photo's (1 is all of it;
noise would count too, so the last figure is the share of the photo's detail that is really there: the projection of
the render's detail on the photo's). Where there is truth: PSNR, SSIM and FLIP (Andersson et al. 2020, `flip-evaluator`
from PyPI, - without it) over the 12 pictures of measure.py that nobody gave. The photos of those sets are lit.

With --bake also the jump at label borders: the mean RGB distance across an edge between two patches that follow
different pictures, STEP to either side of it, over that across edges inside of a label. 1 is no jump.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
from measure import CACHE, NAMES, Array, on_white, pictures, test_views
from PIL import Image
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates
from skimage.metrics import structural_similarity

from meshcli.engines import VERSIONS
from meshcli.export.reading import read_mesh
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.project.project import Project
from meshcli.rendering.renderer import Renderer
from meshcli.settings import TextureSettings
from meshcli.stages.inputs import chosen_views
from meshcli.stages.sculpted_body import body_planes
from meshcli.stages.view_loading import load_views
from meshcli.texturing import bake
from meshcli.texturing.levelling import Coarse, Mixture, mix
from meshcli.texturing.patches import Patches
from meshcli.texturing.picture_stack import Looks
from meshcli.texturing.textured_mesh import texture_mesh
from meshcli.views.camera import orbit
from meshcli.views.view import View

AZIMUTHS = {"round": (0.0, 120.0, 240.0), "side": (0.0, 45.0, -45.0)}
ELEVATION = 10.0
PHOTO_SIZE = 1024  # pixels
DETAIL_SIGMA = 2.0  # pixels of the photo: what a Gaussian of this width takes away is fine detail
STEP = 0.003  # world units from a border: two texels of a texture of 2,048
MARGIN = 3  # pixels around outlines and holes that are left out
DESK = Path(__file__).resolve().parents[2] / "examples" / "desk"
SETS = ("desk", *(f"{name}:{place}" for name in NAMES for place in AZIMUTHS))


@dataclass(frozen=True)
class Labelled:
    """The picture that each patch of a surface follows."""

    patches: Patches
    labels: Array  # (F,), -1 for none


@dataclass(frozen=True)
class Inside:
    """Render against photo over the pixels that both cover."""

    psnr: float
    energy: float  # of the fine detail, relative to the photo's
    projected: float  # share of the photo's fine detail that the render has in place


def main() -> None:
    """Print one line per set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help="default: all of them")
    parser.add_argument("--bake", choices=("views", "photos", "both"), help="texture the kept surface anew")
    parser.add_argument("--size", type=int, default=TextureSettings().size, help="of the texture, with --bake")
    parser.add_argument(
        "--align", action="store_true", help="with --bake, align all pictures as if no camera were known"
    )
    parser.add_argument("--save", type=Path, metavar="DIR", help="write photo and render side by side")
    arguments = parser.parse_args()
    if unknown := set(arguments.sets) - set(SETS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SETS)}")
    print(
        "| set | PSNR inside | detail: energy, in place | unseen pictures: PSNR / SSIM / FLIP | jump | seconds | MB |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in arguments.sets or SETS:
        project = made_project(name)
        photos = load_views(project, project.load().active_photos)
        start = time.process_time()
        mesh, jump = as_made(project), "-"
        if arguments.bake:
            mesh, labelled = baked(project, photos, arguments)
            jump = f"{border_jump(mesh, labelled):.2f}"
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        renderer = Renderer(mesh)
        found = [seen_inside(renderer, photo) for photo in photos]
        psnr, energy, projected = (
            float(np.mean([getattr(each, key) for each in found])) for key in ("psnr", "energy", "projected")
        )
        truth = name.partition(":")[0]
        unseen = against_truth(renderer, truth) if truth in NAMES else "-"
        print(
            f"| {name} | {psnr:.1f} | {energy:.2f}, {projected:.2f} | {unseen} | {jump} | {seconds:.1f} | {peak:.0f} |",
            flush=True,
        )
        if arguments.save:
            save(renderer, photos, arguments.save / f"{name.replace(':', '-')}.png")


def made_project(name: str) -> Project:
    """The finished project of a set, made by the command if it is not there yet."""
    key = f"texture-{name.replace(':', '-')}-sculpt{VERSIONS['sculpt']}"
    folder = CACHE / key
    if not (folder / "mesh" / "mesh.glb").is_file():
        photos = sorted(DESK.glob("?.png")) if name == "desk" else true_photos(name, CACHE / f"{key}-photos")
        azimuths = [] if name == "desk" else ["--azimuth", ",".join(f"{a % 360:g}" for a in AZIMUTHS[_place(name)])]
        elevations = [] if name == "desk" else ["--elevation", f"{ELEVATION:g}", "--fov", "30"]
        command = [sys.executable, "-m", "meshcli", "run", str(folder), *map(str, photos), *azimuths, *elevations]
        subprocess.run([*command, "--to", "reconstruct", "--offline"], check=True, stdout=sys.stderr)
    return Project(folder)


def true_photos(name: str, folder: Path) -> list[Path]:
    """Pictures of the truth, with alpha, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    cameras = [orbit(azimuth, ELEVATION) for azimuth in AZIMUTHS[_place(name)]]
    files = [folder / f"{number}.png" for number in range(1, len(cameras) + 1)]
    for file, pixels in zip(files, pictures(name.partition(":")[0], cameras, 2, PHOTO_SIZE), strict=True):
        Image.fromarray(pixels).save(file)
    return files


def as_made(project: Project) -> Mesh:
    """The mesh that the command wrote."""
    return read_mesh(project.path("mesh/mesh.glb"))


def baked(project: Project, photos: Sequence[View], arguments: argparse.Namespace) -> tuple[Mesh, Labelled]:
    """The project's surface, textured by the code as it is now, and what each patch of it follows."""
    mesh = replace(as_made(project), texture=None)
    views = load_views(project, chosen_views(project, project.load()))
    photos = [] if arguments.bake == "views" else photos
    views = [] if arguments.bake == "photos" else views
    calibrated = [photo.name for photo in photos if photo.camera.known == "rig" and not arguments.align]
    rendered = [view.name for view in views] if photos and not arguments.align else []  # by `sculpt`, from the photos
    found: list[Labelled] = []

    def noted(patches: Patches, labels: Array, looks: Looks, coarse: Coarse) -> Mixture:
        found.append(Labelled(patches, labels))
        return mix(patches, labels, looks, coarse)

    with mock.patch.object(bake, "mix", noted):
        textured, report = texture_mesh(
            mesh, photos, views, TextureSettings(size=arguments.size), silent, calibrated, rendered,
            body_planes(project.load()) if rendered else [],
        )  # fmt: skip
    print(report, file=sys.stderr)
    return textured, found[0]


def border_jump(mesh: Mesh, labelled: Labelled) -> float:
    """The mean step of the texture across borders of labels, over that inside of labels."""
    patches, labels = labelled.patches, labelled.labels[labelled.patches.neighbours]
    chosen = (labels >= 0).all(axis=1)
    colours = [_beside_edges(mesh, patches, side)[chosen] for side in (0, 1)]
    step = np.linalg.norm(colours[0] - colours[1], axis=1)
    border = (labels[:, 0] != labels[:, 1])[chosen]
    return float(step[border].mean() / max(step[~border].mean(), 1e-9)) if border.any() else float("nan")


def _beside_edges(mesh: Mesh, patches: Patches, side: int) -> Array:
    """Colours (E, 3) of the texture STEP beside the middle of each shared edge, on the first or the second patch."""
    assert mesh.texture is not None
    face = patches.neighbours[:, side]
    on_edge = (patches.faces[face][:, :, None] == patches.shared_edges[:, None, :]).any(axis=2)  # (E, 3)
    corners = patches.vertices[patches.faces[face]]
    middle = (corners * on_edge[..., None]).sum(axis=1) / 2.0
    apart = np.linalg.norm((corners * ~on_edge[..., None]).sum(axis=1) - middle, axis=1)
    share = np.minimum(STEP / np.maximum(apart, 1e-9), 0.5)[:, None]
    weights = np.where(on_edge, (1.0 - share) / 2.0, share)
    u, v = np.einsum("ek,ekc->ce", weights, patches.corners[face])
    height, width = mesh.texture.image.shape[:2]
    places = np.stack([(1.0 - v) * height - 0.5, u * width - 0.5])
    image = mesh.texture.image
    return np.stack([map_coordinates(image[..., k].astype(np.float32), places, order=1) for k in range(3)], axis=-1)


def seen_inside(renderer: Renderer, photo: View) -> Inside:
    """Compare a render with a photo at the photo's size."""
    ours = renderer.render(photo.camera, photo.width, photo.height, samples=2)
    inside = (photo.pixels[..., 3] >= 250) & (ours[..., 3] >= 250)
    inside = binary_erosion(inside, iterations=MARGIN)
    a, b = (pixels[..., :3].astype(np.float32) / 255.0 for pixels in (ours, photo.pixels))
    fine_a, fine_b = (_fine(picture, inside) for picture in (a, b))
    error = float(np.square(a - b)[inside].mean())
    energy = float(np.square(fine_b).sum())
    return Inside(
        psnr=-10.0 * float(np.log10(max(error, 1e-10))),
        energy=float(np.square(fine_a).sum()) / max(energy, 1e-12),
        projected=float((fine_a * fine_b).sum()) / max(energy, 1e-12),
    )


def against_truth(renderer: Renderer, name: str) -> str:
    """PSNR, SSIM and FLIP over the pictures that nobody gave, on white."""
    rows = []
    for view in test_views(name):
        ours = on_white(renderer.render(view.camera, view.width, view.height, samples=2)).astype(np.float32)
        true = on_white(view.pixels).astype(np.float32)
        psnr = -10.0 * np.log10(max(float(np.square(ours - true).mean()), 1e-10))
        ssim = structural_similarity(
            ours, true, channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        rows.append((psnr, ssim, _flip(true, ours)))
    psnr, ssim, flip = (float(np.mean(column)) for column in zip(*rows, strict=True))
    return f"{psnr:.1f} / {ssim:.3f} / {'-' if np.isnan(flip) else f'{flip:.3f}'}"


def save(renderer: Renderer, photos: Sequence[View], file: Path) -> None:
    """The photos over the renders from their cameras, over renders from between and behind."""
    file.parent.mkdir(parents=True, exist_ok=True)
    side = 512
    above, below, around = [], [], []
    for number, photo in enumerate(photos):
        above.append(np.asarray(Image.fromarray(_bytes(on_white(photo.pixels))).resize((side, side))))
        below.append(_bytes(on_white(renderer.render(photo.camera, side, side, samples=3))))
        azimuth = photo.camera.azimuth + 180.0 if number else photo.camera.azimuth + 60.0
        around.append(_bytes(on_white(renderer.render(orbit(azimuth, 25.0), side, side, samples=3))))
    Image.fromarray(np.vstack([np.hstack(row) for row in (above, below, around)])).save(file)


def _fine(picture: Array, inside: Array) -> Array:
    """What a Gaussian over the inside alone takes away, (H, W, 3); 0 outside."""
    weight = gaussian_filter(inside.astype(np.float32), DETAIL_SIGMA)
    mean = (
        gaussian_filter(picture * inside[..., None], (DETAIL_SIGMA, DETAIL_SIGMA, 0))
        / np.maximum(weight, 1e-6)[..., None]
    )
    return np.where(inside[..., None], picture - mean, 0.0)


def _flip(true: Array, ours: Array) -> float:
    try:
        from flip_evaluator import evaluate
    except ImportError:
        return float("nan")
    return float(evaluate(true, ours, "LDR")[1])


def _bytes(picture: Array) -> Array:
    return np.rint(255.0 * picture).clip(0, 255).astype(np.uint8)


def _place(name: str) -> str:
    return name.partition(":")[2]


if __name__ == "__main__":
    main()
