"""`meshcli` and `python -m meshcli`: signals are listened to before anything is imported that takes time."""

import sys

from meshcli.errors import MissingError
from meshcli.system import standard_streams
from meshcli.system.processes import INTERRUPTED_MESSAGE, Interrupted, listen_to_signals


def main() -> int:
    """Run the command line; its exit code."""
    standard_streams.prepare()
    if sys.platform == "win32":  # it has neither the signals nor the limits that the stages rely on
        sys.stderr.write("error: meshcli runs on Linux and macOS; on Windows, use it in WSL\n")
        return MissingError.exit_code
    try:
        listen_to_signals()  # one that waited for this is heard at once
        from meshcli.commands import cli

        return cli.main()
    except Interrupted as error:  # while it was imported
        sys.stderr.write(f"error: {INTERRUPTED_MESSAGE}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
