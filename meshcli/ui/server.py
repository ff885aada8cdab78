"""The server of the page: where it listens, who may talk to it, how it starts and ends.

It holds no state of its own: the project on the disk is all that outlives it.
"""

import asyncio
import logging
import secrets
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from meshcli.errors import MissingError, UsageError
from meshcli.progress import Tell
from meshcli.project.project import Project
from meshcli.system.processes import Interrupted
from meshcli.ui.gate import LOCAL_NAMES, Application, Gate, address

FIRST_PORT, PORTS = 8765, 20  # tried one after another when none is named
MIN_PASSWORD = 8  # characters
ANY = ("0.0.0.0", "::")  # noqa: S104 (what a user may name)
INSTALL = "pip install 'meshcli[ui]'"
LOOK_SECONDS = 0.3  # between two looks at the project


@dataclass(frozen=True)
class Listening:
    """Where the page is to be had."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: the first free one from FIRST_PORT on
    password: str = ""
    show: bool = True  # open a browser


def serve(project: Project, where: Listening, tell: Tell, say_address: Callable[[str], None]) -> None:
    """Serve the page until the process is interrupted. Raises UsageError, MissingError, and what interrupts it."""
    check(where)
    try:
        import nicegui  # noqa: F401 (a first look: its absence has a line of its own)
        import uvicorn
    except ImportError as error:
        raise MissingError(f"the page needs the package {error.name}: `{INSTALL}`") from error
    listener = bind(where)
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    gate = Gate(_application(project), token, where.password, _own_names(where.host), not _is_local(where.host))
    shown = address("localhost" if where.host in ANY else where.host, port, "" if where.password else token)
    say_address(shown)
    if not _is_local(where.host):
        tell("whoever has the password can read and change this project; the connection is not encrypted")
    config = uvicorn.Config(
        gate, log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=2, server_header=False,
        date_header=False, ws_max_size=1 << 20,
    )  # fmt: skip
    if where.show:
        threading.Timer(0.5, _open_browser, (shown,)).start()
    _silence()
    uvicorn.Server(config).run(sockets=[listener])
    raise Interrupted(signal.SIGINT)  # it only returns when it was told to end, whoever caught the signal


def check(where: Listening) -> None:
    """UsageError for a page that would be open to others, and for a password that is soon guessed."""
    if not _is_local(where.host) and not where.password:
        raise UsageError(f"--host {where.host} opens the page to others; add --password, or $MESHCLI_UI_PASSWORD")
    if where.password and len(where.password) < MIN_PASSWORD:
        raise UsageError(f"--password: at least {MIN_PASSWORD} characters")


def bind(where: Listening) -> socket.socket:
    """A socket that listens; UsageError where the address is taken or not this machine's."""
    ports = [where.port] if where.port else range(FIRST_PORT, FIRST_PORT + PORTS)
    problem = ""
    for port in ports:
        try:
            family, _, _, _, name = socket.getaddrinfo(where.host, port, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise UsageError(f"--host {where.host}: {error.strerror}") from error
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(name)
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            problem = str(getattr(error, "strerror", None) or error)
            continue
        return listener
    tried = f"port {where.port}" if where.port else f"the ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1}"
    raise UsageError(f"{where.host}, {tried}: {problem}; name another with --port")


def _application(project: Project) -> Application:
    """The pages and files of a project."""
    from fastapi import FastAPI
    from nicegui import app, ui

    from meshcli.ui.board import Board
    from meshcli.ui.files import add_files, add_masks
    from meshcli.ui.page import add_page

    board = Board(project)
    server = FastAPI(openapi_url=None)
    add_files(server, project)
    add_masks(server, project)
    add_page(board)

    async def look() -> None:
        """Look at the project again and again, in a thread."""
        while True:
            try:
                await asyncio.to_thread(board.look)
            except Exception as error:  # a bug, which must not end the looking without a word
                board.tell_problem(f"the page is not up to date: {error!r}")
            await asyncio.sleep(LOOK_SECONDS)

    tasks: set[asyncio.Task[None]] = set()
    app.on_startup(lambda: tasks.add(asyncio.create_task(look())))
    app.on_shutdown(lambda: [task.cancel() for task in tasks])
    ui.run_with(
        server, title=f"{project.root.resolve().name} - meshcli", dark=None, favicon="🧊", tailwind=False,
        show_welcome_message=False, reconnect_timeout=10.0,
    )  # fmt: skip
    return server


def _is_local(host: str) -> bool:
    return host in LOCAL_NAMES


def _own_names(host: str) -> frozenset[str]:
    """The names that a browser may call this machine by, when it is reached from others."""
    if _is_local(host):
        return frozenset()
    name = socket.gethostname().lower()
    return frozenset({host.lower(), name, f"{name}.local", socket.getfqdn().lower()})


def _open_browser(page: str) -> None:
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(page)


def _silence() -> None:
    """Leave out what libraries log about requests: addresses may hold the token."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "nicegui"):
        logging.getLogger(name).setLevel(logging.ERROR)
