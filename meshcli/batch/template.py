"""Job files that share a list out to a farm's machines: Open Job Description, Slurm, Kubernetes. Light: no numpy.

Each task of such a job is `meshcli batch LIST --out OUT --shard I/N WORDS`. Paths and words are written so that each
format reads them back as they are: none is an expression, a variable or a command to a shell, to YAML or to the farm.
"""

import os
import re
import shlex
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meshcli import __version__
from meshcli.batch.shards import MAX_SHARDS
from meshcli.batch.stage_needs import ENGINE_FLAGS, NETWORK, WITH_NETWORK, needs_of, word_value
from meshcli.engines import NETWORKS
from meshcli.errors import UsageError

TEMPLATES = Path(__file__).parent / "templates"
TemplateKind = Literal["openjd", "slurm", "kubernetes"]
FILES: dict[TemplateKind, str] = {"openjd": "openjd.yaml", "slurm": "slurm.sh", "kubernetes": "kubernetes.yaml"}
IMAGE = f"meshcli:{__version__}"  # as `make image` names it
RETRIES = 10  # of a task that ran out of memory or disk; three are what one object may take
FINAL_CODES = (1, 2, 3, 4, 5, 6)  # exit codes after which the same task would only fail again
OPENJD_BRACES = {"{": "{{Param.OpenBrace}}", "}": "{{Param.CloseBrace}}"}
OPENJD_MAX_CHARACTERS = 1024  # of a parameter's value, by the specification of 2023-09
WORKERS = 2  # stages without networks that a task works on at a time; by choice
DRIVER_MB = 2048  # for the batch itself and what the system holds for its files; by choice, more than it takes


@dataclass(frozen=True)
class TaskResources:
    """What a task asks of its machine."""

    cpus: int
    memory_mb: int
    gpus: int = 0


def task_resources(words: Sequence[str]) -> TaskResources:
    """Room for two stages without networks, and for the larger one of the networks that flags name."""
    generator, reconstructor = (word_value(tuple(words), flag) for flag in ENGINE_FLAGS.values())
    table = needs_of(tuple(words))
    plain = max(needs.memory for kind, needs in table.items() if kind not in WITH_NETWORK)
    named = {"zero123plus" if generator == "zero123plus" else "", NETWORK if reconstructor in NETWORKS else ""} - {""}
    networks = [table[kind] for kind in named]
    return TaskResources(
        cpus=WORKERS + max((needs.cpus for needs in networks), default=0),
        memory_mb=DRIVER_MB + (WORKERS * plain + max((needs.memory for needs in networks), default=0)) // 2**20,
        gpus=max((needs.gpus for needs in networks), default=0),
    )


def render_template(
    kind: TemplateKind,
    list_path: Path,
    out: Path,
    words: Sequence[str] = (),
    shards: int = 1,
    resources: TaskResources | None = None,
    image: str = IMAGE,
) -> str:
    """The text of a job file of `shards` tasks; `words` are further words of `meshcli batch`, as typed.

    `resources` are by default those for the engines that `words` name.

    UsageError where a farm cannot be told these paths or words.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if not 1 <= shards <= MAX_SHARDS:
        raise UsageError(f"{shards} tasks: there are from 1 to {MAX_SHARDS:,}")
    paths = [os.path.abspath(path) for path in (list_path, out)]  # noqa: PTH100 `..` is taken out, links are left
    _refuse_untellable(kind, paths, words)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"), autoescape=False, undefined=StrictUndefined,  # noqa: S701 no HTML
        variable_start_string="@{", variable_end_string="}", line_statement_prefix="%%", keep_trailing_newline=True,
        comment_start_string="@#", comment_end_string="#@", block_start_string="@%", block_end_string="%@",
    )  # fmt: skip
    environment.filters.update(
        yaml=_yaml_string,
        shell=shlex.quote,
        shell_words=shlex.join,
        openjd=_openjd_string,
        kubernetes=_kubernetes_string,
    )
    return environment.get_template(FILES[kind]).render(
        **vars(resources or task_resources(words)),
        name=_job_name(paths[0]),
        list=paths[0],
        out=paths[1],
        words=words,
        shards=shards,
        image=image,
        retries=RETRIES,
        final_codes=list(FINAL_CODES),
        folders=_shared_folders(*paths),
        has_braces=any(_openjd_string(word) != word for word in words),
    )


def _refuse_untellable(kind: TemplateKind, paths: Sequence[str], words: Sequence[str]) -> None:
    """UsageError for a path or word that the format has no way to write."""
    for text in (*paths, *words):
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
            raise UsageError(f"{text!a} is no UTF-8, so no job file can name it; give it another name")
        if kind == "openjd" and any(unicodedata.category(letter) == "Cc" for letter in text):
            raise UsageError(f"{text!a} has a control character, which OpenJD has no way to name; rename it")
    for folder in _shared_folders(*paths):
        if kind == "kubernetes" and ":" in folder:
            raise UsageError(f"{folder} has a colon, which Kubernetes takes in no path of a volume; rename it")
    for path in paths:
        if kind == "openjd" and len(path) > OPENJD_MAX_CHARACTERS:
            raise UsageError(f"{path} has more than {OPENJD_MAX_CHARACTERS} letters, the most that OpenJD takes")


def _job_name(list_path: str) -> str:
    """A name that every farm takes: at most 40 lower-case letters, digits and dashes, as in a DNS label."""
    plain = unicodedata.normalize("NFKD", Path(list_path).stem).encode("ascii", "ignore").decode().lower()
    return f"meshcli-{re.sub('[^a-z0-9]+', '-', plain)}"[:40].strip("-")


def _shared_folders(list_path: str, out: str) -> list[str]:
    """The folders to mount: one that holds list and results, or both where that is only the root."""
    folder = str(Path(list_path).parent)
    common = os.path.commonpath([folder, out])
    return [common] if common != "/" else [folder, out]


def _yaml_string(text: str) -> str:
    """A text as a double-quoted scalar of YAML, on one line."""
    return '"' + "".join(_yaml_letter(letter) for letter in text) + '"'


def _yaml_letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def _openjd_string(text: str) -> str:
    """A text as a format string of OpenJD, which has no escapes: two braces in a row come from parameters."""
    if "{{" not in text and "}}" not in text:
        return text
    return re.sub("[{}]", lambda brace: OPENJD_BRACES[brace[0]], text)


def _kubernetes_string(text: str) -> str:
    """A text of `args`, where $(NAME) is replaced by a variable and $$ is a dollar."""
    return text.replace("$", "$$")
