"""`meshcli reconstruct`: selected views -> mesh."""

import typer

from meshcli.commands.flag_groups import expand_flag_groups, usual_first
from meshcli.commands.flags import (
    Directory,
    ExecutionFlags,
    NetworkFlags,
    OutputFlags,
    ReconstructorFlags,
    SettingsFlags,
)
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.invocation import read_settings_flags, run_options, run_stage
from meshcli.commands.lazy_commands import Command
from meshcli.commands.mesh_file_flags import MeshFileFlags
from meshcli.errors import UsageError

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: meshcli reconstruct desk --faces 10000 --texture-size 2048")
@usual_first("engine", "faces", "texture_size", "config", "dry_run")
@expand_flag_groups
def reconstruct(
    directory: Directory,
    reconstructor: ReconstructorFlags,
    mesh_file: MeshFileFlags,
    network: NetworkFlags,
    settings: SettingsFlags,
    execution: ExecutionFlags,
    output: OutputFlags,
) -> int:
    """Build a textured mesh from the selected views: mesh/mesh.glb and mesh/mesh.obj."""
    from meshcli.stages.reconstruct import reconstruct_mesh

    refuse_photos_as_directory(directory, "reconstruct", [])
    for flag, value in (("--texture-size", reconstructor.texture_size), ("--texture-from", reconstructor.texture_from)):
        if reconstructor.no_texture and value:
            raise UsageError(f"--no-texture and {flag} exclude each other")
    mesh_file.refuse_contradictions()
    typed = read_settings_flags(
        settings, {**reconstructor.overrides(), **mesh_file.overrides(), **network.dtype_override("lrm")}
    )
    return run_stage(
        directory,
        "reconstruct",
        lambda project, reported: reconstruct_mesh(
            project,
            settings=typed,
            engine=reconstructor.engine,
            from_mesh=mesh_file.from_mesh,
            seed=settings.seed,
            run_options=reported,
        ),
        run_options(execution, network, [*reconstructor.words(), *mesh_file.words(), *network.network_words()]),
        output,
    )
