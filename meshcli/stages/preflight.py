"""Whether the stages of a run can run, found out before the first of them starts. Light: no numpy.

The first stage that runs answers for itself before it works. This module answers for those behind it, whose inputs do
not exist yet: engine, flags, weights, device, video, room on the disk, and places of artefacts, each by the stage's own
check. What it looks into is cheap; whether a stage will run at all costs a process for each, so that question is asked
only where something is amiss.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from meshcli.engines import IMPORT, NETWORKS, pick_generator
from meshcli.errors import MeshcliError
from meshcli.export.targets import resolve_targets
from meshcli.project.artefacts import FIXED_ARTEFACTS
from meshcli.project.manifest import Manifest, Photo, Stage, ViewEntry
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.disk_room import estimate_bytes, free_bytes, require_room
from meshcli.stages.export import ENGINE as EXPORT_ENGINE
from meshcli.stages.export import check_export, planned_files
from meshcli.stages.imported_views import engine_before
from meshcli.stages.mesh_import import prepare_import
from meshcli.stages.models import fetchable
from meshcli.stages.networks import check_network, describe_network, field_sizes, find_network_weights, pick_engine
from meshcli.stages.photo_set import letter
from meshcli.stages.reconstruct import refuse_unused_flags
from meshcli.stages.render import ENGINE, check_renders, render_files, with_background_path
from meshcli.stages.settings_in_force import settings_in_force
from meshcli.stages.stage_runner import RunOptions, check_library_memory
from meshcli.stages.view_choice import parse_view_choice
from meshcli.stages.view_generation import VIEWS_PER_PHOTO, lacking
from meshcli.system.fork_call import call_in_fork
from meshcli.views.camera import orbit
from meshcli.views.photo_cameras import parse_photo_argument

if TYPE_CHECKING:
    from meshcli.stages.run import RunArguments

Document = dict[str, Any]


@dataclass(frozen=True)
class Forecast:
    """What a stage would do if it ran, and what would keep it from that."""

    stage: Stage
    engine: str = ""
    why: str = ""  # the reason for the engine
    writes: tuple[str, ...] = ()  # files, and folders with files named after photos and views
    size: int = 0  # bytes of these, estimated
    fetches: tuple[str, ...] = ()  # weights to download first
    error: MeshcliError | None = None


def look_ahead(project: Project, arguments: "RunArguments", plan: Callable[[], list[Document]]) -> list[str]:
    """Before a run: raise the error of a stage that will run and cannot; the weights to download first.

    `plan` makes a dry run, which raises that error; it is made only if a stage cannot run, or needs weights. A stage
    that runs alone answers for itself: of it, only the room on the disk is looked at, and no process is made for that.
    """
    forecaster = _Forecaster.of(project, arguments)
    alone = arguments.stages[0] if len(arguments.stages) == 1 else None
    forecasts = [forecaster.size(alone)] if alone else forecaster.all()
    doubtful = any(each.error or each.fetches for each in forecasts[1:])
    with suppress(MeshcliError):
        require_room(project.root, {each.stage: each.size for each in forecasts})
        if not doubtful:
            return []
    documents = plan()
    return [name for document in _behind_the_first(documents) for name in document["fetches"]]


def complete_plan(project: Project, arguments: "RunArguments", documents: Sequence[Document]) -> None:
    """Add to the documents of a dry run what each stage will write and fetch; raise what keeps one from running."""
    forecasts = {forecast.stage: forecast for forecast in _Forecaster.of(project, arguments).all()}
    behind = _behind_the_first(documents)
    for document in documents:
        forecast = forecasts.get(document["stage"]) if document.get("runs") else None
        if forecast and forecast.error and document in behind:
            raise forecast.error
        document.update(_details(forecast, document))
    require_room(project.root, {document["stage"]: document["bytes"] for document in documents if document.get("runs")})


def plan_summary(project: Project, documents: Sequence[Document]) -> Document:
    """How much a dry run's stages will write, and how much room there is, in bytes."""
    return {"bytes": sum(document["bytes"] for document in documents), "free": free_bytes(project.root)}


def pick_generator_ahead(manifest: Manifest, arguments: "RunArguments") -> tuple[str, str]:
    """The engine that `generate` will use, and why."""
    ready = not arguments.photos and any(photo.stated.ready for photo in manifest.active_photos)
    if ready or arguments.generator == "photos":
        return "photos", "the views are ready" if ready else "named"
    before = "" if arguments.force else engine_before(manifest, ready)
    missing = ""
    if arguments.generator == "auto":
        missing = lacking(settings_ahead(manifest, arguments, "generate"), arguments.run_options.weights)
    return pick_generator(arguments.generator, before, missing)


def pick_reconstructor_ahead(manifest: Manifest, arguments: "RunArguments") -> tuple[str, str]:
    """The engine that `reconstruct` will use, and why."""
    settings = settings_ahead(manifest, arguments, "reconstruct")
    return pick_engine(arguments.reconstructor, manifest.stages.get("reconstruct"), settings, arguments.run_options)


def settings_ahead(manifest: Manifest, arguments: "RunArguments", stage: Stage) -> Settings:
    """The settings that a stage will use."""
    return settings_in_force(stage, manifest.stages.get(stage), arguments.settings_of(stage)).settings


ENGINE_PICKERS = {"generate": pick_generator_ahead, "reconstruct": pick_reconstructor_ahead}  # of stages with engines


