"""`run` on a terminal: which of the stages is at work, on what, and how long all that is left will take."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from meshcli.commands.child_reports import report_value
from meshcli.commands.plain_output import escape_controls
from meshcli.commands.prose import wrap_prose
from meshcli.commands.run_progress import RunProgress
from meshcli.project.manifest import Stage
from meshcli.stages.run_summary import format_rough

BAR_WIDTH = 40  # columns at most; by eye
NO_ESTIMATE = "first time with these settings"
SLOWER = "slower than last time"


class RunStory(RunProgress):
    """Draws the state of a run at the bottom of a terminal, and what its children print above; a context manager."""

    def __init__(self, console: Console, stages: Sequence[Stage], captures: bool, forced: bool, unposed: bool) -> None:
        super().__init__(stages, forced, unposed)
        self.console = console
        self.report = report_value(console)
        self.captures = captures
        self._live = Live(get_renderable=self._render, console=console, transient=True, refresh_per_second=8)

    def __enter__(self) -> "RunStory":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _say_ended(self, sentence: str) -> None:
        self.console.print(Text(sentence, "green"))

    def _print(self, line: str) -> None:
        """A line of text; one with colours is of a picture."""
        if "\x1b[" in line:
            self.console.print(Text.from_ansi(line), soft_wrap=True)
        elif line.startswith("error:"):  # on one line, so that it can be copied
            self.console.print("error:", style="bold red", end=" ")
            self.console.print(escape_controls(line).removeprefix("error: "), markup=False, soft_wrap=True)
        else:
            for part in wrap_prose(escape_controls(line), self.console.width - 1):
                self.console.print(part, markup=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        """Two lines: what is being done, and the bar with the time left; three where the first would not fit."""
        width, title = self.console.width - 1, self._title()
        whole = f"{title} - {self._detail}" if self._detail else title
        lines = [whole] if len(whole) <= width else [title, f"  {self._detail}"]
        texts = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
        left, fraction = self._left_and_fraction()
        row = Table.grid(padding=(0, 1))
        row.add_row(ProgressBar(1.0, fraction, width=max(min(BAR_WIDTH, width - len(left) - 1), 4)), Text(left, "dim"))
        return Group(*texts, row)

    def _left_and_fraction(self) -> tuple[str, float]:
        """The time left in words, and how much of the whole is done."""
        remaining, fraction = self._left_and_share()
        if remaining is None:
            return SLOWER if self._all_timed() else NO_ESTIMATE, fraction
        return f"about {format_rough(remaining)} left", fraction
