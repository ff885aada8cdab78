"""What to type instead of a flag or a word that no command has, and where the project directory was forgotten. Light.

Words of other programs and likely slips stand in the tables below; a hint names our flag, or says why there is none.
"""

import difflib
import re
import shlex
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from meshcli.commands.lazy_commands import Group, LazyCommand, load_command
from meshcli.engines import Generator, Reconstructor
from meshcli.errors import UsageError
from meshcli.pictures.photo_arguments import SUFFIXES
from meshcli.project.project import Project

# By choice: `generat` and `statuss` are slips of the hand; `desk`, which resembles `models` by 0.6, is a directory.
SIMILAR_COMMAND, SIMILAR_FLAG = 0.75, 0.7
SIMILAR_CHOICE, MIN_BEGINNING = 0.6, 3  # letters in a beginning; `zero` and `inst` are clear, `s` is not
TAKING_PHOTOS = ("generate", "run")  # another command has no use for them: they go to `run` first
SETTINGS_SUFFIXES = (".yaml", ".yml")

# A flag without its dashes, with - for _  ->  ours, which does the same.
RENAMED = {
    "azimuths": "--azimuth",  # of photos; those of render's stills are --azimuths
    "diffusion-steps": "--steps",  # of InstantMesh's run.py
    "num-inference-steps": "--steps",  # of diffusers' pipelines
    "guidance-scale": "--guidance",
    "generator": "--engine",
    "reconstructor": "--engine",
    "texture-resolution": "--texture-size",
    "mc-resolution": "--grid",
}
_PHOTOS = "photos follow DIR without a flag: `meshcli run DIR PHOTO...`"
_DIRECTORY = "everything is written to DIR, the first argument: `meshcli run DIR PHOTO...`"
_VIDEO = "`run` and `render` always write renders/turntable.mp4; --frames, --size and --fps shape it"
_TEXTURE = "the mesh is textured by default; `meshcli reconstruct DIR --no-texture` leaves the texture out"
_SEVERAL = "several values are one word, with commas: --azimuth 0,74,-138"
# The same for what needs no flag here.
EXPLAINED = {
    **dict.fromkeys(("photo", "picture", "image", "input", "input-path", "i"), _PHOTOS),
    **dict.fromkeys(("output", "out", "output-path", "output-dir", "out-dir", "o"), _DIRECTORY),
    **dict.fromkeys(("dir", "directory", "project"), "the project directory is the first argument, without a flag"),
    "view": "--views takes the numbers or names of views, --views 0,2,4,5; `meshcli select DIR --auto 4` chooses four",
    **dict.fromkeys(("save-video", "video"), _VIDEO),
    **dict.fromkeys(("export-texmap", "bake-texture"), _TEXTURE),
    "scale": "there is nothing to set, since every view keeps its own camera; a --rig has the true scale",
    **dict.fromkeys(("gpu", "cuda"), "write --device cuda"),
    "cpu": "write --device cpu",
}


def explain_unknown_flag(flag: str, context: Any, line: Sequence[str]) -> str:
    """The message for a flag that the command of a parser's context does not have, in a whole command line."""
    command = str(context.command_path).removeprefix("meshcli").strip()
    name = _plain_name(flag)
    says = f"{command or 'meshcli'} has no {flag}: "
    if command == "run" and name == "engine":
        return says + _engine_of_run(_value_of(flag, line))
    if explained := EXPLAINED.get(name, _SEVERAL if flag[1:2].isdecimal() else ""):
        return says + explained
    own = {option for each in context.command.params for option in each.opts}
    for wanted in _same_flag(name):
        if wanted in own:
            return f"{says}did you mean {wanted}?"
        if others := _commands_with(wanted):
            return f"{says}{'it' if wanted == flag else wanted} is a flag of {_listed(others)}"
    if name.removesuffix("s") in EXPLAINED:
        return says + EXPLAINED[name.removesuffix("s")]
    near = difflib.get_close_matches(f"--{name}", sorted(own), 1, SIMILAR_FLAG)
    line_of_help = f"`{' '.join(('meshcli', *command.split(), '--help'))}` lists all flags"
    return f"{says}did you mean {near[0]}?" if near else says + line_of_help


def explain_unknown_command(words: Sequence[str], known: Collection[str], group: str) -> str:
    """The message for a line of a group of commands that begins with another word."""
    name = words[0]
    says = f"there is no command {name}"
    near = difflib.get_close_matches(name, list(known), 1, SIMILAR_COMMAND)
    if near and not Path(name).exists():
        return f"{says}; did you mean `{group} {near[0]}`?"
    if group == "meshcli" and (arguments := _arguments_of_run(words)):
        return f"{says}; to make a mesh of photos, write `meshcli run {shlex.join(arguments)}`"
    return f"{says}; there are {_listed(list(known))} (see `{group} --help`)"


