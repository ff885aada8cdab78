"""Export: formats, programs and size, as `export` takes them; then the files to download."""

from collections import Counter
from dataclasses import replace
from typing import Any

from nicegui import events, ui

from meshcli.errors import MeshcliError
from meshcli.export.targets import PRESETS as MADE_FOR
from meshcli.export.targets import install_line, missing_extra
from meshcli.project.artefacts import EXPORT, MESH
from meshcli.project.manifest import StageRecord
from meshcli.stages.export import length
from meshcli.ui.board import Board
from meshcli.ui.export_form import FORMATS, PRESETS, ExportForm
from meshcli.ui.parts import CommandLine, button, download_link, file_link

NAMES = {
    "glb": "GLB", "obj": "OBJ", "ply": "PLY", "stl": "STL", "3mf": "3MF", "usd": "USD", "usdz": "USDZ",
    "unreal": "Unreal: a folder", "blender": "Blender: a folder", "web": "Web: a small GLB",
    "print": "Printer: STL and 3MF",
}  # fmt: skip
SIZES = {
    "none": "not known",
    "height": "by its height",
    "width": "by its width, seen from the front",
    "longest": "by its longest side",
    "scale": "by a scale",
}
LIKE_RIG = {"like-rig": "as the photos' rig has it"}
PIVOTS = {
    "auto": "automatic", "base": "middle of its base", "centre": "its centre", "origin": "the project's origin",
}  # fmt: skip
UPS = {"auto": "usual of each format", "y": "y", "z": "z"}


