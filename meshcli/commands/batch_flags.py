"""The flags of `meshcli batch`: its own, and which of `run` it has for all objects; see `flag_groups`."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from meshcli.batch.object_list import BatchFlags
from meshcli.batch.storage import is_url
from meshcli.batch.template import TemplateKind
from meshcli.commands.export_flags import SizeFlags
from meshcli.commands.flag_groups import FlagGroup, Only
from meshcli.commands.flags import (
    ExecutionFlags,
    GeneratorFlags,
    InputFlags,
    NetworkFlags,
    PhotoFlags,
    ReconstructorFlags,
    SelectionFlags,
    SettingsFlags,
    StageFlags,
)
from meshcli.commands.invocation import read_cameras, read_settings_flags
from meshcli.commands.mesh_file_flags import MeshFileFlags
from meshcli.commands.render_flags import RenderFlags
from meshcli.errors import UsageError

Runners = Literal["local", "ray"]


@dataclass(frozen=True)
class ListFlags(FlagGroup, title="Batch"):
    """Which objects are run, and which of them again."""

    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="DIR", path_type=str, show_default=False,
            help="Folder for the projects, one per object, or its URL: s3://bucket/folder.",
        ),
    ] = ""  # fmt: skip
    on: Annotated[Runners, typer.Option("--on", help="Where to work: this machine, or a Ray cluster.")] = "local"
    address: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Of the cluster: auto, HOST:PORT, ray://HOST:PORT.", show_default=False),
    ] = ""
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="This object only; * and ? too; repeatable.", show_default=False),
    ] = None
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed, though nothing about it has changed.")
    ] = False
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Run the good rows of a list with bad ones, and exit 3 at the end.")
    ] = False
    shard: Annotated[
        str,
        typer.Option(metavar="I/N", help="One of N shares, the same on every machine: 0/8 to 7/8.", show_default=False),
    ] = ""
    template: Annotated[
        TemplateKind | None,
        typer.Option(
            "--template", metavar="FARM", show_default=False,
            help="Print a job file for openjd, slurm or kubernetes, and run nothing.",
        ),
    ] = None  # fmt: skip
    shards: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks of that job.")] = 1

    def refuse_contradictions(self) -> None:
        """UsageError for an address without a cluster, and for a job file that would have to name storage."""
        if self.address and self.on != "ray":
            raise UsageError("--address is for a cluster; add --on ray")
        if self.template and is_url(self.out):
            raise UsageError(
                f"--template makes jobs that share folders; with --out {self.out} call `--shard I/N` in one of your own"
            )


@dataclass(frozen=True)
class ObjectFlags:
    """The flags of `run` that hold for all objects, group by group."""

    inputs: Annotated[InputFlags, Only("azimuth", "elevation", "fov", "adjust", "rig", "up", "focal", "sensor")]
    photo: Annotated[PhotoFlags, Only("cutout", "no_rembg", "max_pixels")]
    generator: Annotated[GeneratorFlags, Only("steps", "unet", "vram")]
    selection: Annotated[SelectionFlags, Only("views", "include_photos")]
    reconstructor: Annotated[ReconstructorFlags, Only("faces", "texture_size")]
    mesh_file: Annotated[MeshFileFlags, Only("refine", "no_refine")]
    render: Annotated[RenderFlags, Only("frames", "size", "fps")]
    size: SizeFlags
    network: NetworkFlags
    settings: SettingsFlags
    stages: StageFlags
    execution: Annotated[ExecutionFlags, Only("offline", "force", "dry_run")]

    def read(self) -> BatchFlags:
        """What was typed for all objects; UsageError for invalid settings, and flags that contradict each other."""
        cameras = read_cameras(self.inputs)
        self.mesh_file.refuse_contradictions()
        groups = (
            self.photo, self.generator, self.selection, self.reconstructor, self.mesh_file, self.render, self.size,
            self.network, self.settings,
        )  # fmt: skip
        for group in groups:
            group.overrides()
        read_settings_flags(self.settings)
        words = [word for group in groups for word in group.words()]
        stages = self.stages.words("first", "last", "export", "guess", "generator", "reconstructor")
        return BatchFlags(
            (*words, *stages, *self.execution.words("offline", "force")), tuple(self.inputs.words()),
            len(cameras.azimuths), self.stages.first, self.stages.last, bool(self.stages.export),
        )  # fmt: skip
