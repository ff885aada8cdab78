"""Everything that is shown: progress, messages, tables, errors. Data to stdout, the rest to stderr."""

import codecs
import io
import json
import os
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.stages.photo_set import sideless
from meshcli.stages.status import ProjectStatus, seconds
from meshcli.stages.view_choice import coverage
from meshcli.system import standard_streams

if TYPE_CHECKING:
    from meshcli.pictures.pixels import Pixels
    from meshcli.stages.align import PhotoAlignment
    from meshcli.stages.stage_runner import Outcome

PREVIEW = 40  # columns of an unfinished sheet of views
TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # what follows is shown in another order
ODD = "meshcli"  # what is done about characters that standard output cannot encode
UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories: controls, lone surrogates, separators of lines
EVERY = 5.0  # seconds between progress lines where there is no terminal

STATE_STYLES = {"done": "green", "running": "cyan", "missing": "dim"}  # anything else is yellow
SCORES = {"shape": "shape", "colour": "colour", "sharp": "sharpness", "whole": "whole"}  # title -> key; see scores.py
ARTEFACTS = {  # what a stage's caller most likely wants next
    "generate": "views/sheet.png",
    "select": "selection.png",
    "reconstruct": "mesh/mesh.glb",
    "render": "renders/turntable.mp4",
}


class Reporter:
    """Shows what a stage says while it runs; a context manager, so that the progress bar goes away."""

    def __init__(self, quiet: bool = False, verbose: int = 0) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal or self.console.is_dumb_terminal,
        )
        self._task: TaskID | None = None
        self._last = time.monotonic()
        self._first = (0, 0, 0.0)  # the whole, what was done of it when it was first heard of, and when that was

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def progress(self, done: int, total: int, what: str) -> None:
        """How far it is."""
        what = one_line(what)
        if total != self._first[0] or done < self._first[1]:
            self._first = total, done, time.monotonic()
        if not self._bar.disable:
            self._bar.start()
            if self._task is None:
                self._task = self._bar.add_task(what, total=total)
            self._bar.update(self._task, description=what, completed=done, total=total)
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self.tell(f"{what} {done}/{total}{self._left(done)}")

    def tell(self, sentence: str) -> None:
        """One sentence for the user on one line: a path may hold what looks like markup."""
        self.console.print(one_line(sentence), markup=False, soft_wrap=True)

    def complain(self, sentence: str) -> None:
        """What is wrong with something that is left out; heard also by those who want to hear errors only."""
        show_error(sentence, None if self.quiet else self.console)

    def show(self, name: str, pixels: "Pixels") -> None:
        """An unfinished picture (H, W, 3), on a terminal with colours."""
        if self._bar.disable or not self.console.color_system:
            return
        from PIL import Image
        from textual_image.renderable.halfcell import Image as HalfcellImage

        columns = min(PREVIEW, self.console.width)
        self.console.print(f"photo {name}:", markup=False)
        self.console.print(HalfcellImage(Image.fromarray(pixels), columns, "auto"))

    def _left(self, done: int) -> str:
        """How long it will take yet, from the pace so far."""
        total, before, start = self._first
        if done <= before:
            return ""
        left = (time.monotonic() - start) / (done - before) * (total - done)
        return f", {left / 60:.0f} min left" if left > 90 else f", {left:.0f} s left"

    def finished(self, project: Project, outcome: "Outcome", following: str) -> None:
        """Say what came of a stage, and print where the result is."""
        self._bar.stop()
        took = seconds(outcome.record)
        text = outcome.skipped or (f"done in {took:.1f} s" if took is not None else "done")
        without = f", without {', '.join(left.photo for left in outcome.left_out)}" if outcome.left_out else ""
        self.tell(f"{outcome.stage}: {text}{', skipped' if outcome.skipped else ''}{without}")
        if self.verbose:
            for line in _facts(outcome.record.facts):
                self.tell(f"  {line}")
        if following:
            self.tell(f"next: {following}")
        written = [output.file for output in outcome.record.outputs]
        if (artefact := ARTEFACTS[outcome.stage]) in written:
            print(project.root / artefact)  # data, never styled or wrapped


