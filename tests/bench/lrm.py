"""Measure time and memory of reconstruction networks: python tests/bench/lrm.py WEIGHTS [--threads N] [--only NAME].

WEIGHTS is a folder of full-size checkpoints, real or written by tests/tools/synthetic_weights.py. Every step runs in a
process of its own. Prints one JSON document: the processor and its restrictions by environment variables; then for each
step wall and CPU seconds, peak resident memory and facts about the result.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import processor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

VERTICES = {"mesh": 27_000, "nerf": 111_000}  # of the objects that the published code was measured with
SHEET = "fox.png"


def main() -> None:
    """Run every step, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=sorted(STEPS), action="append")
    parser.add_argument("--here", choices=sorted(STEPS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(STEPS[arguments.here](arguments.weights)))
        return
    results = {name: measured(name, arguments.weights, arguments.threads) for name in arguments.only or STEPS}
    where = {"processor": processor(), "threads": arguments.threads, "load before the end": os.getloadavg()[0]}
    print(json.dumps({**where, "steps": results}, indent=1))


def measured(name: str, weights: Path, threads: int) -> dict[str, Any]:
    """One step in a child."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    line = [sys.executable, __file__, str(weights), "--here", name]
    run = subprocess.run(line, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    print(f"{name}: {run.stdout.strip()}", file=sys.stderr)
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def timed(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` says, with its seconds; the peak is the whole process's."""
    wall, processor = time.perf_counter(), time.process_time()
    facts = work()
    return {
        "wall": round(time.perf_counter() - wall, 2),
        "cpu": round(time.process_time() - processor, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        **facts,
    }


def planes(dtype: str) -> Callable[[Path], dict[str, Any]]:
    """Six views of 320 x 320 to feature planes, large."""

    def step(folder: Path) -> dict[str, Any]:
        import torch

        from meshcli.progress import silent
        from meshcli.reconstructors.instantmesh import encode_views
        from meshcli.reconstructors.network_file import read_network
        from meshcli.weights.conversion import ensure_safetensors
        from meshcli.weights.locations import require_weights

        sizes = read_network("instant-mesh-large").sizes
        path = ensure_safetensors(require_weights("instant-mesh-large", folder).path, "lrm_generator.")
        views, device = sheet_views(), torch.device("cpu")

        def work() -> dict[str, Any]:
            found = encode_views(views, sizes, path, device, getattr(torch, dtype), silent)
            return {"mean": round(float(found.values.mean()), 6)}

        return timed(work)

    return step


def bf16_beside_fp32(folder: Path) -> dict[str, Any]:
    """What bfloat16 changes: the planes, the signs on the grid, and how far the surfaces lie apart."""
    import numpy as np
    import torch
    from scipy.spatial import cKDTree

    from meshcli.lrm.mesh_field import MeshField, grid_axis
    from meshcli.lrm.triplane import sample_lattice
    from meshcli.progress import silent
    from meshcli.reconstructors.instantmesh import encode_views
    from meshcli.reconstructors.network_file import read_network
    from meshcli.weights.conversion import ensure_safetensors
    from meshcli.weights.locations import require_weights

    sizes = read_network("instant-mesh-large").sizes
    path = ensure_safetensors(require_weights("instant-mesh-large", folder).path, "lrm_generator.")
    axis = grid_axis(sizes.grid_res, sizes.grid_scale)
    values, signs, vertices = [], [], []
    for dtype in (torch.float32, torch.bfloat16):
        planes = encode_views(sheet_views(), sizes, path, torch.device("cpu"), dtype, silent)
        field = MeshField(planes.decoder, planes.values, sizes.grid_scale)
        lattice = sample_lattice(planes.values, axis)
        distances = field.distances(lattice)
        values.append(planes.values)
        signs.append(distances < 0)
        vertices.append(field.extract_from_distances(distances, axis, lattice).vertices.numpy())
    apart = cKDTree(vertices[0]).query(vertices[1])[0] / (sizes.grid_scale / sizes.grid_res)
    return {
        "planes, rms of the difference over rms": round(float((values[0] - values[1]).norm() / values[0].norm()), 5),
        "signs that differ, of all grid vertices": round(float((signs[0] != signs[1]).float().mean()), 6),
        "inside, of all grid vertices": round(float(signs[0].float().mean()), 3),
        "vertices": [len(part) for part in vertices],
        "vertices apart, in cells: median, 95 %": [round(float(np.percentile(apart, share)), 3) for share in (50, 95)],
    }


def extraction(kind: str) -> Callable[[Path], dict[str, Any]]:
    """Planes to a mesh with vertex colours: a smooth body with about as many vertices as a usual object."""

    def step(folder: Path) -> dict[str, Any]:
        import torch

        from meshcli.progress import silent
        from meshcli.reconstructors.instantmesh import extract_mesh
        from meshcli.settings import LrmSettings

        body, grid, threshold = smooth_body(kind, folder)
        settings = LrmSettings(grid=grid, threshold=threshold)

        def work() -> dict[str, Any]:
            built = extract_mesh(body, settings, silent)
            return {"vertices": len(built.mesh.vertices), "faces": len(built.mesh.faces), "empty": built.empty}

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        return {**timed(work), "before_mb": round(before)}

    return step


def smooth_body(kind: str, folder: Path) -> tuple[Any, int, float]:
    """Planes of slow waves, grid, and threshold; the surface is moved to where it has the wanted number of vertices."""
    import torch
    from torch.nn import functional

    from meshcli.lrm.model import load_decoder
    from meshcli.lrm.triplane import TriplaneMlp, sample_lattice
    from meshcli.reconstructors.instantmesh import Triplanes
    from meshcli.reconstructors.network_file import read_network
    from meshcli.weights.conversion import ensure_safetensors
    from meshcli.weights.locations import require_weights
    from meshcli.weights.safetensors_file import state_dict

    name = f"instant-{kind}-large"
    file = read_network(name)
    path = ensure_safetensors(require_weights(name, folder).path, "lrm_generator.")
    decoder = load_decoder(file.sizes, state_dict(path), torch.device("cpu"))
    coarse = torch.randn(3, file.sizes.triplane_dim, 6, 6, generator=torch.Generator().manual_seed(5))
    values = functional.interpolate(coarse, (file.sizes.plane,) * 2, mode="bicubic", align_corners=False)
    axis = torch.linspace(-1.05, 1.05, 65) if kind == "mesh" else torch.linspace(-1, 1, 65)
    net = decoder.net_sdf if kind == "mesh" else decoder.net
    with torch.inference_mode():
        field = TriplaneMlp(net, outputs=1).evaluate_lattice(sample_lattice(values, axis)).clone()
    signed = field if kind == "mesh" else -field
    level = level_for(signed, VERTICES[kind] / ((file.grid / 64) ** 2))
    if kind == "mesh":
        net[6].bias.data[0] -= level
        return Triplanes(file.sizes, values, decoder), file.grid, 0.0
    return Triplanes(file.sizes, values, decoder), file.grid, float(functional.softplus(torch.tensor(-level - 1.0)))


def level_for(field: Any, cells: float) -> float:
    """The level, below the median, whose surface crosses about so many cells of the lattice."""
    import torch

    from meshcli.lrm.flexicubes import crossed_cells

    low, high = 0.0, 0.5
    for _ in range(20):
        middle = (low + high) / 2
        level = float(torch.quantile(field.flatten()[::7], middle))
        low, high = (low, middle) if len(crossed_cells(field - level).indices) > cells else (middle, high)
    return level


def whole(dtype: str, usual: bool) -> Callable[[Path], dict[str, Any]]:
    """Converted checkpoint and six views to OBJ and GLB without a texture, the whole command.

    Synthetic weights make a surface of noise, ten times as large as a real one; the level at which `usual` takes it
    leaves as many vertices as an object has.
    """

    def step(folder: Path) -> dict[str, Any]:
        from helpers.paths import SHEETS
        from helpers.view_sheets import project_of

        with tempfile.TemporaryDirectory() as place:
            weights = usual_weights(folder, Path(place)) if usual else folder
            project = project_of(SHEETS / SHEET, Path(place) / "object")
            line = [sys.executable, "-m", "meshcli", "reconstruct", str(project.root), "--engine", "instant-mesh-large"]
            line += ["--weights", str(weights), "--dtype", dtype, "--no-texture", "--quiet"]
            subprocess.run([*line, "--dry-run"], check=True, stdout=subprocess.DEVNULL)  # a new file's digest is known
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            start = time.perf_counter()
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            wall = time.perf_counter() - start
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            record = json.loads((project.root / "manifest.json").read_text())["stages"]["reconstruct"]["facts"]
            return {
                "wall": round(wall, 2),
                "cpu": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 2),
                "peak_mb": round(used.ru_maxrss / 1024), "vertices": record["vertices"], "steps": record["seconds"],
            }  # fmt: skip

    return step


def usual_weights(folder: Path, place: Path) -> Path:
    """A copy of the large network whose distances are moved: the file of its weights."""
    import torch

    from meshcli.lrm.mesh_field import MeshField, grid_axis
    from meshcli.lrm.triplane import sample_lattice
    from meshcli.progress import silent
    from meshcli.reconstructors.instantmesh import encode_views
    from meshcli.reconstructors.network_file import read_network
    from meshcli.weights.conversion import ensure_safetensors
    from meshcli.weights.locations import require_weights

    name, bias = "instant-mesh-large", "synthesizer.decoder.net_sdf.6.bias"
    file = read_network(name)
    path = ensure_safetensors(require_weights(name, folder).path, "lrm_generator.")
    planes = encode_views(sheet_views(), file.sizes, path, torch.device("cpu"), torch.bfloat16, silent)
    lattice = sample_lattice(planes.values, grid_axis(file.grid, file.sizes.grid_scale))
    field = MeshField(planes.decoder, planes.values, file.sizes.grid_scale).distances(lattice)
    copy = place / path.name
    shutil.copyfile(path, copy)
    with copy.open("r+b") as stream:
        size = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(size))[bias]
        assert entry["dtype"] == "F32"
        stream.seek(8 + size + entry["data_offsets"][0])
        stream.write((planes.decoder.net_sdf[6].bias - level_for(field, VERTICES["mesh"])).detach().numpy().tobytes())
    return copy


def sheet_views() -> Any:
    """The tiles of a real sheet with their cameras."""
    from helpers.paths import SHEETS
    from helpers.view_sheets import project_of
    from meshcli.stages.view_loading import load_views

    with tempfile.TemporaryDirectory() as place:
        project = project_of(SHEETS / SHEET, Path(place) / "object")
        return load_views(project, list(project.load().active_views.values()))


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "views to planes, large, fp32": planes("float32"),
    "views to planes, large, bf16": planes("bfloat16"),
    "planes to mesh, large, grid 128": extraction("mesh"),
    "planes to mesh, nerf large, 256": extraction("nerf"),
    "whole process, fp32": whole("fp32", usual=True),
    "whole process, bf16": whole("bf16", usual=True),
    "whole process, fp32, 200,000 vertices": whole("fp32", usual=False),
    "whole process, bf16, 200,000 vertices": whole("bf16", usual=False),
    "bf16 beside fp32": bf16_beside_fp32,
}


if __name__ == "__main__":
    main()
