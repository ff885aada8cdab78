"""What the server hands out besides pages: pictures and results that the manifest lists, and nothing else.

Pictures are decoded and encoded again, as small as asked for; what is no picture leaves as a download.
"""

import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.background import BackgroundTask

from meshcli.errors import MeshcliError, ResourceError, UsageError
from meshcli.pictures.image import load_picture
from meshcli.project.artefacts import EXPORT, GUESSES_SHEET, MESH, TURNTABLE
from meshcli.project.project import LockedError, Project
from meshcli.report.embedded import small_webp
from meshcli.report.mesh_page import mesh_page
from meshcli.report.project_page import MAX_PIXELS
from meshcli.stages.cut_out_editing import editable_photo, photo_in_frame, save_mask

MEDIA_TYPES = {  # suffix -> media type of what may be downloaded
    ".glb": "model/gltf-binary",
    ".obj": "text/plain",
    ".mtl": "text/plain",
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".gltf": "model/gltf+json",
    ".bin": "application/octet-stream",
    ".usda": "text/plain",
    ".usdc": "application/octet-stream",
    ".usdz": "model/vnd.usdz+zip",
    ".fbx": "application/octet-stream",
    ".zip": "application/zip",
    ".stl": "model/stl",
    ".3mf": "model/3mf",
    ".jpg": "image/jpeg",
    ".txt": "text/plain",
    ".py": "text/plain",
    ".ply": "application/octet-stream",
    ".json": "application/json",
}
MAX_SIDE = 2048  # pixels along the longer side of a picture
KEPT_PICTURES = 300  # as they were encoded; 20 kB each, by and large
REVALIDATE = {"cache-control": "private, no-cache"}
FOR_GOOD = {"cache-control": "private, max-age=86400, immutable"}  # the address names the file's time


def add_files(app: FastAPI, project: Project) -> None:
    """Add the addresses of pictures, downloads and the mesh to the application."""

    @app.get("/project/picture/{file:path}")
    async def picture(file: str, side: int = 480, v: str = "") -> Response:
        try:
            data = await run_in_threadpool(_small_picture, project, file, min(max(side, 16), MAX_SIDE))
        except (MeshcliError, OSError):
            return PlainTextResponse("no such picture", 404)
        return Response(data, media_type="image/webp", headers=FOR_GOOD if v else REVALIDATE)

    @app.get("/project/file/{file:path}")
    async def download(file: str) -> Response:
        try:
            path = await run_in_threadpool(_listed, project, file)
        except (MeshcliError, OSError):
            return PlainTextResponse("no such file", 404)
        if path.suffix not in MEDIA_TYPES:
            return PlainTextResponse("no such file", 404)
        inline = file == TURNTABLE
        return FileResponse(
            path, media_type=MEDIA_TYPES[path.suffix], filename=path.name, headers=REVALIDATE,
            content_disposition_type="inline" if inline else "attachment",
        )  # fmt: skip

    @app.get("/project/export.zip")
    async def exported() -> Response:
        try:
            path = await run_in_threadpool(_export_zip, project)
        except (MeshcliError, OSError) as error:
            return PlainTextResponse(str(error), 404)
        name = f"{project.root.resolve().name}.zip"
        return FileResponse(
            path, media_type=MEDIA_TYPES[".zip"], filename=name, headers=REVALIDATE,
            background=BackgroundTask(path.unlink, missing_ok=True),
        )  # fmt: skip

    @app.get("/project/mesh")
    async def mesh() -> Response:
        try:
            text = await run_in_threadpool(_mesh_page, project)
        except (MeshcliError, OSError) as error:
            return PlainTextResponse(str(error), 404)
        return HTMLResponse(text or "There is no mesh yet.", headers=REVALIDATE)


def add_masks(app: FastAPI, project: Project) -> None:
    """Add the addresses of a photo in the frame of its cut-out, of the cut-out, and of its new mask."""

    @app.get("/project/frame/{name}")
    async def frame(name: str) -> Response:
        try:
            data = await run_in_threadpool(_frame_picture, project, name)
        except (MeshcliError, OSError) as error:
            return PlainTextResponse(str(error), 404)
        return Response(data, media_type="image/png", headers=REVALIDATE)

    @app.get("/project/cutout/{name}")
    async def cut_out(name: str) -> Response:
        try:
            path, digest = await run_in_threadpool(_cut_out, project, name)
        except (MeshcliError, OSError) as error:
            return PlainTextResponse(str(error), 404)
        return FileResponse(path, media_type="image/png", headers={**REVALIDATE, "x-sha256": digest})

    @app.post("/project/mask/{name}")
    async def mask(name: str, request: Request) -> Response:
        body = await request.body()
        try:
            await run_in_threadpool(save_mask, project, name, body, request.headers.get("x-sha256", ""))
        except LockedError:
            return PlainTextResponse("another step is writing the project; save when it is done", 409)
        except MeshcliError as error:
            return PlainTextResponse(str(error), 409)
        except OSError as error:
            return PlainTextResponse(f"it cannot be written: {error.strerror}", 507)
        return PlainTextResponse("saved")


def _listed(project: Project, file: str) -> Path:
    """The path of a file that the manifest lists; UsageError for any other.

    The sheet of guesses is no output of a record, but among the files that are meshcli's own.
    """
    manifest = project.load()
    if file not in manifest.listed_files | ({GUESSES_SHEET} & manifest.own_files):
        raise UsageError(f"no file of the project: {file[:100]!r}")
    path = project.path(file)
    if not path.is_file():
        raise UsageError(f"{path} is not there any more")
    return path


def _export_zip(project: Project) -> Path:
    """A temporary file with all files of the last export, in their folders; whoever asked deletes it."""
    record = project.load().stages.get("export")
    if record is None or record.status != "done":
        raise UsageError("nothing was exported yet")
    files = [(output.file.removeprefix(f"{EXPORT}/"), _listed(project, output.file)) for output in record.outputs]
    with tempfile.NamedTemporaryFile(prefix="meshcli-ui-", suffix=".zip", delete=False) as temporary:
        path = Path(temporary.name)
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name, file in files:
                    archive.write(file, name)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path


def _small_picture(project: Project, file: str, side: int) -> bytes:
    path = _listed(project, file)
    stat = path.stat()
    return _encoded(path, side, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


@lru_cache(KEPT_PICTURES)
def _encoded(path: Path, side: int, version: tuple[int, ...]) -> bytes:
    try:
        return small_webp(load_picture(path, MAX_PIXELS, side), side)
    except MemoryError as error:
        raise ResourceError(f"{path} is too large to be shown") from error


def _mesh_page(project: Project) -> str:
    manifest = project.path("manifest.json").stat()
    mesh = _listed(project, MESH).stat()
    return _kept_mesh_page(project, (manifest.st_mtime_ns, mesh.st_mtime_ns, mesh.st_size))


@lru_cache(1)
def _kept_mesh_page(project: Project, version: tuple[int, ...]) -> str:
    return mesh_page(project)


def _frame_picture(project: Project, name: str) -> bytes:
    from meshcli.pictures.image import encode_png

    return encode_png(photo_in_frame(project, project.load(), name))


def _cut_out(project: Project, name: str) -> tuple[Path, str]:
    photo = editable_photo(project.load(), name)
    return project.path(photo.file), project.digest(photo.file)
