"""HTML pages from templates: one file each, with styles and scripts inside, that asks nothing of any network.

Values are escaped by Jinja. A content security policy in the page allows the page's own two scripts, by their digests,
and data that the page holds; whatever a manifest of somebody else's smuggles in is not run.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from meshcli.errors import UsageError
from meshcli.system.atomic_files import write_files

TEMPLATES = Path(__file__).parent / "templates"
MARK = b'<meta name="generator" content="meshcli report">'  # in the first bytes of each page of ours
MARK_WITHIN = 512  # bytes


def render_page(template: str, scripts: Iterable[str], data: Any, **values: Any) -> str:
    """The HTML text of a template with scripts, and data that these read from the element `data`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    texts = [text for text in scripts if text]
    return environment.get_template(template).render(
        **values,
        policy=_policy(texts),
        style=Markup((TEMPLATES / "style.css").read_text()),  # noqa: S704 our own file
        scripts=[Markup(text) for text in texts],  # noqa: S704 ours and trimesh's
        data=Markup(_script_data(data)),  # noqa: S704 escaped for a script element
    )


def own_script(name: str) -> str:
    """The text of one of our scripts."""
    return (TEMPLATES / name).read_text()


def write_page(path: Path, text: str) -> None:
    """Write a page; UsageError where a file of this name is none of our pages: it stays as it is."""
    refuse_foreign_page(path)
    write_files({path: text.encode()})


def refuse_foreign_page(path: Path) -> None:
    """UsageError where a page of this name would overwrite another file, or has no folder to go to."""
    if os.path.lexists(path) and not _is_our_page(path):
        raise UsageError(f"{path} exists and is no report of meshcli's; name another file with -o")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is no folder; make it, or name another file with -o")


def _is_our_page(path: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return MARK in file.read(MARK_WITHIN)


def _script_data(data: Any) -> str:
    """JSON that neither ends the script element that it stands in nor begins a comment there."""
    text = json.dumps(data, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: Iterable[str]) -> str:
    """What the page may load and run: itself."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    return "; ".join(
        (
            "default-src 'none'",
            "script-src " + (" ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"),
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "media-src data:",
            "connect-src blob: data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
