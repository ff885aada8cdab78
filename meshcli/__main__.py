"""`meshcli` and `python -m meshcli`. Signals are handled before the first import that takes time."""

import os
import sys

from meshcli.errors import MissingError
from meshcli.system import standard_streams
from meshcli.system.processes import INTERRUPTED_MESSAGE, REPORT_VARIABLE, Interrupted, listen_to_signals


def main() -> int:
    """Run the command line and return its exit code."""
    standard_streams.prepare()
    if sys.platform == "win32":  # it lacks signals and resource limits that the stages rely on
        sys.stderr.write("error: meshcli runs on Linux and macOS; on Windows, use it in WSL\n")
        return MissingError.exit_code
    try:
        listen_to_signals()  # a pending signal is delivered here
        from meshcli.commands import cli

        return cli.main()
    except Interrupted as error:  # during the import
        if REPORT_VARIABLE not in os.environ:  # else the parent prints it
            sys.stderr.write(f"error: {INTERRUPTED_MESSAGE}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
