"""Imports point down, and what must start fast imports nothing heavy."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import meshcli

PACKAGE = Path(meshcli.__file__).parent
# From the ground floor up: a module may import from its own floor and those below it. A package stands for its modules.
FLOORS = [
    "meshcli errors progress setting_types arrays out_of_memory",
    "settings engines",
    "system",
    "json_table config",
    "weights",
    "lrm",
    "pictures",
    "views",
    "project",
    "meshes",
    "sdf",
    "rendering",
    "texturing",
    "export",
    "reconstructors",
    "alignment",
    "generators",
    "stages",
    "report",
    "ui",
    "batch",
    "commands",
    "__main__",
]
RANK = {name: rank for rank, floor in enumerate(FLOORS) for name in floor.split()}
LIGHT = [
    *("errors", "settings", "progress", "config", "json_table", "project.project", "views.camera", "commands.cli"),
    *("out_of_memory", "weights.device", "weights.safetensors_file", "weights.locations"),
    *("commands.generate", "commands.select", "commands.run", "commands.models"),
]
HEAVY = [
    *("numpy", "scipy", "skimage", "PIL", "numba", "trimesh", "embreex", "xatlas", "fast_simplification"),
    *("imageio_ffmpeg", "rembg", "onnxruntime", "omegaconf", "torch", "diffusers", "transformers"),
    *("safetensors", "huggingface_hub", "pooch", "requests"),
]
# All that `meshcli --help` loads of ours: the list of commands, and what must be ready before anything else.
FOR_HELP = {
    *("meshcli", "meshcli.__main__", "meshcli.errors", "meshcli.system", "meshcli.system.processes"),
    *("meshcli.system.standard_streams", "meshcli.commands", "meshcli.commands.cli", "meshcli.commands.lazy_commands"),
    "meshcli.commands.plain_output",
}
# Neither ours nor large, but each would take a noticeable part of the time that `--help` may take.
SLOW = [
    *("rich.markdown", "rich.traceback", "rich.progress", "rich.syntax", "markdown_it", "pygments", "attr", "yaml"),
    *("asyncio", "concurrent.futures", "email", "hashlib", "http.client", "importlib.metadata", "logging"),
    *("multiprocessing", "platformdirs", "resource", "socket", "tempfile", "urllib.request", "zipfile"),
]
PROBE = f"import json, sys; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file names in an import, and whether that is done when the file is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    outside = {id(node) for statement in tree.body for node in _loaded(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in outside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name for name in inner if _file(name)] or [node.module]
            yield from ((name, id(node) in outside) for name in names)


def _loaded(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run while a module is loaded: not the bodies of functions, not what only type checkers read."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    for child in ast.iter_child_nodes(node):
        yield from _loaded(child)


def _file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != "meshcli":
        return None
    base = PACKAGE.joinpath(*parts[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("meshcli", *(part for part in parts if part != "__init__")))


def place(name: str) -> str:
    """The name that FLOORS lists for a module of ours."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_down(path: Path) -> None:
    name = place(module_of(path))
    assert name in RANK, f"{name} has no floor: put it into FLOORS"
    above = [used for used, _ in imports(path) if used.startswith("meshcli") and RANK[place(used)] > RANK[name]]
    assert not above, f"{module_of(path)} imports from above: {above}"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        module_of(path): {used for used, loaded in imports(path) if loaded and used.startswith("meshcli.")}
        for path in FILES
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"circle: {' -> '.join((*trail, name))}"
        if name not in done:
            for used in graph.get(name, ()):
                visit(used, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_backends_know_neither_projects_nor_terminals(path: Path) -> None:
    name = place(module_of(path))
    used = {module.split(".")[0] for module, _ in imports(path)}
    ours = {place(module) for module, _ in imports(path) if module.startswith("meshcli")}
    if name not in {"commands", "__main__"}:
        assert not used & {"rich", "typer"}, f"{name} talks to a terminal"
    if RANK["meshes"] <= RANK[name] < RANK["stages"] or RANK[name] < RANK["project"]:
        assert not ours & {"project", "stages", "commands"}, f"{name} knows about projects"
    if name == "lrm":
        assert ours <= {"lrm", "errors"}


def heavy_after(*code: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after running code."""
    run = subprocess.run([sys.executable, "-c", "\n".join((*code, PROBE))], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_import_nothing_heavy(name: str) -> None:
    assert heavy_after(f"import meshcli.{name}") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["status", "nowhere"],
        ["batch", "nowhere", "--out", "elsewhere"],
        ["models", "list"],
        ["models", "path", "instant-mesh-large"],
        ["generate", "--no-such-flag"],
        ["generate", "nowhere", "7"],
    ],
    ids=" ".join,
)
def test_help_status_and_mistakes_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = [
        "import os, sys, contextlib, io",
        f"os.chdir({str(tmp_path)!r})",
        f"sys.argv = ['meshcli', *{arguments!r}]",
        "from meshcli.commands.cli import main",
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):",
        "    main()",
    ]
    assert heavy_after(*code) == []


def test_help_imports_only_what_it_shows() -> None:
    """And the help's renderer does without Rich's Markdown and tracebacks, which stay available to others."""
    code = [
        "import contextlib, io, json, runpy, sys",
        "sys.argv = ['meshcli', '--help']",
        "with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):",
        "    runpy.run_module('meshcli', run_name='__main__', alter_sys=True)",
        "loaded = list(sys.modules)",
        "from rich.markdown import Markdown",
        "from rich.traceback import Traceback",
        "print(json.dumps([shown.getvalue(), loaded, Markdown.__name__, Traceback.__name__]))",
    ]
    run = subprocess.run([sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=True)
    shown, loaded, *classes = json.loads(run.stdout)
    assert "reconstruct" in shown
    assert "Exit codes" in shown
    assert {name for name in loaded if name.split(".")[0] == "meshcli"} <= FOR_HELP
    assert set(loaded) & {*SLOW, *HEAVY} == set()
    assert classes == ["Markdown", "Traceback"]
