"""Write docs/errors.md, every message that ends a command: python tests/tools/error_catalogue.py.

Messages are found in the package's syntax trees, wherever an error of ours is made. What stands behind the last
semicolon of a message is what to do. tests/test_errors.py fails when the page is not what this writes.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import meshcli
from meshcli import errors

PACKAGE = Path(meshcli.__file__).parent
PAGE = PACKAGE.parent / "docs" / "errors.md"
CODES = {name: kind.exit_code for name, kind in vars(errors).items() if isinstance(kind, type) and name != "ClassVar"}
DERIVED = {"NewerManifestError": 5}  # of these, defined elsewhere
SILENT = {"StageFailedError"}  # its child has said it already
READERS = {"tables.py": (3, 5)}  # these raise the class that they are handed: for a file of the user or of the project
ABOUT = {
    2: ("usage", "Correct the line; nothing was changed. `meshcli VERB --help` shows every flag with an example."),
    3: ("bad input file", "Mend or leave out the file that the line names; nothing was lost."),
    4: ("weights or optional packages", "Fetch what is missing, or take an engine that needs nothing."),
    5: ("project damaged or locked", "Mend the file that the line names, or make the artefact anew with `--force`."),
    75: ("out of memory or disk", "Type the same command again: after a lack of memory it takes the smaller setting."),
}
OTHERS = """| code | what | what to do |
|---|---|---|
| 0 | done | |
| 1 | a bug, with its traceback | run it again; if it comes back, report it with the output of `-vv` |
| 130 | Ctrl-C | the same command goes on from what is finished |
| 143 | SIGTERM | the same |
| 128 + N | another signal N ended a stage | the same |
"""
WORDS = {"root": "DIR", "error": "REASON", "problem": "REASON", "known": "REASON", "strerror": "REASON"}


@dataclass(frozen=True, order=True)
class Entry:
    """A message of one exit code."""

    code: int
    message: str
    advice: str
    module: str


def catalogue() -> list[Entry]:
    """Every message, sorted."""
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        for codes, argument in _made(ast.parse(path.read_text(encoding="utf-8")), module):
            message, semicolon, advice = _text(argument).rpartition("; ")
            if not semicolon:
                message, advice = advice, ""
            found |= {Entry(code, message, advice, module) for code in codes if any(map(str.islower, message))}
    return sorted(found)


def unknown_raises() -> list[str]:
    """Places where something is raised of which this script cannot tell what it is."""
    builtin = {"ValueError", "TypeError", "MemoryError", "RecursionError", "Interrupted", "RuntimeError", "OSError",
               "AttributeError"}  # fmt: skip
    makers = {"error", "wrong", "_nothing", "_failure", "_killed", "missing_angles", "_stage_error", "_fail",
              "to_user_error"}  # fmt: skip
    known = CODES.keys() | DERIVED.keys() | SILENT | builtin | makers
    places = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and _name(node.exc.func) not in known:
                places.append(f"{path.name}:{node.lineno}: {ast.unparse(node.exc)[:80]}")
    return places


def page() -> str:
    """The whole page."""
    entries = catalogue()
    lines = [
        "# Errors",
        "",
        "Every error is one line on stderr, `error: ...`, and one exit code; `--json` prints it as a document too, and",
        "`-vv` shows the way that led there. Words in capitals stand for what the line names. This page is written by",
        "`python tests/tools/error_catalogue.py`; a test compares it with the code.",
        "",
        OTHERS,
    ]
    for code, (title, advice) in ABOUT.items():
        lines += [f"## {code}: {title}", "", advice, "", "| message | what to do |", "|---|---|"]
        rows = {(entry.message, entry.advice) for entry in entries if entry.code == code}
        lines += [f"| {_cell(message)} | {_cell(advice)} |" for message, advice in sorted(rows, key=_order)]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _made(tree: ast.AST, module: str) -> Iterator[tuple[tuple[int, ...], ast.expr]]:
    """Where an error is made: its exit codes and its message."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = _name(node.func)
        codes = (CODES | DERIVED).get(name)
        if codes is not None:
            yield (codes,), node.args[0]
        elif name == "error" and module in READERS:
            yield READERS[module], node.args[0]


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str:
    """A message with capitals for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return _word(node.value if isinstance(node, ast.FormattedValue) else node)


def _word(node: ast.expr) -> str:
    """What to call a value."""
    if isinstance(node, ast.Call):
        return _called(node)
    if isinstance(node, ast.IfExp | ast.BoolOp | ast.GeneratorExp | ast.Constant | ast.JoinedStr):
        return "..."
    if isinstance(node, ast.BinOp):
        return "N"
    if isinstance(node, ast.Subscript):
        return _word(node.value)
    name = _name(node)
    return WORDS.get(name, name.strip("_").upper().replace("_", " ")) or "..."


def _called(node: ast.Call) -> str:
    """What to call what a function gives back."""
    name = _name(node.func)
    if name == "command" and node.args:
        return f"meshcli {getattr(node.args[0], 'value', 'VERB')} DIR"
    inner = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
    return {"join": "LIST", "len": "N"}.get(name) or next(map(_word, inner), name.upper())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("<", r"\<").replace("*", r"\*")


def _order(row: tuple[str, str]) -> tuple[str, str]:
    return row[0].lstrip("`-.").lower(), row[1]


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: {len(catalogue())} messages")
