"""What a stage says while it works and when it is done: progress, messages, unfinished pictures, its outcome."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from meshcli.commands import child_reports
from meshcli.commands.command_log import log_message
from meshcli.commands.console import local_time, print_error
from meshcli.commands.plain_output import escape_controls
from meshcli.project.artefacts import CUTOUTS_SHEET
from meshcli.project.project import Project
from meshcli.stages.stage_runner import PAUSED
from meshcli.stages.status import seconds
from meshcli.system import compilation
from meshcli.system.child_records import send_picture, takes_pictures

if TYPE_CHECKING:
    from meshcli.pictures.pixels import Pixels
    from meshcli.stages.stage_runner import Outcome

PREVIEW_QUALITY = 90  # of WebP, for a page; by eye: a sheet of 80 x 120 pixels shows no blocks
PAGE_PREVIEW_STEPS = 5  # of the denoising between previews for a page; by choice: 15 pictures of 75 steps
PREVIEW_COLUMNS = 40  # of an unfinished sheet of views; by eye: large enough to judge, and it leaves room to scroll
PROGRESS_INTERVAL = 5.0  # seconds between progress lines off a terminal; by eye: a log stays short
RECORD_INTERVAL = 0.1  # seconds between reports of a child to `run`; by choice: a bar is drawn about as often
COMPILING = "compiling once for this machine"

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
        unchanged = _unchanged(outcome, local_time(outcome.record.finished))
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


def _unchanged(outcome: "Outcome", since: str) -> str:
    """Why a stage was skipped; empty if it was not."""
    return f"unchanged since {since}" if outcome.skipped else ""


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
