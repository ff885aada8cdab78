"""What is printed with Rich when work is over: tables, summaries, errors. Data goes to stdout, errors to stderr."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table

from meshcli.commands import child_reports
from meshcli.commands.plain_output import escape_controls
from meshcli.commands.prose import wrap_prose
from meshcli.project.artefacts import GUESSES_SHEET
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.stages.cut_outs import rembg_advice
from meshcli.stages.mesh_check import mesh_match
from meshcli.stages.mesh_import import engine_label
from meshcli.stages.photo_azimuths import MIN_CHANCE, azimuth_command, azimuth_lines, photos_of_unknown_azimuth
from meshcli.stages.reduced_settings import assignments
from meshcli.stages.status import ProjectStatus, changed_settings, seconds, stale_choice
from meshcli.stages.view_choice import shown_coverage, shown_scores

if TYPE_CHECKING:
    from meshcli.stages.align import PhotoAlignment

INTERRUPTED_CODES = (130, 143)  # the exit codes after Ctrl-C and SIGTERM
NARROW_STATUS = 60  # columns below which reasons in the table of `status` would be cut off; by eye
SUMMARY_INDENT = 9  # columns of the summary's headings: the longest, `guessed`, and a gap
SUMMARY_MIN_WIDTH = 20  # columns of its texts, however narrow the terminal

STATE_STYLES = {"done": "green", "running": "cyan", "missing": "dim"}  # anything else is yellow
SCORES = {"shape": "shape", "colour": "colour", "sharp": "sharpness", "whole": "whole"}  # title -> key; see scores.py


def print_plan(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what would run and why, a line each."""
    for row in rows:
        engine = f" with {row['engine']}" if row["engine"] and row["stage"] in ("generate", "reconstruct") else ""
        fetched = f" (fetches {', '.join(row['fetches'])} first)" if row.get("fetches") else ""
        runs = f"would run{engine}: " if row["runs"] else ""
        print(escape_controls(f"{row['stage']}: {runs}{row['reason']}{fetched}"))


def print_room(size: int, free: int) -> None:
    """Print how many bytes a run would write, estimated, and how many there are."""
    print(f"about {size / 1e6:,.0f} MB would be written; {free / 1e6:,.0f} MB are free")