class ExportTab:
    """The tab."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._shown: object = None
        self._boxes: dict[str, ui.checkbox] = {}
        self._none = ui.label("There is no mesh to export yet: build it, on the Mesh tab.").classes("hint")
        self._stale = ui.label().classes("warning")
        with ui.element("div").classes("step") as self._step:
            self._draw_targets()
            self._lacking = ui.label().classes("hint")
            self._draw_fields()
            self._make = button("Export", self._export, "file_download", main=True)
            self._make.classes("self-start")
            self._command = CommandLine()
        self._summary = ui.label()
        self._said = ui.label().classes("log")
        self._results = ui.element("div").classes("results")

    def _draw_targets(self) -> None:
        for label, names in (("Formats", FORMATS), ("For a program", PRESETS)):
            with ui.row().classes("choices targets").props(f'role=group aria-label="{label}"'):
                ui.label(label).classes("heading")
                for name in names:
                    self._boxes[name] = ui.checkbox(NAMES[name], on_change=self._choose_targets)

    def _draw_fields(self) -> None:
        with ui.row().classes("choices"):
            self._size_by = ui.select(SIZES, label="Size", on_change=lambda event: self._choose("size_by", event))
            self._size = ui.input("Length, as 45cm", on_change=lambda event: self._choose("size", event))
            self._pivot = ui.select(PIVOTS, label="At the origin", on_change=lambda event: self._choose("pivot", event))
            self._up = ui.select(UPS, label="Axis that points up", on_change=lambda event: self._choose("up", event))
        with ui.row().classes("choices"):
            self._faces = ui.input("Triangles, at most", on_change=lambda event: self._choose("faces", event))
            self._texture_size = ui.input(
                "Texels a side, at most", on_change=lambda event: self._choose("texture_size", event)
            )
            for field in (self._faces, self._texture_size):
                field.props('placeholder="all" inputmode=numeric stack-label')

    def update(self) -> None:
        """Show what has changed."""
        board, status = self.board, self.board.stage("export")
        has_mesh = MESH in board.manifest.listed_files and (board.project.root / MESH).is_file()
        self._none.set_visibility(not has_mesh)
        self._step.set_visibility(has_mesh)
        self._show_form(board.export_form)
        old = status.record is not None and status.state not in ("done", "running")
        self._stale.set_text(f"These files are out of date: {status.reason}." if old else "")
        self._stale.set_visibility(old)
        try:
            self._command.show(board.shown(self._words()))
            ready = True
        except MeshcliError as error:
            self._command.show(f"# {error}")
            ready = False
        self._make.set_enabled(has_mesh and ready and not board.jobs.at_work and not board.elsewhere)
        self._summary.set_text(export_summary(status.record))
        job = board.jobs.current
        said = job.lines if job and job.words[0] == "export" and not job.at_work else ()
        self._said.set_text("\n".join(said))
        self._said.set_visibility(bool(said))
        key = status.record.outputs if status.record and status.record.status == "done" else ()
        if key != self._shown:
            self._shown = key
            self._draw_files(status.record)

    def _show_form(self, form: ExportForm) -> None:
        lacking = {name: _missing(name) for name in self._boxes}
        for name, box in self._boxes.items():
            box.set_value(name in form.targets)
            box.set_enabled(not lacking[name] or name in form.targets)
        needs = {extra: [name for name in lacking if lacking[name] == extra] for extra in lacking.values() if extra}
        lines = [f"{', '.join(names)}: first {install_line(extra)}" for extra, names in needs.items()]
        self._lacking.set_text("; ".join(lines).replace("`", ""))
        self._lacking.set_visibility(bool(lines))
        sizes = SIZES | (LIKE_RIG if self.board.manifest.frame or form.size_by == "like-rig" else {})
        if sizes != self._size_by.options:
            self._size_by.set_options(sizes)
        for name in ("size_by", "size", "pivot", "up", "faces", "texture_size"):
            getattr(self, f"_{name}").set_value(getattr(form, name))
        self._size.set_visibility(form.size_by not in ("none", "like-rig"))
        self._size.props(f'label="{"Metres per unit" if form.size_by == "scale" else "Length, as 45cm"}"')

    def _draw_files(self, record: StageRecord | None) -> None:
        """The files of the last export, with their sizes."""
        self._results.clear()
        if record is None or record.status != "done":
            return
        with self._results, ui.row().classes("downloads"):
            if len(record.outputs) > 1:
                download_link("all as one zip", "/project/export.zip", f"{self.board.project.root.resolve().name}.zip")
            names = {output.file.removeprefix(f"{EXPORT}/"): output for output in record.outputs}
            for name, output in names.items():
                if "/" in name:
                    continue
                with ui.row().classes("title"):
                    file_link(name, output.file)
                    ui.label(_bytes(output.size)).classes("hint")
            folders = Counter(name.partition("/")[0] for name in names if "/" in name)
            if folders:
                inside = ", ".join(f"{folder} ({count} files)" for folder, count in folders.items())
                ui.label(f"in the zip, as folders: {inside}").classes("hint")

    def _choose_targets(self) -> None:
        chosen = tuple(name for name, box in self._boxes.items() if box.value)
        self.board.set_export_form(replace(self.board.export_form, targets=chosen))

    def _choose(self, name: str, event: events.ValueChangeEventArguments[Any]) -> None:
        changes: dict[str, Any] = {name: str(event.value or "")}
        self.board.set_export_form(replace(self.board.export_form, **changes))

    def _words(self) -> list[str]:
        return self.board.words("export", *self.board.export_form.options(self.board.recorded_export))

    def _export(self) -> None:
        self.board.jobs.start(self._words(), "exporting")


def export_summary(record: StageRecord | None) -> str:
    """How large the exported object is, and what else is on record about it; empty before an export."""
    if record is None or record.status != "done":
        return ""
    facts = record.facts
    parts: list[str] = []
    metres = facts.get("metres")
    if isinstance(metres, dict) and all(isinstance(value, int | float) for value in metres.values()):
        sizes = ", ".join(f"{length(float(value))} {word}" for word, value in (
            ("wide", metres.get("width", 0)), ("deep", metres.get("depth", 0)), ("high", metres.get("height", 0))
        ))  # fmt: skip
        parts.append(sizes if facts.get("size_known") else f"{sizes}: no size is known, one unit became one metre")
    for key in ("faces", "cameras", "files"):
        if isinstance(facts.get(key), int):
            parts.append(f"{facts[key]} {key}")
    folder = record.settings.get("export.folder")
    return "; ".join([*parts, *([f"copied to {folder} too"] if folder else [])])


def _missing(name: str) -> str:
    """The extra that a format or program needs and this machine lacks; empty if there is none."""
    made = next((targets for program, targets in MADE_FOR.items() if program == name), (name,))
    return next(filter(None, map(missing_extra, made)), "")


def _bytes(size: int) -> str:
    """A number of bytes for people."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"
