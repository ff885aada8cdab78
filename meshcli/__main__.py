"""`meshcli` and `python -m meshcli`: signals are listened to before anything is imported that takes time."""

import sys

from meshcli.children import INTERRUPTED, Interrupted, listen_to_signals


def main() -> int:
    """Run the command line; its exit code."""
    try:
        listen_to_signals()  # one that waited for this is heard at once
        from meshcli import cli

        return cli.main()
    except Interrupted as error:  # while it was imported
        sys.stderr.write(f"error: {INTERRUPTED}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
