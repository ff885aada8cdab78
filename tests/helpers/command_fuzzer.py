"""Tampered projects: how they are made and changed, and what must hold when commands run on them.

Used by test_hostile.py (some hundred cases) and bench/fuzz.py (as many as you like). The engines are those of
fake_engines.py.
"""

import base64
import contextlib
import copy
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any
from unicodedata import bidirectional, category
from unittest import mock

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from helpers import fake_engines
from meshcli.commands import cli
from meshcli.views.camera import orbit

TIMEOUT = 60  # seconds per command; they take a few at most
CONTROL_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")  # controls, lone surrogates, separators of lines
BIDI_CONTROLS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
EXIT_CODES = (0, 2, 3, 4, 5, 75)
COMMANDS = [
    ["status", "desk"],
    ["select", "desk", "--list"],
    ["select", "desk", "--views", "0,2"],
    ["reconstruct", "desk", "-v", "--set", "texture.size=16"],
    ["render", "desk", "-vv", "--set", "render.frames=1"],
    ["generate", "desk", "-v"],
]
MORE_COMMANDS = [  # for manifests that can be read
    ["status", "desk", "--json"],
    ["align", "desk"],
    ["select", "desk", "--auto", "2", "--json"],
]
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\ud800\u2028\r\b"
SENTENCES = [
    "", "a", "a0", "zzzzzz", "zzzzzzz", "A", "é", "all", "photo:a", "0", "-1", "[red]x[/]", "[/]", "{", "%s", "x" * 300,
    "\0", "\n", "two\nlines", ESCAPES, "../outside/victim", "/etc/passwd", "photos/../../outside/victim",
    "manifest.json", ".lock", "photos", "photos/link/victim", "views/00.png", "photos/a.png", "photos/\n.png",
    "views/" + "n" * 300, "C:/x", "a\\b", "views//x", "done", "running", "failed", "sculpt", "fit", "zero123plus",
    "instant-nerf-large", "instant-mesh-base", "photos", "person", "auto", "sheet 1.2", "sheet 9", "view", "y", "rig",
]  # fmt: skip
NUMBERS: list[Any] = [
    0, -0.0, -1, 1, 1.5, 2, 7, 90, 360, 1e-320, 1e-30, 1e30, 1e308, -1e308, 2**31, 2**63, 2**70, 10**300, 10**400,
    -(10**400), 10**5000, float("nan"), float("inf"), float("-inf"),
]  # fmt: skip
CAMERA = orbit(10, 20).to_json()
TABLES: list[Any] = [
    None, True, False, {}, [], [[]], [{}], [None], {"": None}, {"x": [1]}, [1, 2], [0, 0], [0.0, 0.0, 0.0, 0.0],
    [1e-320] * 4, [1e308] * 2, CAMERA, {"camera": CAMERA}, {"ready": "view"}, {"azimuth": 1e308, "fov": 0.0},
    {"fov": 180.0}, {"elevation": 1e9}, {"fit.resolutions": [10**6]}, {"no.such": 1}, {"a": 1}, {"": 1},
    {"fit.rays": "x"}, {"render": []}, {"network": []}, {"network": {"kind": "nerf", "vit": "x"}},
    {"to_ours": [[1, 0, 0, 0]] * 3, "cameras": {}}, {"seconds": {"total": 10**300}}, {"total": {}}, {"total": 1e308},
    {"aligned": {"azimuth": 0, "enlarged": 1e-320, "confidence": 1, "others": []}},
]  # fmt: skip


