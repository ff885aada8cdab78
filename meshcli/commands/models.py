"""`meshcli models`: what weights there are, get them, check them, say where they are. Light until it works."""

from pathlib import Path
from typing import Annotated

import typer

from meshcli.commands.console import Reporter, show_json, show_models
from meshcli.commands.flags import Json, Offline, Quiet, Weights
from meshcli.commands.invocation import stay_offline
from meshcli.errors import MissingError
from meshcli.weights.locations import require_weights

models = typer.Typer(no_args_is_help=True, help="Weights of the networks: list, pull, verify, path, convert.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="As `models list` shows it.", show_default=False)]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="As `models list` shows them.", show_default=False)]
SomeNames = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME...]", help="All that are here when none is named.")
]
To = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Instead of $MESHCLI_CKPTS or the data directory.", show_default=False),
]


@models.command("list", epilog="Example: meshcli models list")
def list_(weights: Weights = None, as_json: Json = False) -> None:
    """Show which weights there are, which of them are here, and their licences."""
    from meshcli.stages.models import list_models

    rows = list_models(weights)
    if as_json:
        show_json({"meshcli": 1, "models": rows})
    else:
        show_models(rows)


@models.command(epilog="Example: meshcli models pull zero123plus zero123plus-unet instant-mesh-large")
def pull(names: Names, to: To = None, offline: Offline = False, as_json: Json = False, quiet: Quiet = False) -> None:
    """Fetch weights and print where they are; what is here is kept, what was cut off goes on."""
    from meshcli.stages.models import pull_models

    if offline:
        stay_offline()
    with Reporter(quiet or as_json) as reporter:
        pulled = pull_models(names, to, offline, reporter.progress, reporter.tell)
    if as_json:
        rows = [{"name": found.model.name, "path": str(found.path.absolute())} for found in pulled]
        show_json({"meshcli": 1, "models": rows})
    else:
        for found in pulled:
            print(found.path.absolute())


@models.command(epilog="Example: meshcli models verify instant-mesh-large")
def verify(
    names: SomeNames = None,
    weights: Weights = None,
    online: Annotated[bool, typer.Option("--online", help="Ask the hub for digests that are not known here.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read every byte and compare with what was published; exit 4 when something is damaged."""
    from meshcli.stages.models import verify_models

    with Reporter(quiet or as_json) as reporter:
        checked = verify_models(names or (), weights, online, reporter.progress)
    rows = [
        {"name": row.name, "file": str(row.file.absolute()), "good": row.valid, "result": row.message}
        for row in checked
    ]
    if as_json:
        show_json({"meshcli": 1, "files": rows})
    else:
        for row in checked:
            print(f"{row.name}: {row.file}: {row.message}")
    if damaged := [row.name for row in checked if not row.valid]:
        raise MissingError(f"not as it should be: {', '.join(dict.fromkeys(damaged))}")


@models.command(epilog="Example: meshcli models path instant-mesh-large")
def path(name: Name, weights: Weights = None) -> None:
    """Print where weights are; exit 4 when they are not on this machine."""
    print(require_weights(name, weights).path.absolute())


@models.command(epilog="Example: meshcli models convert instant-mesh-large")
def convert(
    target: Annotated[str, typer.Argument(metavar="NAME|FILE", help="Weights, or a .ckpt or .bin file.")],
    weights: Weights = None,
    quiet: Quiet = False,
) -> None:
    """Make the memory-mapped form of pickled weights now instead of on first use, and print where it is."""
    from meshcli.stages.models import convert_model

    with Reporter(quiet) as reporter:
        made = convert_model(target, weights, reporter.progress, reporter.tell)
    for file in made:
        print(file.absolute())