def print_alignment(project: Project, answers: "Sequence[PhotoAlignment]", following: str) -> None:
    """Print the azimuth of each photo, its chance to be right, and the alternatives."""
    console = Console(highlight=False)
    table = Table("photo", "file", "azimuth", "size", "chance", "perhaps", box=None, header_style="dim")
    for row in answers:
        confidence = "typed" if row.confidence is None else f"{row.confidence:.0%}"
        others = ", ".join(format_azimuth(angle) for angle in row.others)
        table.add_row(
            row.name, _escape_markup(row.source), format_azimuth(row.azimuth), f"{row.enlarged:.2f}", confidence, others
        )
    console.print(table)
    if doubtful := [row.name for row in answers if row.confidence is not None and row.confidence < MIN_CHANCE]:
        correction = azimuth_command(project, (row.azimuth for row in answers), "generate")
        console.print(
            escape_controls(
                f"{', '.join(doubtful)}: a guess; look at {project.path(GUESSES_SHEET)}, and correct what is wrong: "
                f"`{correction}`"
            ),
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if following and not child_reports.is_child():
        console.print(f"next: {following}", markup=False, soft_wrap=True)


def print_error(message: str, console: Console | None = None) -> None:
    """Print an error on one line, neither wrapped nor read as markup, so that a command in it can be copied."""
    console = console or Console(stderr=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(escape_controls(message), markup=False, soft_wrap=True)


def print_status(status: ProjectStatus) -> None:
    """Print the stages as a table; on a narrow terminal the reasons follow it, where they have room."""
    console = Console(highlight=False)
    narrow = console.width < NARROW_STATUS
    table = Table("stage", "state", *(() if narrow else ("engine", "seconds", "why")))
    for row in status.stages:
        took = seconds(row.record)
        details = (
            _escape_markup(engine_label(row.record)),
            f"{took:.1f}" if took is not None else "",
            _escape_markup({"done": "", "failed": "see below"}.get(row.state, row.reason)),
        )
        state = f"[{STATE_STYLES.get(row.state, 'yellow')}]{row.state}[/]"
        table.add_row(row.stage, state, *(() if narrow else details))
    table.add_row(*([] if "export" in status.manifest.stages else ["export", "[dim]not run[/]"]))
    console.print(table)
    for row in status.stages:
        if narrow and row.state not in ("done", "failed"):
            for line in wrap_prose(escape_controls(f"{row.stage}: {row.reason}"), console.width):
                console.print(line, markup=False, soft_wrap=True)
        if row.state == "failed":  # whole and on one line: it has paths and commands to copy
            console.print(escape_controls(f"{row.stage} failed: {row.reason}"), markup=False, soft_wrap=True)
        if changed := changed_settings(row.record):
            text = escape_controls(assignments(changed))
            console.print(f"settings of {row.stage}: {text}", markup=False, soft_wrap=True)
    for line in (
        *azimuth_lines(status.manifest),
        *filter(None, [rembg_advice(status.project, status.manifest)]),
        *filter(None, [stale_choice(status.project, status.manifest)]),
        *filter(None, [mesh_match(status.manifest.stages.get("reconstruct"))]),
    ):
        console.print(escape_controls(line), markup=False, soft_wrap=True)
    failure = status.last_failure
    if failure and failure.error not in (row.reason for row in status.stages if row.state == "failed"):
        how = "was interrupted" if failure.exit_code in INTERRUPTED_CODES else "failed"
        text = escape_controls(f"last: {failure.command} {how} {local_time(failure.time)}: {failure.error}")
        console.print(text, markup=False, soft_wrap=True)
    if status.next:
        console.print(f"next: {status.next}", markup=False, soft_wrap=True)


def print_summary(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print headings and texts in two columns; prose is wrapped in the second on a terminal."""
    headings = [heading for heading, _ in rows]
    for before, (heading, text) in zip(["", *headings], rows, strict=False):
        width = max(console.width - SUMMARY_INDENT, SUMMARY_MIN_WIDTH) if console.is_terminal else sys.maxsize
        lines = wrap_prose(escape_controls(text), width)
        for first, line in zip(["" if heading == before else heading, *[""] * len(lines)], lines, strict=False):
            console.print(f"{first:{SUMMARY_INDENT}}{line}", markup=False, soft_wrap=True)


def print_models(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print which weights there are, and where."""
    table = Table(Column("name", no_wrap=True), "here", Column("size", no_wrap=True), "what", "licence")
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.0f} MB" if row["bytes"] else ""
        table.add_row(row["name"], row["where"] or "-", size, row["what"], row["licence"])
    Console(highlight=False).print(table)


def print_views(manifest: Manifest, to_stderr: bool = False) -> None:
    """Print the views as a table; selected ones with their position in the selection."""
    order = manifest.selection.names if manifest.selection else ()
    unknown = photos_of_unknown_azimuth(manifest)
    scored = any(shown_scores(view) for view in manifest.active_views.values())
    titles = (*SCORES, "score") if scored else ()
    table = Table("no", "name", "photo", "az", "el", "engine", *titles, "chosen", box=None, header_style="dim")
    for number, view in manifest.active_views.items():
        place = str(order.index(view.name) + 1) if view.name in order else ""
        side = "?" if view.photo in unknown else format_azimuth(view.camera.azimuth)
        angles = side, f"{view.camera.elevation:.0f}"
        keys = (*SCORES.values(), "total") if scored else ()
        scores = (format_score(shown_scores(view).get(key)) for key in keys)
        table.add_row(str(number), view.name, view.photo, *angles, _escape_markup(view.engine), *scores, place)
    console = Console(stderr=to_stderr, highlight=False)
    console.print(table)
    seen = shown_coverage([view for view in manifest.active_views.values() if view.name in order])
    if seen is not None:
        console.print(f"chosen views see {seen:.0%} of all sides")


def format_score(value: Any) -> str:
    """A score in four characters; empty if it is missing or does not fit."""
    return f"{value:.2f}" if isinstance(value, int | float) and abs(value) < 1e4 else ""


def views_json(manifest: Manifest) -> dict[str, Any]:
    """The views as a JSON document."""
    order = manifest.selection.names if manifest.selection else ()
    views = manifest.active_views
    rows = [
        {
            "number": number,
            **view.to_json(),
            "scores": dict(shown_scores(view)),
            "azimuth": view.camera.azimuth,
            "elevation": view.camera.elevation,
            "chosen": order.index(view.name) + 1 if view.name in order else None,
        }
        for number, view in views.items()
    ]
    seen = shown_coverage([view for view in views.values() if view.name in order])
    return {"views": rows, "coverage": None if seen is None else round(seen, 3)}


def format_azimuth(angle: float) -> str:
    """An azimuth as a whole number of degrees from 0 to 359."""
    return f"{round(angle) % 360}"


def local_time(utc: str) -> str:
    """The hour and minute of today, with the date of another day; as it stands where it is no time."""
    try:
        when = datetime.fromisoformat(utc).astimezone()
    except ValueError:
        return utc
    return when.strftime("%H:%M" if when.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


def _escape_markup(text: str) -> str:
    """The text on one line, escaped so that Rich does not read it as markup."""
    return escape_controls(text).replace("[", r"\[")
