"""Print how large and how documented a package is: python tests/tools/code_table.py [DIRECTORY...] [--tests DIRECTORY].

One table row per directory: files and lines; lines per file and per function (median · 90th percentile · maximum); the
share of functions with a docstring and with all arguments annotated; `except` clauses that catch everything; lines of
tests per line of code; arguments per function. Below it, the ten longest functions and the ten with the most
parameters. Counted in the syntax tree of each `*.py`: methods and nested functions count as functions, `self` and `cls`
do not count as arguments, decorators do not count as lines.
"""

import argparse
import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

REPOSITORY = Path(__file__).resolve().parents[2]
BROAD = {"Exception", "BaseException"}
HEAD = (
    "| code | files / lines | file median · p90 · max | fn median · p90 · max | doc | ann | broad `except` "
    "| tests : code | args p90 · max |"
)
LISTED = 10  # functions in each list
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Measured:
    """One function."""

    place: str  # file:line name
    lines: int  # from `def` to its last line
    arguments: int
    documented: bool
    annotated: bool


def main() -> None:
    """The table, then the lists of each directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="*", default=[REPOSITORY / "meshcli"])
    parser.add_argument("--tests", type=Path, help="its tests; else the directory `tests` beside each one")
    arguments = parser.parse_args()
    print(HEAD, "|---" * HEAD.count(" |") + "|", sep="\n")
    for directory in arguments.directories:
        print(row(directory, arguments.tests or directory.resolve().parent / "tests"))
    for directory in arguments.directories:
        print(f"\n{directory}")
        for title, key in (("longest functions", "lines"), ("most parameters", "arguments")):
            print(f"\n{title}")
            functions = [each for path in sources(directory) for each in measure(path, directory)]
            for each in sorted(functions, key=lambda each: (-getattr(each, key), each.place))[:LISTED]:
                print(f"{getattr(each, key):5} {each.place}")


def row(directory: Path, tests: Path) -> str:
    """The directory's row of the table."""
    paths = sources(directory)
    lengths = [line_count(path) for path in paths]
    functions = [each for path in paths for each in measure(path, directory)]
    of_tests = sum(map(line_count, sources(tests))) if tests.is_dir() and tests.resolve() != directory.resolve() else 0
    cells = [
        str(directory),
        f"{len(paths)} / {sum(lengths) / 1000:.1f}k",
        spread(lengths),
        spread([each.lines for each in functions]),
        share([each.documented for each in functions]),
        share([each.annotated for each in functions]),
        str(sum(map(broad_handlers, paths))),
        f"{of_tests / sum(lengths):.2f} : 1" if of_tests else "none",
        spread([each.arguments for each in functions]).partition(" · ")[2],
    ]
    return "| " + " | ".join(cells) + " |"


def sources(directory: Path) -> list[Path]:
    """Its Python files, in order."""
    return sorted(path for path in directory.rglob("*.py") if "__pycache__" not in path.parts)


def line_count(path: Path) -> int:
    """All lines, blank ones too."""
    return len(path.read_text(encoding="utf-8").splitlines())


def measure(path: Path, directory: Path) -> list[Measured]:
    """The functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    methods = {id(child) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for child in node.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, Function):
            bound = id(node) in methods and not any(
                isinstance(each, ast.Name) and each.id == "staticmethod" for each in node.decorator_list
            )
            arguments = parameters(node)[bound:]
            found.append(
                Measured(
                    f"{path.relative_to(directory)}:{node.lineno} {node.name}",
                    (node.end_lineno or node.lineno) - node.lineno + 1,
                    len(arguments),
                    ast.get_docstring(node) is not None,
                    all(each.annotation is not None for each in arguments),
                )
            )
    return found


def parameters(function: Function) -> list[ast.arg]:
    """All of them, `*args` and `**kwargs` too; the first one of a method is the object."""
    signature = function.args
    starred = [each for each in (signature.vararg, signature.kwarg) if each is not None]
    return [*signature.posonlyargs, *signature.args, *signature.kwonlyargs, *starred]


def broad_handlers(path: Path) -> int:
    """`except` without a class, or with one of those that catch everything."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            count += any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in kinds)
    return count


def spread(values: Sequence[int]) -> str:
    """Median · 90th percentile · largest."""
    if not values:
        return "none"
    ordered = sorted(values)
    return f"{median(ordered):.0f} · {ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]} · {ordered[-1]}"


def share(flags: Sequence[bool]) -> str:
    """In percent."""
    return f"{100 * sum(flags) / len(flags):.0f}%" if flags else "none"


if __name__ == "__main__":
    main()
