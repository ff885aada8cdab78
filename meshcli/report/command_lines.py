"""The command lines that made what a project holds: as they were typed, or from its records. Light."""

import shlex

from meshcli.project.log_file import LoggedCommand, logged_commands
from meshcli.project.manifest import STAGES, Manifest, StageRecord
from meshcli.project.project import Project
from meshcli.stages.stage_runner import PAUSED
from meshcli.stages.status import changed_settings


def command_lines(project: Project, manifest: Manifest) -> list[str]:
    """The typed lines during which the finished stages ran, or paused as asked, in order, each once.

    Of a stage that no line in the log covers (the log may be deleted), a line that its record gives: engine and
    settings; which photos and angles were typed is in no record, and the line is marked as incomplete.
    """
    commands = [command for command in logged_commands(project.root) if not command.exit_code]
    lines: list[str] = []
    for stage in STAGES:
        record = manifest.stages.get(stage)
        if record is None or not (record.status == "done" or PAUSED in record.facts):
            continue
        covering = [command for command in commands if command.covers(record.started, record.finished)]
        line = _outermost(covering).line if covering else _line_from_record(project, stage, record)
        if line not in lines:
            lines.append(line)
    return lines


def _outermost(commands: list[LoggedCommand]) -> LoggedCommand:
    """The one that started first and ended last: `run` among itself and its stages."""
    return min(commands, key=lambda command: (command.started, command.line.split(" ")[1:2] != ["run"]))


def _line_from_record(project: Project, stage: str, record: StageRecord) -> str:
    """What the record of a stage tells about how it was called."""
    words = ["meshcli", stage, str(project.root)]
    words += ["--engine", record.engine] if stage in ("generate", "reconstruct") else []
    for key, value in changed_settings(record).items():
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        words += ["--seed", text] if key == "seed" else ["--set", f"{key}={text}"]
    return f"{shlex.join(words)}  # from its record: the log does not have the line"
