"""What is printed with Rich: progress, messages, tables, errors. Data goes to stdout, the rest to stderr."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from meshcli.commands import child_reports
from meshcli.commands.command_log import log_message
from meshcli.commands.plain_output import escape_controls
from meshcli.commands.prose import wrap_prose
from meshcli.project.artefacts import CUTOUTS_SHEET, GUESSES_SHEET
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.stages.cut_outs import rembg_advice
from meshcli.stages.mesh_check import mesh_match
from meshcli.stages.mesh_import import engine_label
from meshcli.stages.photo_azimuths import MIN_CHANCE, azimuth_command, azimuth_lines, photos_of_unknown_azimuth
from meshcli.stages.stage_runner import PAUSED, assignments
from meshcli.stages.status import ProjectStatus, changed_settings, seconds, stale_choice
from meshcli.stages.view_choice import shown_coverage, shown_scores
from meshcli.system import compilation
from meshcli.system.child_records import send_picture, takes_pictures

if TYPE_CHECKING:
    from meshcli.pictures.pixels import Pixels
    from meshcli.stages.align import PhotoAlignment
    from meshcli.stages.stage_runner import Outcome

PREVIEW_QUALITY = 90  # of WebP, for a page; by eye: a sheet of 80 x 120 pixels shows no blocks
PAGE_PREVIEW_STEPS = 5  # of the denoising between previews for a page; by choice: 15 pictures of 75 steps
PREVIEW_COLUMNS = 40  # of an unfinished sheet of views; by eye: large enough to judge, and it leaves room to scroll
INTERRUPTED_CODES = (130, 143)  # the exit codes after Ctrl-C and SIGTERM
PROGRESS_INTERVAL = 5.0  # seconds between progress lines off a terminal; by eye: a log stays short
RECORD_INTERVAL = 0.1  # seconds between reports of a child to `run`; by choice: a bar is drawn about as often
NARROW_STATUS = 60  # columns below which reasons in the table of `status` would be cut off; by eye
SUMMARY_INDENT = 9  # columns of the summary's headings: the longest, `guessed`, and a gap
SUMMARY_MIN_WIDTH = 20  # columns of its texts, however narrow the terminal
COMPILING = "compiling once for this machine"

STATE_STYLES = {"done": "green", "running": "cyan", "missing": "dim"}  # anything else is yellow
SCORES = {"shape": "shape", "colour": "colour", "sharp": "sharpness", "whole": "whole"}  # title -> key; see scores.py
ARTEFACTS = {  # the result whose path a stage prints
    "generate": "views/sheet.png",
    "select": "selection.png",
    "reconstruct": "mesh/mesh.glb",
    "render": "renders/turntable.mp4",
    "export": "export",  # the folder
}


class Reporter:
    """Shows the progress and messages of a stage; a context manager that removes the progress bar at the end."""

    def __init__(self, quiet: bool = False, verbose: int = 0) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=quiet
            or child_reports.sends_records()
            or not self.console.is_terminal
            or self.console.is_dumb_terminal,
        )
        self._task: TaskID | None = None
        self._last_line = time.monotonic()  # when the last progress line was printed
        self._start = (0, 0, 0.0)  # total, done and time at the first report of the current work
        self._work = (0, 1, "starting")  # done, total and description, as reported last
        self._since = time.monotonic()  # when the work of this description began
        self._sends_records = child_reports.sends_records() and not quiet
        self._sent = ""  # the work that was sent to `run` last
        self._said_compiling = False
        self._listening = ExitStack()

    def __enter__(self) -> "Reporter":
        self._listening.enter_context(compilation.listening(self._compiling))
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self._bar.stop()

    def progress(self, done: int, total: int, what: str) -> None:
        """Show progress: as a bar on a terminal, else as a line every few seconds."""
        what = escape_controls(what)
        if what != self._work[2]:
            self._since = time.monotonic()
        self._work = done, total, what
        if total != self._start[0] or done < self._start[1]:
            self._start = total, done, time.monotonic()
        if not self._bar.disable:
            self._bar.start()
            if self._task is None:
                self._task = self._bar.add_task(what, count="")
            counted = total if total > 1 else None
            count = f"{done}/{total}" if counted else ""
            self._bar.update(self._task, description=what, completed=done, total=counted, count=count)
        elif self._sends_records:
            self._send_progress(done, total, what)
        elif time.monotonic() - self._last_line >= PROGRESS_INTERVAL:
            self._last_line = time.monotonic()
            count, left = (f" {done}/{total}", self._remaining(done)) if total > 1 else ("", "")
            self._print(f"{what}{count}{left or self._elapsed()}")

    def _send_progress(self, done: int, total: int, what: str) -> None:
        """Send progress to `run`: each new work at once, the same work in intervals."""
        new_work = what != self._sent
        if new_work or done == total or time.monotonic() - self._last_line >= RECORD_INTERVAL:
            self._last_line, self._sent = time.monotonic(), what
            child_reports.send(done=done, total=total, what=what)

    def _compiling(self, begins: bool, seconds: float) -> None:
        """Show that loops are compiled, and then the work that goes on."""
        done, total, what = self._work
        if begins and self._bar.disable and not self._sends_records:
            if not self._said_compiling:
                self.tell(COMPILING)
            self._said_compiling = True
        elif begins:
            self.progress(0, 1, COMPILING)
            self._work = done, total, what
        else:
            self.progress(done, total, what)
        if not begins and self._sends_records:
            child_reports.send(compiled=seconds)

    def tell(self, sentence: str) -> None:
        """Print a message, and log it."""
        log_message(sentence)
        self._print(sentence)

    def _print(self, sentence: str) -> None:
        """Print a line without Rich's markup: a path may look like it."""
        self.console.print(escape_controls(sentence), markup=False, soft_wrap=True)

    def report_left_out(self, sentence: str) -> None:
        """Print why something is left out, as an error: with --quiet too."""
        log_message(sentence)
        print_error(sentence, None if self.quiet else self.console)

    @property
    def preview_every(self) -> int:
        """Denoising steps between unfinished pictures that nobody asked for: a page shows them anyway."""
        return PAGE_PREVIEW_STEPS if self._sends_records and takes_pictures() else 0

    def show(self, name: str, pixels: "Pixels") -> None:
        """Show an unfinished picture (H, W, 3) on a terminal with colours, or send it to a page in a browser."""
        if self._sends_records and takes_pictures():
            from meshcli.pictures.image import encode_webp

            send_picture(name, encode_webp(pixels, PREVIEW_QUALITY, 4))
            return
        console = child_reports.parents_console() if self._sends_records else self.console
        if console is None or not console.color_system or (self._bar.disable and not self._sends_records):
            return
        from PIL import Image
        from textual_image.renderable.halfcell import Image as HalfcellImage

        columns = min(PREVIEW_COLUMNS, console.width)
        console.print(f"photo {name}:", markup=False)
        console.print(HalfcellImage(Image.fromarray(pixels), columns, "auto"))

    def _remaining(self, done: int) -> str:
        """The estimated time left, at the pace so far; empty before there is one."""
        total, before, start = self._start
        if done <= before:
            return ""
        left = (time.monotonic() - start) / (done - before) * (total - done)
        return f", {left / 60:.0f} min left" if left > 90 else f", {left:.0f} s left"

    def _elapsed(self) -> str:
        """How long the current work has taken, as a sign of life; empty at its beginning."""
        elapsed = time.monotonic() - self._since
        return f", {elapsed:.0f} s so far" if elapsed >= PROGRESS_INTERVAL else ""

    def finished(self, project: Project, outcome: "Outcome", following: str) -> None:
        """Report the outcome of a stage, and print the path of its result."""
        self._bar.stop()
        took = seconds(outcome.record)
        unchanged = _unchanged(outcome, _local_time(outcome.record.finished))
        ended = "cut out" if PAUSED in outcome.record.facts else "done"
        text = unchanged or (f"{ended} in {took:.1f} s" if took is not None else ended)
        without = f", without {', '.join(left.photo for left in outcome.left_out)}" if outcome.left_out else ""
        if self._sends_records:
            child_reports.send(skipped=outcome.skipped)
        else:
            self.tell(f"{outcome.stage}: {text}{', skipped' if outcome.skipped else ''}{without}")
        if self.verbose:
            for line in _format_facts(outcome.record.facts):
                self.tell(f"  {line}")
        if following and not child_reports.is_child():
            self.tell(f"next: {following}")
        written = [output.file for output in outcome.record.outputs]
        videos = [file for file in written if outcome.stage == "render" and file.endswith(".mp4")]
        artefact = CUTOUTS_SHEET if PAUSED in outcome.record.facts else ARTEFACTS[outcome.stage]
        if shown := [file for file in written if file == artefact] or videos:
            print(project.root / shown[0])  # data, never styled or wrapped
        elif outcome.stage == "export":
            print(project.root / artefact)