def make_projects(folder: Path) -> list[Path]:
    """Valid projects, all named `desk`: every kind of input, every state."""
    photos = _photos(folder)
    made = []

    def project(name: str, *lines: str, trouble: str = "") -> None:
        place = folder / name
        place.mkdir()
        with contextlib.chdir(place):
            for line in lines:
                environment = {"MESHCLI_TEST": trouble} if line.startswith("reconstruct") else {}
                with mock.patch.dict(os.environ, environment):
                    run(line.split())
        made.append(place / "desk")

    handed = " ".join([*map(str, photos), "--set sculpt.view_size=64"])
    small = "--set texture.size=16"
    one = f"generate desk {photos[0]} --set sculpt.view_size=64"
    project("whole", f"generate desk {handed} --azimuth 0,40,-50", "select desk --views 0,3,5,7,8,10",
            f"reconstruct desk {small}", "render desk --set render.frames=1")  # fmt: skip
    project("one", one, "select desk --auto", f"reconstruct desk {small}")
    project("aligned", f"generate desk {handed}", "align desk", "generate desk", "select desk --auto 2")
    project("sheet", f"generate desk --from-sheet {folder / 'sheet.png'}", "select desk --auto")
    project("rig", f"generate desk {handed} --rig {folder / 'transforms.json'} --up z", "select desk --auto 3")
    project("failed", one, "select desk --auto", f"reconstruct desk {small}", trouble="fit:memory")
    return made


def _photos(folder: Path) -> list[Path]:
    paths = []
    for number, colour in enumerate([(200, 50, 50), (50, 200, 50), (50, 50, 200)], 1):
        pixels = np.zeros((90, 120, 4), np.uint8)
        pixels[20:70, 30 : 90 + number] = (*colour, 255)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    sheet = np.full((960, 640, 3), 250, np.uint8)
    for tile in range(6):
        row, column = divmod(tile, 2)
        sheet[row * 320 + 80 : row * 320 + 200, column * 320 + 90 : column * 320 + 220 + 9 * row] = 60
    Image.fromarray(sheet).save(folder / "sheet.png")
    frames = [
        {"file_path": path.name, "transform_matrix": orbit(60.0 * index, 8).to_json()["camera_to_world"]}
        for index, path in enumerate(paths)
    ]
    rig = {"w": 120, "h": 90, "fl_x": 160, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(rig))
    return paths


@dataclass(frozen=True)
class Case:
    """One project and its changes."""

    project: int  # its index
    manifest: bytes
    links: tuple[tuple[str, str], ...] = ()  # name in the project -> what it becomes

    def to_json(self) -> str:
        """For running it again."""
        return json.dumps([self.project, base64.b85encode(self.manifest).decode(), self.links])


KINDS = st.sampled_from(["values", "free values", "free values", "bytes", "files", "free values and files"])
FREE_FIELDS = {
    *("options", "facts", "scores", "stated", "smaller", "fallback", "inputs", "selection", "frame", "scored", "asked"),
    *("settings", "engine", "error", "source", "started", "finished", "method", "prepared", "painted", "sha256"),
}
LINKS = ["outside", "outside file", "inside", "loop", "folder", "pipe", "text", "gone", "empty"]


@st.composite
def cases(draw: st.DrawFn, manifests: list[bytes]) -> Case:
    """A project with a few values changed, or its bytes, or its files."""
    number = draw(st.integers(0, len(manifests) - 1))
    data = manifests[number]
    kind = draw(KINDS)
    if "values" in kind:
        data = _changed_values(draw, json.loads(data), "free" in kind)
    if kind == "bytes":
        data = _changed_bytes(draw, data)
    links: list[tuple[str, str]] = []
    if kind.endswith("files"):
        names = ["manifest.json", ".lock", "photos", "views", "mesh", "renders", ".tmp-x", "views/.tmp-y",
                 "photos/link", "selection.png", "photos/a.png", "photos/a.original.png", "views/00.png",
                 "views/03.png", "views/sheet.png", "mesh/mesh.glb", "renders/turntable.mp4"]  # fmt: skip
        for _ in range(draw(st.integers(1, 2))):
            links.append((draw(st.sampled_from(names)), draw(st.sampled_from(LINKS))))
    return Case(number, data, tuple(links))


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _places(child, (*path, key))


def _changed_values(draw: st.DrawFn, whole: Any, free: bool) -> bytes:
    """One to three values changed; `free` ones are those whose type the manifest hardly restricts."""
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in _places(whole) if not free or FREE_FIELDS.intersection(map(str, place))]
        if not places:
            break
        # The outer ones are few: draw by depth first, so that they get their turn.
        depths = sorted({len(place) for place in places})
        depth = depths[draw(st.integers(0, len(depths) - 1))]
        level = [place for place in places if len(place) == depth]
        *way, key = level[draw(st.integers(0, len(level) - 1))]
        table = whole
        for step in way:
            table = table[step]
        _change(draw, table, key)
    text = written(whole, indent=draw(st.sampled_from([None, 1])), ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 9)) == 0:  # the same key twice
        text = text.replace('"name":', '"name": "a", "name":', 1)
    return text.encode("utf-8", "surrogatepass")


