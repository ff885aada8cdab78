"""`meshcli models`: list, download, verify, locate and convert weights. Heavy imports stand in the commands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from meshcli.commands.completion import complete_models
from meshcli.commands.console import print_error, print_models
from meshcli.commands.flag_groups import Only, expand_flag_groups
from meshcli.commands.flags import ExecutionFlags, NetworkFlags, OutputFlags
from meshcli.commands.invocation import stay_offline
from meshcli.commands.lazy_commands import Command, Group
from meshcli.commands.plain_output import print_json
from meshcli.commands.reporter import Reporter
from meshcli.errors import MissingError
from meshcli.weights.locations import LocatedWeights, require_weights

app = typer.Typer(
    cls=Group, no_args_is_help=True, add_completion=False,
    help="Weights of the networks: list, pull, verify, path, convert.",
)  # fmt: skip

WeightsFlag = Annotated[NetworkFlags, Only("weights")]
Reports = Annotated[OutputFlags, Only("as_json", "quiet")]


@app.command("list", cls=Command, epilog="Example: meshcli models list")
@expand_flag_groups
def list_(network: WeightsFlag, output: Annotated[OutputFlags, Only("as_json")]) -> None:
    """List the known weights, where they are on this machine, and their licences."""
    from meshcli.stages.models import list_models

    rows = list_models(network.weights)
    if output.as_json:
        print_json({"meshcli": 1, "models": rows})
    else:
        print_models(rows)


@app.command(cls=Command, epilog="Example: meshcli models pull zero123plus zero123plus-unet instant-mesh-large")
@expand_flag_groups
def pull(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Names that `models list` shows.",
            autocompletion=complete_models,
        ),
    ],
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Directory to download to, instead of $MESHCLI_CKPTS or the data directory.",
            show_default=False,
        ),
    ] = None,
    execution: Annotated[ExecutionFlags, Only("offline")],
    output: Reports,
) -> None:
    """Download weights and print where they are; existing files are kept, partial downloads resumed."""
    from meshcli.stages.models import pull_models

    if execution.offline:
        stay_offline()
    with Reporter(output.quiet or output.as_json) as reporter:
        pulled = pull_models(names, to, execution.offline, reporter.progress, reporter.tell)
    if output.as_json:
        print_json(_located_json(pulled))
    else:
        for found in pulled:
            print(found.path.absolute())


@app.command(cls=Command, epilog="Example: meshcli models verify instant-mesh-large")
@expand_flag_groups
def verify(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]",
            help="Weights to verify; all on this machine if none are named.",
            autocompletion=complete_models,
        ),
    ] = None,
    network: WeightsFlag,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the Hugging Face hub for digests that meshcli does not know.")
    ] = False,
    output: Reports,
) -> int:
    """Compare the digest of every file with the published one; exit 4 if a file is damaged."""
    from meshcli.stages.models import verify_models

    with Reporter(output.quiet or output.as_json) as reporter:
        checked = verify_models(names or (), network.weights, online, reporter.progress)
    rows = [
        {"name": row.name, "file": str(row.file.absolute()), "good": row.valid, "result": row.message}
        for row in checked
    ]
    damaged = dict.fromkeys(row.name for row in checked if not row.valid)
    error = f"damaged: {', '.join(damaged)}"
    if output.as_json:
        failure = {"error": error, "exit_code": MissingError.exit_code} if damaged else {}
        print_json({"meshcli": 1, "files": rows, **failure})
    else:
        for row in checked:
            print(f"{row.name}: {row.file}: {row.message}")
    if damaged:
        print_error(error)
    return MissingError.exit_code if damaged else 0


@app.command(cls=Command, epilog="Example: meshcli models path instant-mesh-large")
@expand_flag_groups
def path(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name that `models list` shows.",
            autocompletion=complete_models,
        ),
    ],
    network: WeightsFlag,
    output: Annotated[OutputFlags, Only("as_json")],
) -> None:
    """Print the path of weights; exit 4 if they are not on this machine."""
    found = require_weights(name, network.weights)
    if output.as_json:
        print_json(_located_json([found]))
    else:
        print(found.path.absolute())


@app.command(cls=Command, epilog="Example: meshcli models convert instant-mesh-large")
@expand_flag_groups
def convert(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="The name of weights, or a .ckpt or .bin file.", autocompletion=complete_models
        ),
    ],
    network: WeightsFlag,
    output: Reports,
) -> None:
    """Convert pickled weights to their memory-mapped form now instead of on first use, and print where it is."""
    from meshcli.stages.models import convert_model

    with Reporter(output.quiet or output.as_json) as reporter:
        made = convert_model(target, network.weights, reporter.progress, reporter.tell)
    if output.as_json:
        print_json({"meshcli": 1, "files": [str(file.absolute()) for file in made]})
    else:
        for file in made:
            print(file.absolute())


def _located_json(located: Sequence[LocatedWeights]) -> dict[str, Any]:
    """Weights and their paths as a JSON document."""
    rows = [{"name": found.model.name, "path": str(found.path.absolute())} for found in located]
    return {"meshcli": 1, "models": rows}
