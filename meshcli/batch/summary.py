"""What came of a batch: a table as CSV, and a page with a picture of each object, both in its folder."""

import csv
import io
from collections.abc import Iterable, Sequence

from meshcli.batch.batch_folder import FIRST_HEADING, PAGE, TABLE, BatchFolder
from meshcli.batch.batch_state import ObjectState, read_state
from meshcli.batch.tasks import BatchObject
from meshcli.project.manifest import ALL_STAGES
from meshcli.project.project import Project
from meshcli.report.pages import write_page
from meshcli.report.projects_page import projects_page
from meshcli.system.atomic_files import write_files

MAX_ON_PAGE = 500  # objects; by choice: each picture has some 10 kB, and a browser lays out a table of 5 MB at once
FORMULA = ("=", "+", "-", "@", "\t")  # how a cell begins that a spreadsheet would compute
MEGABYTE = 1e6


def write_summary(folder: BatchFolder, objects: Sequence[BatchObject]) -> tuple[str, str, int]:
    """Write DIR/batch.csv and DIR/report.html; their places, and how many objects the page shows."""
    states = [read_state(folder, item) for item in objects]
    table, page = folder.root / TABLE, folder.root / PAGE
    write_files({table: table_text(states).encode("utf-8", "surrogateescape")})
    shown = sorted(states, key=lambda state: state.state == "done")[:MAX_ON_PAGE]
    folder.bring(state.item for state in shown)
    # Of a finished project in a folder, the page itself finds out whether it is as it was.
    told = {state.item.project: _told(state) for state in shown if state.state != "done" or state.item.storage}
    text, _ = projects_page([Project(state.item.project) for state in shown], page, told)
    write_page(page, text)
    folder.publish(TABLE, PAGE)
    return folder.place(TABLE), folder.place(PAGE), len(shown)


def table_text(states: Iterable[ObjectState]) -> str:
    """The table as CSV: a row per object, with seconds and megabytes per stage."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    figures = [f"{stage} {what}" for stage in ALL_STAGES for what in ("seconds", "MB")]
    writer.writerow([FIRST_HEADING, "state", *figures, "faces", "match %", "tries", "exit code", "error"])
    for state in states:
        cells: list[str] = []
        for stage in ALL_STAGES:
            found = state.figures.get(stage)
            cells.append(f"{found.seconds:.1f}" if found and found.seconds else "")
            cells.append(f"{found.peak_bytes / MEGABYTE:.0f}" if found and found.peak_bytes else "")
        last = [
            "" if state.faces is None else str(state.faces),
            "" if state.score is None else f"{100 * state.score:.1f}",
            str(state.tries or ""),
            str(state.exit_code or ""),
            _plain(state.error),
        ]
        writer.writerow([_plain(state.item.name), state.state, *cells, *last])
    return text.getvalue()


def _told(state: ObjectState) -> tuple[str, str]:
    """State and reason, as the page states them."""
    reason = f"{state.stage}: {state.error} (exit code {state.exit_code})" if state.error else state.stage
    return state.state, reason.removeprefix(": ")


def _plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