def nearest_choice(message: str) -> str:
    """The choice that the wrong value in a parser's message stands for: the first that it begins, else the nearest.

    Dashes and capitals make no difference: InstantMesh is instant-mesh-large. Empty where none is near.
    """
    wrong, _, right = message.partition(" is not one of ")
    value = _letters(wrong.rpartition(" '")[2])
    plain = {_letters(choice): choice for choice in re.findall(r"'([^']*)'", right)}
    begun = [choice for letters, choice in plain.items() if len(value) >= MIN_BEGINNING and letters.startswith(value)]
    near = difflib.get_close_matches(value, list(plain), 1, SIMILAR_CHOICE)
    return next(iter(begun), plain[near[0]] if near else "")


def refuse_photos_as_directory(directory: Path, command: str, handed_in: Sequence[str | Path]) -> None:
    """UsageError where the project directory is a file or a folder of pictures: the directory was forgotten."""
    words = shlex.join([str(directory), *map(str, handed_in)])
    named = bool(handed_in) and command in TAKING_PHOTOS  # photos follow, so this is the directory
    if command not in TAKING_PHOTOS:
        command = "run"
    says = f"the project directory comes first: `meshcli {command} DIR {words}`"
    if directory.is_file():
        if directory.suffix.lower() in SETTINGS_SUFFIXES:
            words = shlex.join([*map(str, handed_in), "--config", str(directory)])
            says = f"the project directory comes first: `meshcli {command} DIR {words}`"
        raise UsageError(f"{directory} is a file; {says}")
    if named or Project(directory).exists:
        return
    if _is_photo_name(str(directory)) and not directory.exists():
        raise UsageError(f"{directory} is the name of a picture; {says}")
    if _holds_pictures(directory):
        raise UsageError(f"{directory} is a folder of pictures; {says}")


def explain_extra_arguments(context: Any, line: Sequence[str]) -> str:
    """The message for more arguments than a command takes, where these are photos; empty for any other."""
    command = str(context.command_path).removeprefix("meshcli").strip()
    parsed = context.command.make_context(command, list(line[1:]), resilient_parsing=True)
    directory, extra = parsed.params.get("directory"), parsed.args
    if not isinstance(directory, Path) or not extra:
        return ""
    try:
        refuse_photos_as_directory(directory, command, extra)
    except UsageError as error:
        return str(error)
    if not all(map(_is_photo_name, extra)):
        return ""
    return f"{command} takes no photos; hand them in with `meshcli generate {shlex.join([str(directory), *extra])}`"


def _arguments_of_run(words: Sequence[str]) -> list[str]:
    """The arguments of `run` for a line without a command; empty where it names neither photos nor a directory."""
    first = Path(words[0])
    if Project(first).exists:
        return list(words)
    is_picture = [_is_photo_name(word) or _holds_pictures(Path(word)) for word in words]
    if not any(is_picture):
        return []
    return ["DIR", *words] if is_picture[0] else list(words)


def _letters(word: str) -> str:
    """Letters and digits in lower case: `Instant-Mesh` -> `instantmesh`."""
    return re.sub(r"[^a-z0-9]", "", word.lower())


def _same_flag(name: str) -> list[str]:
    """Our flags that a flag without its dashes may stand for, the likeliest first."""
    ours = [RENAMED[name]] if name in RENAMED else []
    return [*ours, f"--{name}", f"--{name.removesuffix('s')}", f"--{name}s"]


def _engine_of_run(engine: str) -> str:
    """Which flag of `run` names an engine; both for what is none."""
    if engine in get_args(Reconstructor)[1:]:  # without auto
        return f"write --reconstructor {engine}"
    if engine in get_args(Generator)[1:]:
        return f"write --generator {engine}"
    return "`run` has two engines, --generator for the views and --reconstructor for the mesh"


def _commands_with(flag: str) -> list[str]:
    """The commands that have a flag, as they are typed after `meshcli`; `batch` where `run` has it not."""
    from meshcli.commands.cli import COMMANDS

    commands = {name: load_command(name) for name in COMMANDS}
    for name, group in [(name, each) for name, each in commands.items() if hasattr(each, "commands")]:
        commands |= {f"{name} {inner}": command for inner, command in group.commands.items()}
        if isinstance(group, Group):  # which takes no flags itself
            del commands[name]
    found = [
        name
        for name, command in commands.items()
        if not isinstance(command, LazyCommand) and any(flag in each.opts for each in command.params)
    ]
    return [name for name in found if name != "batch" or "run" not in found]


def _value_of(flag: str, line: Sequence[str]) -> str:
    """What follows a flag in a command line, after = or as the next word."""
    for place, word in enumerate(line):
        if word.partition("=")[0] == flag:
            return word.partition("=")[2] or next(iter(line[place + 1 :]), "")
    return ""


def _plain_name(flag: str) -> str:
    """`--save_video` -> `save-video`."""
    return flag.lstrip("-").replace("_", "-").lower()


def _is_photo_name(word: str) -> bool:
    """Whether a word is the name of a picture, perhaps with its azimuth: photo.jpg@45."""
    return any(Path(name).suffix.lower() in SUFFIXES for name in (word, word.rpartition("@")[0]))


def _holds_pictures(directory: Path) -> bool:
    """Whether a directory has pictures in it."""
    with suppress(OSError):
        return any(each.suffix.lower() in SUFFIXES for each in directory.iterdir())
    return False


def _listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
