"""The mesh: which engine builds it, then to turn around among its cameras, and to download."""

from functools import partial
from pathlib import Path

from nicegui import events, ui

from meshcli.engines import NETWORKS, Reconstructor
from meshcli.errors import MeshcliError
from meshcli.project.artefacts import CONTACT_SHEET, MESH, TURNTABLE
from meshcli.project.manifest import Stage
from meshcli.stages.mesh_check import mesh_match
from meshcli.stages.networks import missing_requirement
from meshcli.stages.preflight import pick_reconstructor_ahead
from meshcli.stages.stage_runner import RunOptions
from meshcli.ui.board import Board
from meshcli.ui.files import MEDIA_TYPES
from meshcli.ui.parts import CommandLine, button, file_link, picture_address
from meshcli.ui.views_tab import accept

RECONSTRUCTORS = {
    "auto": "automatic",
    "fit": "fit: a surface fitted to the views, needs nothing",
    "instant-mesh-large": "instant-mesh-large: predicted by a network",
    "instant-mesh-base": "instant-mesh-base: a smaller network",
    "instant-nerf-large": "instant-nerf-large: a radiance field",
    "instant-nerf-base": "instant-nerf-base: a smaller radiance field",
}
FIRST = ("mesh/mesh.glb", "mesh/mesh.obj", "mesh/mesh.mtl", "mesh/mesh.png", "mesh/colours.obj")  # among downloads
SHEET_SIDE = 1280  # pixels of the contact sheet
FOLDER = "mesh/"  # whose files may be downloaded here


class MeshTab:
    """The tab."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._shown: object = None
        self._none = ui.label("There is no mesh yet: choose views, or let it choose, and press “Build the mesh”.")
        self._none.classes("hint")
        self._stale = ui.label().classes("warning")
        with ui.element("div").classes("step"):
            with ui.row().classes("choices"):
                self._quality = ui.select(
                    board.qualities("reconstruct"), label="Settings", on_change=self._choose_quality
                )
                self._engine = ui.select(RECONSTRUCTORS, label="Built by", on_change=self._choose)
                self._build = button("Build the mesh", self._reconstruct, "view_in_ar", main=True)
                self._render = button("Turntable and stills", partial(self._start, "render", "render"), "movie")
            self._hint = ui.label().classes("hint")
            self._command = CommandLine()
        self._viewer = ui.element("div")
        self._match = ui.label().classes("hint")
        self._results = ui.element("div").classes("results")

    def update(self) -> None:
        """Show what has changed."""
        board = self.board
        manifest, status = board.manifest, board.stage("reconstruct")
        self._engine.set_value(board.reconstructor)
        if (choices := board.qualities("reconstruct")) != self._quality.options:
            self._quality.set_options(choices)
        self._quality.set_value(board.quality_of("reconstruct"))
        made = board.stage("generate").state == "done"
        self._hint.set_text(_engine_hint(board) if made else "First make the views, on the Photos tab.")
        idle = not board.jobs.at_work and not board.elsewhere
        self._build.set_enabled(idle and made)
        has_mesh = MESH in manifest.listed_files and (board.project.root / MESH).is_file()
        self._render.set_enabled(idle and status.state == "done")
        self._none.set_visibility(not has_mesh)
        stale = has_mesh and status.state not in ("done", "running")
        self._stale.set_text(f"This mesh is out of date: {status.reason}." if stale else "")
        self._stale.set_visibility(stale)
        self._command.show(board.shown(self._words(*self._range())))
        self._match.set_text(mesh_match(manifest.stages.get("reconstruct")) if has_mesh else "")
        files = _downloads(board)
        key = (has_mesh and self.board.time_of(MESH), files, self.board.time_of(TURNTABLE))
        if key != self._shown:
            self._shown = key
            self._draw(has_mesh, files)

    def _draw(self, has_mesh: bool, files: list[str]) -> None:
        """The viewer, the downloads, and what `render` made."""
        self._viewer.clear()
        self._results.clear()
        if has_mesh:
            with self._viewer:
                ui.html(
                    f'<iframe src="/project/mesh?v={self.board.time_of(MESH)}" title="the mesh among its cameras" '
                    'loading="lazy"></iframe>',
                    sanitize=False,
                ).classes("viewer")
        with self._results:
            with ui.row().classes("downloads"):
                for file in files:
                    file_link(file.rpartition("/")[2], file)
            if TURNTABLE in files:
                stamp = self.board.time_of(TURNTABLE)
                ui.html(
                    f'<video src="/project/file/{TURNTABLE}?v={stamp}" controls loop muted playsinline '
                    'aria-label="turntable"></video>'
                    f'<img src="{picture_address(CONTACT_SHEET, SHEET_SIDE, stamp)}" alt="chosen views above renders '
                    'from the same cameras">',
                    sanitize=False,
                ).classes("renders")

    def _choose(self, event: events.ValueChangeEventArguments[Reconstructor]) -> None:
        if event.value in RECONSTRUCTORS and self.board.reconstructor != event.value:
            self.board.reconstructor = event.value
            self.board.changed()

    def _choose_quality(self, event: events.ValueChangeEventArguments[str]) -> None:
        if event.value is not None and self.board.quality != event.value:
            self.board.quality = event.value
            self.board.changed()

    def _range(self) -> tuple[Stage, Stage]:
        """The first and the last step of building: without a choice of views it is made first, as `run` does."""
        chosen = self.board.stage("select").state == "done" or self.board.choice_is_edited
        return ("reconstruct" if chosen else "select"), "reconstruct"

    def _words(self, first: Stage, last: Stage) -> list[str]:
        board = self.board
        named = board.reconstructor != "auto" and last == "reconstruct"
        engine = [f"--reconstructor={board.reconstructor}"] if named else []
        quality = [board.quality_of(last)] if board.quality_of(last) else []
        return board.words("run", f"--from={first}", f"--to={last}", *engine, *quality)

    async def _reconstruct(self) -> None:
        first, last = self._range()
        if self.board.choice_is_edited:  # what one sees chosen is what builds the mesh
            await accept(self.board)
        self._start(first, last)

    def _start(self, first: Stage, last: Stage) -> None:
        title = "building the mesh" if last == "reconstruct" else "making pictures and video"
        self.board.jobs.start(self._words(first, last), title)


def _downloads(board: Board) -> list[str]:
    """The results that may be downloaded, the most wanted first."""
    listed = board.manifest.listed_files
    more = sorted(file for file in listed if file.startswith(FOLDER) and Path(file).suffix in MEDIA_TYPES)
    wanted = [*(file for file in FIRST if file in listed), *(file for file in more if file not in FIRST)]
    wanted += [TURNTABLE] if TURNTABLE in listed else []
    return [file for file in wanted if (board.project.root / file).is_file()]


def _engine_hint(board: Board) -> str:
    """Which engine would build the mesh, and what it needs."""
    name = board.reconstructor
    if name in NETWORKS:
        missing = missing_requirement(name, RunOptions())
        return f"{name} needs {missing}" if missing else f"{name} can run on this machine"
    if name == "fit":
        return "fit needs nothing"
    try:
        engine, why = pick_reconstructor_ahead(board.manifest, board.run_arguments("reconstruct"))
    except MeshcliError as error:
        return str(error)
    return f"{engine} ({why.removeprefix('auto: ')})"