def outcome_json(project: Project, outcome: "Outcome", following: str) -> dict[str, Any]:
    """The outcome of a stage as a JSON document."""
    record = outcome.record
    return {
        "meshcli": 1,
        "project": str(project.root),
        "stage": outcome.stage,
        "skipped": outcome.skipped,
        "reason": _unchanged(outcome, outcome.record.finished),
        "engine": record.engine,
        "options": record.options,
        "outputs": [output.to_json() for output in record.outputs],
        "facts": record.facts,
        "notes": list(outcome.notes),
        **_left_out_json(outcome),
        "next": following,
    }


def outcome_plan(outcome: "Outcome") -> dict[str, Any]:
    """The plan of a dry run as a JSON document."""
    reason = outcome.would_run or _unchanged(outcome, outcome.record.finished)
    return {
        "stage": outcome.stage, "runs": bool(outcome.would_run), "reason": reason,
        "engine": outcome.record.engine, **_left_out_json(outcome),
    }  # fmt: skip


def _left_out_json(outcome: "Outcome") -> dict[str, Any]:
    """The photos that cannot be used, where there are any."""
    return {"left_out": [left.to_json() for left in outcome.left_out]} if outcome.left_out else {}


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
        text = escape_controls(f"last: {failure.command} {how} {_local_time(failure.time)}: {failure.error}")
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


def _unchanged(outcome: "Outcome", since: str) -> str:
    """Why a stage was skipped; empty if it was not."""
    return f"unchanged since {since}" if outcome.skipped else ""


def _local_time(utc: str) -> str:
    """The hour and minute of today, with the date of another day; as it stands where it is no time."""
    try:
        when = datetime.fromisoformat(utc).astimezone()
    except ValueError:
        return utc
    return when.strftime("%H:%M" if when.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


def _format_facts(facts: dict[str, Any]) -> Iterator[str]:
    """The measurements of a record, a line for each kind."""
    for key, value in facts.items():
        if key == "notes":  # they were told as they came
            continue
        if isinstance(value, dict):
            yield f"{key}: {', '.join(f'{name} {item}' for name, item in value.items())}"
        else:
            memory = key in ("peak_rss", "peak_vram") and isinstance(value, int | float)
            yield f"{key}: {f'{value / 1e6:.0f} MB' if memory else value}"


def _escape_markup(text: str) -> str:
    """The text on one line, escaped so that Rich does not read it as markup."""
    return escape_controls(text).replace("[", r"\[")