def written(whole: Any, **run_options: Any) -> str:
    """As JSON, with numbers of any length: Python refuses to spell out those of more than 4300 digits."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(whole, **run_options)
    finally:
        sys.set_int_max_str_digits(limit)


ACTIONS = st.sampled_from(["text", "number", "table", "near", "gone", "twice", "new", "deep", "swap"])


def _change(draw: st.DrawFn, table: Any, key: Any) -> None:
    action = draw(ACTIONS)
    if action == "text":
        table[key] = draw(st.sampled_from(SENTENCES) | st.text(max_size=12))
    elif action == "number":
        table[key] = draw(st.sampled_from(NUMBERS) | st.floats() | st.integers())
    elif action == "table":
        table[key] = copy.deepcopy(draw(st.sampled_from(TABLES)))
    elif action == "near" and isinstance(table[key], int | float) and abs(table[key]) < 10**300:
        near = [float, str, lambda value: -value, lambda value: value * 1e6]
        table[key] = near[draw(st.integers(0, 3))](table[key])
    elif action == "gone":
        del table[key]
    elif action == "twice" and isinstance(table, list):
        table.append(copy.deepcopy(table[key]))
    elif action == "new" and isinstance(table, dict):
        table[draw(st.sampled_from(SENTENCES))] = copy.deepcopy(draw(st.sampled_from(TABLES)))
    elif action == "deep":
        for _ in range(draw(st.sampled_from([3, 50, 150, 300]))):
            table[key] = [table[key]] if draw(st.booleans()) else {"x": table[key]}
    elif action == "swap":
        others = list(table) if isinstance(table, dict) else range(len(table))
        other = others[draw(st.integers(0, len(others) - 1))]
        table[key], table[other] = table[other], table[key]


def _changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    start = draw(st.integers(0, len(data)))
    stop = min(len(data), start + draw(st.integers(1, 40)))
    noise, depth = draw(st.binary(min_size=1, max_size=20)), draw(st.sampled_from([10, 200, 900, 5000, 200_000]))
    whole = draw(st.binary(max_size=200) | st.sampled_from([b"", b"[]", b"null", b"{}", b"3", b'{"meshcli": 2}']))
    changed = {
        "cut": data[:start],
        "overwrite": data[:start] + noise + data[start + len(noise) :],
        "insert": data[:start] + noise + data[start:],
        "erase": data[:start] + data[stop:],
        "mark": b"\xef\xbb\xbf" + data,
        "wide": data.decode().encode("utf-16"),
        "deep": b'{"meshcli": 1, "x": ' + b"[" * depth + b"]" * depth + b"}",
        "other": whole,
    }
    return list(changed.values())[draw(st.integers(0, len(changed) - 1))]


class Bench:
    """Runs cases one after another in a folder and checks that nothing beside it changes."""

    def __init__(self, folder: Path, projects: list[Path]) -> None:
        self.folder, self.projects = folder, projects
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "victim").write_text("untouched")
        (self.outside / "sub").mkdir()
        for name in ("00.png", "a.png", ".tmp-old", "manifest.json"):
            (self.outside / name).write_text(f"untouched {name}")
        self.before = tree(self.outside)
        self.codes: Counter[int] = Counter()  # exit codes of all commands

    def run(self, case: Case) -> list[str]:
        """Violations; normally none."""
        desk = self.folder / "desk"
        shutil.rmtree(desk, ignore_errors=True)
        shutil.copytree(self.projects[case.project], desk, symlinks=True)
        (desk / "manifest.json").write_bytes(case.manifest)
        for name, what in case.links:
            self._disturb(desk / name, what)
        beside = set(self.folder.iterdir())
        wrong, refused = [], self.codes[5]
        with contextlib.chdir(self.folder):
            for command in [*COMMANDS, *MORE_COMMANDS]:
                if self.codes[5] - refused == len(COMMANDS):
                    break
                problems, code = run_watched(command)
                self.codes[code] += 1
                wrong += [f"{' '.join(command)}: {problem}" for problem in problems]
                if tree(self.outside) != self.before:
                    wrong.append(f"{' '.join(command)}: something outside was changed")
                    break
        if new := set(self.folder.iterdir()) - beside:
            wrong.append(f"{new} appeared beside the project")
        left = [path.name for path in desk.rglob(".tmp-*") if path.name not in (".tmp-x", ".tmp-y")]
        return wrong + [f"{name} was left behind" for name in left]

    def _disturb(self, path: Path, what: str) -> None:
        if path.parent.is_symlink() or not path.parent.is_dir():
            return  # the folder was disturbed before
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        targets = {"outside": self.outside, "outside file": self.outside / "victim", "loop": path,
                   "inside": path.parent / "a.original.png"}  # fmt: skip
        if what in targets:
            path.symlink_to(targets[what])
        elif what == "folder":
            path.mkdir()
        elif what == "pipe":
            os.mkfifo(path)
        elif what in ("text", "empty"):
            path.write_text("no picture, no mesh" * (what == "text"))


def tree(folder: Path) -> str:
    """A digest of everything in a folder."""
    rows = []
    for path in sorted(folder.rglob("*")):
        content = path.readlink().as_posix().encode() if path.is_symlink() else b""
        rows.append((path.as_posix(), content or (path.read_bytes() if path.is_file() else b"")))
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def run(command: list[str]) -> tuple[int, str, str]:
    """Exit code, what goes to stdout and to stderr, as bytes would on a pipe."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(command)
    return code, *(each.buffer.getvalue().decode() for each in (out, err))  # type: ignore[attr-defined]


