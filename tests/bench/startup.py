"""How long `meshcli --help` takes, against importing Typer and Rich alone: `python tests/bench/startup.py`.

The time is that of the processor (user and system), the smallest of some runs that alternate between the two, so that
other work on the machine disturbs little. The programs are run once beforehand, so that their bytecode is compiled.
"""

import resource
import subprocess
import sys

RUNS = 20
BASELINE = [sys.executable, "-c", "import typer, rich"]
HELP = [sys.executable, "-m", "meshcli", "--help"]


def seconds(command: list[str]) -> float:
    """Processor time of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the two times and their ratio."""
    for command in (BASELINE, HELP):
        seconds(command)
    runs = [(seconds(HELP), seconds(BASELINE)) for _ in range(RUNS)]
    shown, baseline = (min(column) for column in zip(*runs, strict=True))
    print(
        f"meshcli --help {shown * 1000:.0f} ms, import typer, rich {baseline * 1000:.0f} ms, {shown / baseline:.2f} x"
    )


if __name__ == "__main__":
    main()