def prepare_output() -> None:
    """Make the standard streams usable, and let every name of a file leave through whatever encoding they have."""
    standard_streams.prepare()
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(ODD, _escaped)
        sys.stdout.reconfigure(errors=ODD)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """A byte of a name that is no UTF-8 as that byte; a character that the encoding does not have as JSON writes it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character, following = error.object[error.start], error.start + 1
    if "\udc80" <= character <= "\udcff":
        return os.fsencode(character), following
    return json.dumps(character)[1:-1], following


def hand_on(data: str) -> None:
    """What a child printed."""
    print(data, end="", flush=True)


def one_line(text: str) -> str:
    """The same text with what would begin a new line, or move a terminal's cursor, written out: a name may hold it."""
    return "".join(each.encode("unicode_escape").decode() if _unseen(each) else each for each in text)


def _unseen(character: str) -> bool:
    return unicodedata.category(character) in UNSEEN or unicodedata.bidirectional(character) in TURNING


def show_json(document: dict[str, Any]) -> None:
    """Exactly one document; what a terminal would act on, and bytes that are no UTF-8, are escaped as JSON can."""
    lines = json.dumps(document, indent=1, ensure_ascii=False).split("\n")
    print("\n".join("".join(json.dumps(each)[1:-1] if _unseen(each) else each for each in line) for line in lines))


def outcome_json(project: Project, outcome: "Outcome", following: str) -> dict[str, Any]:
    """What came of a stage, for scripts."""
    record = outcome.record
    return {
        "meshcli": 1,
        "project": str(project.root),
        "stage": outcome.stage,
        "skipped": bool(outcome.skipped),
        "reason": outcome.skipped,
        "engine": record.engine,
        "options": record.options,
        "outputs": [output.to_json() for output in record.outputs],
        "facts": record.facts,
        "notes": list(outcome.notes),
        **({"left_out": [left.to_json() for left in outcome.left_out]} if outcome.left_out else {}),
        "next": following,
    }


def outcome_plan(outcome: "Outcome") -> dict[str, Any]:
    """What would come of a stage."""
    runs = bool(outcome.would_run)
    return {"stage": outcome.stage, "runs": runs, "reason": outcome.would_run or outcome.skipped,
            "engine": outcome.record.engine}  # fmt: skip


def show_plan(rows: Sequence[Mapping[str, Any]]) -> None:
    """What would run and why, a line each."""
    for row in rows:
        engine = f" with {row['engine']}" if row["engine"] and row["stage"] in ("generate", "reconstruct") else ""
        print(one_line(f"{row['stage']}: {f'would run{engine}: ' if row['runs'] else ''}{row['reason']}"))