@dataclass(frozen=True)
class _Forecaster:
    """Makes the forecasts of one run."""

    project: Project
    manifest: Manifest
    arguments: "RunArguments"
    options: RunOptions

    @classmethod
    def of(cls, project: Project, arguments: "RunArguments") -> Self:
        manifest = project.load() if project.exists else Manifest()
        return cls(project, manifest, arguments, replace(arguments.run_options, dry=True))

    def all(self) -> list[Forecast]:
        """The forecasts of all stages, made in a process of their own: what they import leaves with it."""
        return call_in_fork(lambda: [self.forecast(stage) for stage in self.arguments.stages])

    def size(self, stage: Stage) -> Forecast:
        """The forecast of how much a stage writes, and of nothing else."""
        try:
            pick = ENGINE_PICKERS.get(stage)
            engine, why = pick(self.manifest, self.arguments) if pick else ("", "")
            return Forecast(stage, engine, why, size=self._estimate(stage, engine))
        except MeshcliError as error:
            return Forecast(stage, error=error)

    def forecast(self, stage: Stage) -> Forecast:
        make = {
            "generate": self._generate, "select": self._select, "reconstruct": self._reconstruct,
            "render": self._render, "export": self._export,
        }  # fmt: skip
        try:
            return make[stage]()
        except MeshcliError as error:
            return Forecast(stage, error=error)

    def _generate(self) -> Forecast:
        engine, why = pick_generator_ahead(self.manifest, self.arguments)
        return Forecast("generate", engine, why, ("photos/", "views/"), self._estimate("generate", engine))

    def _select(self) -> Forecast:
        if self.arguments.views and not self.arguments.include_photos and not self.manifest.views:
            parse_view_choice(self.arguments.views, self._expected_views())
        return self._written("select", "", "")

    def _reconstruct(self) -> Forecast:
        engine, why = pick_reconstructor_ahead(self.manifest, self.arguments)
        settings = self._settings("reconstruct")
        refuse_unused_flags(self.arguments.typed.get("reconstruct", ()), settings, engine, why)
        check_library_memory(engine)
        fetches: list[str] = []
        if engine == IMPORT:
            prepare_import(
                self.project, self.manifest.stages.get("reconstruct"), self.arguments.from_mesh, self.options
            )
        if engine in NETWORKS:
            file = describe_network(engine, settings)
            found = find_network_weights(engine, settings, file, self.options)
            fetches = [] if found else fetchable([engine], self.options)
            check_network(found, file, settings, self.options)
        return replace(self._written("reconstruct", engine, why), fetches=tuple(fetches))

    def _render(self) -> Forecast:
        if self._settings("render").render.source == "field" and "reconstruct" in self.arguments.stages:
            engine, _ = pick_reconstructor_ahead(self.manifest, self.arguments)
            if "nerf" not in engine:
                field_sizes(self.project, None)
        settings = self._settings("render")
        check_library_memory(ENGINE)
        check_renders(with_background_path(settings).render)
        files = render_files(settings.render)
        self.project.refuse_foreign_files(self.manifest, files)
        return Forecast("render", ENGINE, "", files, self._estimate("render", ENGINE))

    def _export(self) -> Forecast:
        settings = self._settings("export")
        check_export(self.project, self.manifest, settings.export)
        files = planned_files(self.project, resolve_targets(settings.export))
        self.project.refuse_foreign_files(self.manifest, files)
        return Forecast("export", EXPORT_ENGINE, "", files, self._estimate("export", EXPORT_ENGINE))

    def _expected_views(self) -> Manifest:
        """The views of a new project: so many of each photo, or one where the photos are the views."""
        engine, _ = pick_generator_ahead(self.manifest, self.arguments)
        tiles = [""] if engine == "photos" else [str(tile) for tile in range(VIEWS_PER_PHOTO)]
        names = [letter(number) for number in range(len(self.arguments.photos))]
        camera = orbit(0.0, 0.0)
        photos = [Photo(name, name, name, "", "", camera) for name in names]
        views = [ViewEntry(f"{name}{tile}", "", name, camera, engine) for name in names for tile in tiles]
        return Manifest(tuple(photos), tuple(views))

    def _written(self, stage: Stage, engine: str, why: str) -> Forecast:
        """The forecast of a stage with a fixed list of files; UsageError where one of them is the user's."""
        self.project.refuse_foreign_files(self.manifest, FIXED_ARTEFACTS[stage])
        return Forecast(stage, engine, why, FIXED_ARTEFACTS[stage], self._estimate(stage, engine))

    def _settings(self, stage: Stage) -> Settings:
        return settings_ahead(self.manifest, self.arguments, stage)

    def _estimate(self, stage: Stage, engine: str) -> int:
        photos = tuple(self._photo_sizes())
        views = len(self.manifest.selection.names) if self.manifest.selection else VIEWS_PER_PHOTO * len(photos)
        return estimate_bytes(stage, engine, self._settings(stage), photos, views)

    def _photo_sizes(self) -> list[int]:
        """Bytes of the photos that are handed in, else of the set on record."""
        paths = [self.project.root / photo.original for photo in self.manifest.active_photos]
        if self.arguments.photos:
            paths = [parse_photo_argument(photo).path for photo in self.arguments.photos]
        return [_file_size(path) for path in paths]


def _behind_the_first(documents: Sequence[Document]) -> list[Document]:
    """The stages that run because one before them does; nobody asked them yet."""
    return [document for document in documents if document.get("runs")][1:]


def _details(forecast: Forecast | None, document: Document) -> Document:
    if forecast is None:
        return {"why": "", "writes": [], "bytes": 0, "fetches": []}
    return {
        "engine": document["engine"] or forecast.engine,
        "why": forecast.why,
        "writes": list(forecast.writes),
        "bytes": forecast.size,
        "fetches": list(forecast.fetches),
    }


def _file_size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
