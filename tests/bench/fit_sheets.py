"""Measure `fit` on real Zero123++ sheets against the sheets: python tests/bench/fit_sheets.py [NAME...] [--grey DIR].

The foreground mask is the same for all methods. PSNR over white outside that mask dilated by 2 pixels, IoU of the
rendered silhouette with the mask, both averaged over the six tiles. The bar: the compact sheets reach 23 dB / 0.965 on
average and none falls below 21 / 0.93; the thin ones as in THIN.

Where InstantMesh's mesh of the sheet is at hand: the mean and the median angle between the normals of both meshes, over
the pixels of the six cameras where both are seen, and the roughness of ours and of the network's, in degrees.
"""

import time

import numpy as np
from fit_meshes import parse, save_comparison
from measure import DATA, Array, on_white, psnr
from normals import NETWORK_NAMES, angles_between, network_mesh, normal_maps, roughness
from PIL import Image
from scipy.ndimage import binary_dilation
from scipy.sparse.csgraph import connected_components
from skimage.morphology import remove_small_holes, remove_small_objects

from meshcli.meshes.mesh import Mesh, adjacency
from meshcli.pictures.foreground import plain_background_alpha
from meshcli.progress import silent
from meshcli.reconstructors.fit import fit
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

COMPACT = [
    "cake",
    "cartoon_dinosaur",
    "cute_horse",
    "extinguisher",
    "fox",
    "fruit",
    "lamp",
    "plant",
    "robot",
    "sea_turtle",
    "sorting_board",
    "teasure_chest",
]
THIN = {"bird": (18.0, 0.90), "chair_armed": (16.0, 0.80), "chair_wood": (16.0, 0.60)}  # PSNR, IoU
FLOOR, MEAN = (21.0, 0.93), (23.0, 0.965)  # of the compact ones
PROTOTYPE = {
    "extinguisher": (25.1, 0.982),
    "fox": (23.9, 0.972),
    "robot": (22.3, 0.963),
    "cartoon_dinosaur": (21.9, 0.963),
    "plant": (21.1, 0.940),
    "sea_turtle": (25.3, 0.984),
    "bird": (17.9, 0.899),
    "chair_armed": (14.9, 0.776),
    "chair_wood": (14.0, 0.472),
}


def main() -> None:
    """Print one line per sheet, then the mean of the compact ones, and of those with a mesh of the network."""
    arguments = parse(__doc__ or "", (*COMPACT, *THIN))
    print("| sheet | PSNR / IoU | mean, median angle | roughness, network's | pieces | prototype | bar | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    compact, grey = [], []
    for name in arguments.names:
        views = sheet_views(name)
        start = time.perf_counter()
        mesh = fit(views, FitSettings(), 0, silent)
        seconds = time.perf_counter() - start
        ours = score_sheet(mesh, views)
        if name in COMPACT:
            compact.append(ours)
        network = network_mesh(name) if name in NETWORK_NAMES else None
        shape = [score_normals(mesh, network, views)] if network else []
        grey += shape
        verdict = f"{row(PROTOTYPE.get(name))} | {bar(ours, name)} | {seconds:.1f}"
        print(f"| {name} | {row(ours)} | {grey_row(shape)} | {pieces(mesh)} | {verdict} |", flush=True)
        if arguments.grey:
            save_comparison(mesh, views, arguments.grey / f"{name}.png", network)
    if compact:
        mean = tuple(np.mean(compact, axis=0))
        reached = "ok" if reaches(mean, MEAN) else "MISSED"
        print(f"| mean of {len(compact)} compact | {row(mean)} | | | | | {reached} | |")
    if grey:
        print(f"| mean of {len(grey)} with a mesh of the network | | {grey_row(grey)} | | | | |")


def sheet_views(name: str) -> list[View]:
    """The six tiles of a sheet with the rig's cameras and the masks that our own code makes."""
    views = []
    for i, (tile, camera) in enumerate(zip(_tiles(name), zero123plus_rig(known="rig"), strict=True)):
        alpha = plain_background_alpha(tile)
        if alpha is None:
            raise SystemExit(f"{name}: tile {i} has no plain background")
        views.append(View(f"a{i}", np.dstack([tile, alpha]), camera))
    return views


def neutral_mask(tile: Array) -> Array:
    """The mask (H, W) that everybody is measured with."""
    corners = np.concatenate([tile[y, x].reshape(-1, 3) for y in _ENDS for x in _ENDS]) / 255.0
    mask = np.abs(tile / 255.0 - np.median(corners, axis=0)).max(-1) > 0.05
    return remove_small_holes(remove_small_objects(mask, max_size=59), max_size=19)


def score_sheet(mesh: Mesh, views: list[View]) -> tuple[float, float]:
    """PSNR and IoU, the mean over the tiles."""
    renderer = Renderer(mesh)
    figures = []
    for view in views:
        mask = neutral_mask(view.pixels[..., :3])
        near = binary_dilation(mask, iterations=2)[..., None]
        picture = renderer.render(view.camera, view.width, view.height, samples=2)
        silhouette = picture[..., 3] >= 128
        iou = np.logical_and(mask, silhouette).sum() / np.logical_or(mask, silhouette).sum()
        figures.append((psnr(on_white(picture), np.where(near, view.pixels[..., :3] / 255.0, 1.0)), iou))
    mean = np.mean(figures, axis=0)
    return float(mean[0]), float(mean[1])


def score_normals(mesh: Mesh, network: Mesh, views: list[View]) -> tuple[float, float, float, float]:
    """Mean and median angle between the normals of two meshes, and the roughness of each; in degrees."""
    ours, theirs = normal_maps(mesh, views), normal_maps(network, views)
    angles = angles_between(ours, theirs)
    return float(angles.mean()), float(np.median(angles)), roughness(ours), roughness(theirs)


def pieces(mesh: Mesh) -> int:
    """How many connected parts a mesh has; each of these sheets shows one object."""
    _, part = connected_components(adjacency(mesh.faces, len(mesh.vertices)), directed=False)
    return len(np.unique(part[mesh.faces[:, 0]]))


def bar(figures: tuple[float, float], name: str) -> str:
    """Whether a sheet reaches what it must."""
    return "ok" if reaches(figures, THIN.get(name, FLOOR)) else "MISSED"


def reaches(figures: tuple[float, ...], wanted: tuple[float, float]) -> bool:
    """Both figures at least as high."""
    return all(a >= b for a, b in zip(figures, wanted, strict=True))


def row(figures: tuple[float, ...] | None) -> str:
    """The two figures as docs/measurements.md writes them."""
    return "-" if figures is None else f"{figures[0]:.1f} / {figures[1]:.3f}"


def grey_row(figures: list[tuple[float, float, float, float]]) -> str:
    """The mean of what `score_normals` finds, as two columns; dashes where there is nothing."""
    if not figures:
        return "- | -"
    mean, median, ours, theirs = np.mean(figures, axis=0)
    return f"{mean:.1f}, {median:.1f} | {ours:.2f}, {theirs:.2f}"


_ENDS = (slice(0, 8), slice(-8, None))  # of a tile's sides


def _tiles(name: str) -> list[Array]:
    sheet = np.asarray(Image.open(DATA / "views" / "white" / f"{name}.png").convert("RGB"))
    return [sheet[y : y + 320, x : x + 320] for y in (0, 320, 640) for x in (0, 320)]


if __name__ == "__main__":
    main()
