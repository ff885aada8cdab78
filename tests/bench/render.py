"""Measure how fast a mesh is rendered, pass by pass: python tests/bench/render.py [MESH.glb] [--frames N].

For each pass and thread count: frames a second of a 512 x 512 turntable, without and with the video, and beside them
frames a second of the ray caster that finds the first surfaces where the rasteriser cannot. CPU milliseconds of a frame
depend less on what else the machine does, whose load is stated; with the mp4 the encoder's count too. Two free cores
make 2000 / them frames a second. Every figure is of a process of its own, whose peak memory it states.
Without a mesh file: a wavy ball with 40,000 faces and a texture of 2048 x 2048.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import processor

PASSES = ("shaded", "clay", "wireframe", "normals", "depth", "mask")
FACES, SIZE = 40_000, 512


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mesh", nargs="?", default="")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=PASSES)
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--measure", nargs=2, metavar=("PASS", "WAY"), help="one line of JSON, for the table")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.mesh, arguments.frames, *arguments.measure)))
        return
    print(processor(), f"load {os.getloadavg()[0]:.1f}", sep=", ")
    print("\n| pass | threads | frames/s | with mp4 | rays | CPU ms a frame | with mp4 | rays | peak MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind in arguments.passes:
        for threads in arguments.threads:
            raster, video, rays = (run(arguments, kind, way, threads) for way in ("raster", "video", "rays"))
            print(
                f"| {kind} | {threads} | {raster['rate']:.0f} | {video['rate']:.0f} | {rays['rate']:.1f} | "
                f"{raster['cpu']:.0f} | {video['cpu']:.0f} | {rays['cpu']:.0f} | {video['peak']:.0f} |",
                flush=True,
            )


def run(arguments: argparse.Namespace, kind: str, way: str, threads: int) -> dict[str, float]:
    """Measure in a process with so many threads; rays get a quarter of the frames."""
    frames = arguments.frames // 4 if way == "rays" else arguments.frames
    command = [sys.executable, __file__, arguments.mesh, "--frames", str(frames), "--measure", kind, way]
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(answer.stdout))


def measure(path: str, count: int, kind: str, way: str) -> dict[str, float]:
    """Frames a second, CPU milliseconds a frame and the peak memory in megabytes."""
    from meshcli.rendering.renderer import Renderer
    from meshcli.rendering.turntable import MeshPictures, turntable_cameras
    from meshcli.settings import RenderSettings
    from meshcli.system.memory_peak import peak_rss

    mesh = _mesh(path)
    settings = RenderSettings(size=SIZE, frames=count)
    show = MeshPictures(mesh, settings)
    cameras = turntable_cameras(mesh.vertices, settings)
    renderer = Renderer(mesh) if way == "rays" else show._renderer
    look = show.look(kind)  # type: ignore[arg-type]
    list(renderer.frames(cameras[:2], SIZE, SIZE, look=look))  # compiled and prepared
    start, cpu = time.perf_counter(), _cpu_seconds()
    if way == "video":
        with tempfile.TemporaryDirectory() as folder:
            show.turntable(Path(folder) / "turntable.mp4", kind)  # type: ignore[arg-type]
    else:
        for _ in renderer.frames(cameras, SIZE, SIZE, look=look):
            pass
    seconds, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
    return {"rate": count / seconds, "cpu": 1000.0 * cpu / count, "peak": peak_rss() / 1e6}


def _cpu_seconds() -> float:
    """Of this process and of those it started that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _mesh(path: str):  # type: ignore[no-untyped-def]  # Mesh, whose module is heavy
    """The mesh of a file, or the wavy ball."""
    import numpy as np
    import trimesh

    from meshcli.export.gltf import read_glb
    from meshcli.meshes.mesh import Mesh, Texture
    from meshcli.meshes.simplify import simplify

    if path:
        return read_glb(Path(path))
    body = trimesh.creation.icosphere(6)
    waves = 0.75 + 0.1 * np.sin(9.0 * body.vertices[:, 0]) * np.sin(7.0 * body.vertices[:, 2])
    mesh = simplify(Mesh((body.vertices * waves[:, None]).astype(np.float32), body.faces.astype(np.int32)), FACES)
    x, y, z = mesh.vertices.T
    coordinates = np.stack([np.arctan2(y, x) / (2.0 * np.pi) + 0.5, (z + 1.0) / 2.0], axis=1).astype(np.float32)
    rows, columns = np.mgrid[0:2048, 0:2048]
    image = np.stack([columns // 8 % 256, rows // 8 % 256, (rows // 64 + columns // 64) % 2 * 160], axis=-1)
    return Mesh(mesh.vertices, mesh.faces, texture=Texture(image.astype(np.uint8), coordinates, mesh.faces))


if __name__ == "__main__":
    main()
