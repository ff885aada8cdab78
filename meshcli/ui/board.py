"""What all pages of a server show: the project as it is on the disk, the work under way, and choices not made yet.

There is one board, and pages look at its version a few times a second. What the terminal does is seen as soon as the
manifest changes. Light: no numpy.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from shlex import quote

from meshcli.config import TypedSettings, read_typed_settings
from meshcli.engines import Generator, Reconstructor
from meshcli.errors import MeshcliError, UsageError
from meshcli.project.manifest import Manifest, Photo, Stage
from meshcli.project.project import MANIFEST, Project
from meshcli.stages.picker_state import PickerState, opening_state
from meshcli.stages.run import RunArguments
from meshcli.stages.status import ProjectStatus, StageStatus, read_status
from meshcli.ui.export_form import ExportForm
from meshcli.ui.job import Jobs

MAX_WATCHED = 400  # files whose times are looked at; of a larger project only the manifest's
UNCHANGED_CHOICE = "another choice was recorded meanwhile"


class Board:
    """The state that the pages share."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.version = 0  # goes up with every change that a page should show
        self.status: ProjectStatus | None = None
        self.problem = ""  # why the project cannot be read
        self.azimuths: dict[str, float] = {}  # photo -> degrees: turned on a dial, not in the project yet
        self.quality = ""  # an option about settings, as typed: "", "--config=quick" or "--defaults"
        self.cutout = ""  # how photos are cut out, as --cutout takes it; empty is as before
        self.generator: Generator = "auto"
        self.reconstructor: Reconstructor = "auto"
        self.choice: PickerState | None = None
        self._opened: PickerState | None = None  # what the choice began with
        self.recorded_export = ExportForm()  # the settings of an export in force
        self._export_form: ExportForm | None = None  # what was typed beyond them
        self.jobs = Jobs(self.changed)
        self._seen: object = None
        self._lock = threading.Lock()

    def changed(self) -> None:
        """Tell the pages that there is something new; from any thread."""
        with self._lock:
            self.version += 1

    @property
    def manifest(self) -> Manifest:
        """The manifest as it was read last; empty before there is one."""
        return self.status.manifest if self.status else Manifest()

    @property
    def photos(self) -> list[Photo]:
        """The photos of the set."""
        return self.manifest.active_photos

    def stage(self, stage: Stage) -> StageStatus:
        """The state of a stage."""
        stages = self.status.stages if self.status else ()
        return next((each for each in stages if each.stage == stage), StageStatus(stage, "missing", "not run yet"))

    @property
    def elsewhere(self) -> str:
        """The stage that another process is running; empty when there is none."""
        if self.jobs.at_work or self.status is None:
            return ""
        return next((each.stage for each in self.status.stages if each.state == "running"), "")

    def time_of(self, file: str) -> int:
        """When a file of the project was changed, in nanoseconds; 0 where it is not there."""
        return _time(self.project.root / file)[0]

    def tell_problem(self, problem: str) -> None:
        """Show why the project cannot be read."""
        if problem != self.problem:
            self.problem = problem
            self.changed()

    def look(self) -> None:
        """Read the project again if it has changed on the disk since the last look."""
        seen = self._stamp()
        if seen == self._seen:
            return
        try:
            self.status, self.problem = (read_status(self.project) if self.project.exists else None), ""
        except (MeshcliError, OSError) as error:
            self.problem = str(error)
        self._seen = seen
        self._follow()
        self.changed()

    def _stamp(self) -> object:
        """What changes when a file of the project does, or when another process begins or ends."""
        files = sorted(self.manifest.listed_files) if self.status else []
        watched = files if len(files) <= MAX_WATCHED else []
        times = [_time(self.project.root / file) for file in (MANIFEST, *watched)]
        recorded = self.manifest.stages.values()
        locked = any(record.status == "running" for record in recorded) and self._is_locked()
        return times, locked, self.jobs.at_work

    def _is_locked(self) -> bool:
        try:
            return self.project.is_locked()
        except (MeshcliError, OSError):
            return False

    def _follow(self) -> None:
        """Fit what is not in the project yet to what is there now."""
        recorded = {photo.name: photo.stated.azimuth for photo in self.photos}
        self.azimuths = {
            name: angle for name, angle in self.azimuths.items() if name in recorded and recorded[name] != angle
        }
        self._follow_export()
        if not self.manifest.active_views:
            self.choice = self._opened = None
            return
        opened = opening_state(self.manifest)
        if self.choice is None or self._opened is None or opened.names != self.choice.names:
            self.choice = self._opened = opened
        elif opened.chosen != self._opened.chosen or opened.proposed != self._opened.proposed:
            edited = self.choice_is_edited and self.choice.chosen != opened.chosen
            kept = replace(self.choice, proposed=opened.proposed, message=UNCHANGED_CHOICE)
            self.choice, self._opened = (kept if edited else replace(opened, row=self.choice.row)), opened

    def _follow_export(self) -> None:
        """Fit the form of the export to what is on record now; what is typed stays unless it is the same."""
        try:
            self.recorded_export = ExportForm.recorded(self.manifest.stages.get("export"))
        except MeshcliError as error:
            self.recorded_export, self.problem = ExportForm(), str(error)
        with suppress(UsageError):
            if self._export_form and not self._export_form.options(self.recorded_export):
                self._export_form = None

    @property
    def export_form(self) -> ExportForm:
        """What an export is asked for: as on record until something else is typed."""
        return self._export_form or self.recorded_export

    def set_export_form(self, form: ExportForm) -> None:
        """Show another form of the export; nothing is written before it is made."""
        if form != self.export_form:
            self._export_form = form if form != self.recorded_export else None
            self.changed()

    @property
    def choice_is_edited(self) -> bool:
        """Whether views were taken or dropped since the choice began."""
        return bool(self.choice and self._opened and self.choice.chosen != self._opened.chosen)

    def set_choice(self, state: PickerState) -> None:
        """Show another choice of views."""
        if state != self.choice:
            self.choice = state
            self.changed()

    def set_azimuth(self, name: str, degrees: float) -> None:
        """Say from which side a photo was taken; nothing is written before views are made."""
        photo = next((photo for photo in self.photos if photo.name == name), None)
        if photo is None or photo.stated.camera or not -360.0 <= degrees <= 360.0:
            return
        angle = round(degrees) % 360
        if photo.stated.azimuth is not None and photo.stated.azimuth % 360 == angle:
            self.azimuths.pop(name, None)
        else:
            self.azimuths[name] = float(angle)
        self.changed()

    def forget_azimuths(self) -> None:
        """Take back all angles that are not in the project yet."""
        self.azimuths.clear()
        self.changed()

    def shown_azimuth(self, photo: Photo) -> float | None:
        """The azimuth of a photo in degrees, as a dial shows it; None where it is not known."""
        if photo.name in self.azimuths:
            return self.azimuths[photo.name]
        if photo.stated.camera:
            return photo.camera.azimuth % 360
        if photo.stated.posed or len(self.photos) == 1:
            return photo.stated.azimuth_and_source[0] % 360
        return None

    def azimuth_words(self) -> list[str]:
        """The flag that states the angles of the dials; none where no dial was turned.

        UsageError where one photo's was not: a command line has one for each.
        """
        if not self.azimuths:
            return []
        angles = {photo.name: self.shown_azimuth(photo) for photo in self.photos}
        if missing := [name for name, angle in angles.items() if angle is None]:
            raise UsageError(
                f"turn the dial of {', '.join(missing)} too, or take the angles back: then all are estimated"
            )
        return [f"--azimuth={','.join(f'{angle:g}' for angle in angles.values() if angle is not None)}"]

    def quality_of(self, stage: Stage) -> str:
        """The option about settings that was chosen, where it means something for a stage; else empty."""
        return self.quality if self.quality in self.qualities(stage) else ""

    def qualities(self, stage: Stage) -> dict[str, str]:
        """What a page offers about the settings of a stage: option -> what it says."""
        record = self.manifest.stages.get(stage)
        if record and record.settings:
            return {"": "as before", "--defaults": "normal", "--config=quick": "quick and rough"}
        return {"": "normal", "--config=quick": "quick and rough"}

    def run_arguments(self, stage: Stage) -> RunArguments:
        """What is chosen about a stage, as `run` takes it to pick an engine."""
        settings = _settings_of(self.quality_of(stage))
        return RunArguments(generator=self.generator, reconstructor=self.reconstructor, settings=settings)

    def words(self, command: str, *options: str, arguments: Sequence[str] = ()) -> list[str]:
        """A command line for a child: a directory or photo may begin with a dash."""
        return [command, *options, "--", str(self.project.root), *arguments]

    def shown(self, words: Sequence[str]) -> str:
        """The command line of a child as one would type it, with the directory first."""
        place = words.index("--")
        command, options, arguments = words[0], words[1:place], words[place + 1 :]
        return " ".join(["meshcli", command, *(quote(each) for each in (*arguments, *options))])


@cache
def _settings_of(quality: str) -> TypedSettings:
    """What an option about settings says: empty, `--defaults`, or `--config=NAME`."""
    flag, _, config = quality.partition("=")
    return read_typed_settings(Path(config) if config else None, defaults=flag == "--defaults")


def _time(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