def show_alignment(answers: "Sequence[PhotoAlignment]", following: str) -> None:
    """From which side each photo was taken, how sure that is, and what else it could be."""
    console = Console(highlight=False)
    table = Table("photo", "file", "azimuth", "size", "confidence", "about as good", box=None, header_style="dim")
    for row in answers:
        sure = "given" if row.confidence is None else f"{row.confidence:.2f}"
        others = ", ".join(degrees(angle) for angle in row.others)
        table.add_row(row.name, _plain(row.source), degrees(row.azimuth), f"{row.enlarged:.2f}", sure, others)
    console.print(table)
    if doubtful := [row.name for row in answers if row.others]:
        console.print(
            f"{', '.join(doubtful)}: more than one answer fits; if it is wrong, say --azimuth to generate",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if following:
        console.print(f"next: {following}", markup=False, soft_wrap=True)


def show_error(message: str, console: Console | None = None) -> None:
    """One line: nothing wrapped, nothing taken for markup, so that a command in it can be copied."""
    console = console or Console(stderr=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(one_line(message), markup=False, soft_wrap=True)


def show_status(status: ProjectStatus) -> None:
    """The stages as a table."""
    console = Console(highlight=False)
    table = Table("stage", "state", "engine", "seconds", "why")
    for row in status.stages:
        took = seconds(row.record)
        table.add_row(
            row.stage,
            f"[{STATE_STYLES.get(row.state, 'yellow')}]{row.state}[/]",
            _plain(row.record.engine if row.record else ""),
            f"{took:.1f}" if took is not None else "",
            _plain("" if row.state == "done" else row.reason),
        )
    console.print(table)
    if status.next:
        console.print(f"next: {status.next}", markup=False, soft_wrap=True)


def show_models(rows: Sequence[Mapping[str, Any]]) -> None:
    """Which weights there are, and where."""
    table = Table(Column("name", no_wrap=True), "here", Column("size", no_wrap=True), "what", "licence")
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.0f} MB" if row["bytes"] else ""
        table.add_row(row["name"], row["where"] or "-", size, row["what"], row["licence"])
    Console(highlight=False).print(table)


def show_views(manifest: Manifest, to_stderr: bool = False) -> None:
    """The views as a table; the chosen ones carry their place in the selection."""
    order = manifest.selection.names if manifest.selection else ()
    unknown = sideless(manifest)
    table = Table("no", "name", "photo", "az", "el", "engine", *SCORES, "score", "chosen", box=None, header_style="dim")
    for number, view in manifest.live_views.items():
        place = str(order.index(view.name) + 1) if view.name in order else ""
        side = "?" if view.photo in unknown else degrees(view.camera.azimuth)
        angles = side, f"{view.camera.elevation:.0f}"
        scores = (score(view.scores.get(key)) for key in (*SCORES.values(), "total"))
        table.add_row(str(number), view.name, view.photo, *angles, _plain(view.engine), *scores, place)
    console = Console(stderr=to_stderr, highlight=False)
    console.print(table)
    cameras = [view.camera for view in manifest.live_views.values() if view.name in order]
    if cameras:
        console.print(f"chosen views see {coverage(cameras):.0%} of all sides")


def score(value: Any) -> str:
    """A score in four characters; empty when there is none."""
    return f"{value:.2f}" if isinstance(value, int | float) and abs(value) < 1e4 else ""


def views_json(manifest: Manifest) -> dict[str, Any]:
    """The same for scripts."""
    order = manifest.selection.names if manifest.selection else ()
    views = manifest.live_views
    rows = [
        {
            "number": number,
            **view.to_json(),
            "azimuth": view.camera.azimuth,
            "elevation": view.camera.elevation,
            "chosen": order.index(view.name) + 1 if view.name in order else None,
        }
        for number, view in views.items()
    ]
    seen = coverage([view.camera for view in views.values() if view.name in order])
    return {"views": rows, "coverage": round(seen, 3)}


def interactive() -> bool:
    """Whether a question can be asked and answered."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def full_screen() -> bool:
    """Whether the terminal can place its cursor and is large enough for the picker."""
    console = Console(stderr=True)
    return not console.is_dumb_terminal and console.width >= 60 and console.height >= 18


def ask_views(project: Project, proposed: Sequence[str]) -> str:
    """Let the user type a choice; an empty answer takes the proposed one, the end of input none."""
    console = Console(stderr=True, highlight=False)
    console.print(f"all views on one page: {project.root / 'views' / 'sheet.png'}", markup=False, soft_wrap=True)
    console.print(f"which views? (like 0,3,5 or a0,b2 or 0-5; enter takes {','.join(proposed)})", markup=False)
    print("> ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise UsageError("no answer; nothing is changed")
    return answer.strip() or ",".join(proposed)


def degrees(angle: float) -> str:
    """An azimuth as a whole number from 0 to 359."""
    return f"{round(angle) % 360}"


def _facts(facts: dict[str, Any]) -> Iterator[str]:
    """What a record measured, a line for each kind."""
    for key, value in facts.items():
        if isinstance(value, dict):
            yield f"{key}: {', '.join(f'{name} {item}' for name, item in value.items())}"
        else:
            memory = key in ("peak_rss", "peak_vram") and isinstance(value, int | float)
            yield f"{key}: {f'{value / 1e6:.0f} MB' if memory else value}"


def _plain(text: str) -> str:
    """Text on one line that Rich shall not read as markup."""
    return one_line(text).replace("[", r"\[")