def run_watched(command: list[str]) -> tuple[list[str], int]:
    """Violations of a command (traceback, hang, unknown exit code, control characters) and its exit code."""
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(TIMEOUT)
    try:
        code, out, err = run(command)
    except BaseException:
        return [traceback.format_exc()], 1
    finally:
        signal.alarm(0)
    wrong = [] if code in EXIT_CODES else [f"exit code {code}"]
    if raw := {
        each
        for each in out + err
        if each != "\n" and (category(each) in CONTROL_CATEGORIES or bidirectional(each) in BIDI_CONTROLS)
    }:
        wrong.append(f"{raw} reached the terminal")
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    if len(errors) != (code != 0) or any(len(line) > 3000 for line in errors):
        wrong.append(f"exit code {code} with {len(errors)} lines of error: {err[:2000]}")
    if "--json" in command:
        try:
            json.loads(out)
        except ValueError:
            wrong.append(f"no JSON: {out[:500]}")
    return wrong, code


class HangError(BaseException):
    """A command takes too long."""


def _hang(number: int, frame: FrameType | None) -> None:
    raise HangError


@contextlib.contextmanager
def quick_engines() -> Iterator[None]:
    """Fake engines, no fsync, no signal handlers."""
    for name in ("NO_COLOR", "FORCE_COLOR", "MESHCLI_TEST"):  # bench/fuzz.py has them from whoever calls it
        os.environ.pop(name, None)
    made = fake_engines.modules(exports=True)
    before = {name: sys.modules.get(name) for name in made}
    sys.modules |= made
    with (
        contextlib.ExitStack() as stack,
        mock.patch("meshcli.stages.generate.lacking", return_value="weights"),
        mock.patch("meshcli.commands.cli.listen_to_signals"),
        mock.patch("meshcli.stages.stage_runner._library_versions", return_value={}),
        mock.patch("meshcli.pictures.image.labelled_sheet", lambda pictures, labels, columns: pictures[0][:8, :8, :3]),
        mock.patch("os.fsync"),
    ):
        # Not patch.dict: it would forget every module that was loaded in between, and numpy is not loaded twice.
        stack.callback(_put_back, before)
        yield


def _put_back(modules: dict[str, ModuleType | None]) -> None:
    for name, module in modules.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module
