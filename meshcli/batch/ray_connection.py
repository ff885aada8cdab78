"""The way to a Ray cluster: found within a time limit, quiet, and of the same versions on every node. Light.

Ray itself is imported by the functions that need it.
"""

import logging
import os
import signal
import socket
import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import meshcli
from meshcli.batch.storage import Storage, is_url
from meshcli.errors import MissingError, ProjectError, UsageError
from meshcli.system.processes import SIGNALS

CONNECT_SECONDS = 10.0  # that a cluster's port has to answer; Ray itself would try for two minutes
PROBE_SECONDS = 120.0  # that every node has to answer; a first worker takes seconds to start on a busy node
CLIENT = "ray://"
CLIENT_PORT = 10001  # where a head listens to clients by default
INSTALL = "pip install 'meshcli[ray]'"
# For this process and for the cluster that it may start: nothing is sent home, and nothing is tried again unasked.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_oom_retries": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a task without a GPU sees none
}


@dataclass(frozen=True)
class Versions:
    """What has to be the same on all machines."""

    ray: str
    python: str  # 3.12: the patch level may differ
    meshcli: str


@dataclass(frozen=True)
class NodeAnswer:
    """What a node says about itself."""

    host: str
    versions: Versions
    unseen: tuple[str, ...]  # of the paths that were asked for
    marker: str  # what the marker file holds there; empty if it cannot be read


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected to the cluster at an address, until the end of the block.

    `ray://HOST:PORT`, `HOST:PORT`, `auto` for the cluster that runs on this machine, or empty for that if there is one,
    and else for a Ray of this machine alone that ends with the block. Raises MissingError without Ray or with another
    version of it, UsageError where no cluster answers.
    """
    ray = _import_ray(address)
    _require_answer(_stated_address(address))
    handlers = {number: signal.getsignal(number) for number in SIGNALS} if _in_main_thread() else {}
    try:
        _initialise(ray, address)
        for number, handler in handlers.items():  # Ray has set its own, which would end this process on the spot
            signal.signal(number, handler)
        yield ray
    finally:
        ray.shutdown()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def own_versions(ray: Any) -> Versions:
    """The versions here."""
    return Versions(ray.__version__, ".".join(map(str, sys.version_info[:2])), meshcli.__version__)


def check_nodes(ray: Any, shared: Path | str | None, paths: tuple[str, ...]) -> None:
    """Ask every node of the cluster, before any work, for its versions and for what it has to see.

    `shared` is the folder of the results, or its URL; `paths` are photos and other files. Raises MissingError for other
    versions, UsageError for a folder or files that a node does not see, or where a node does not answer.
    """
    with _marker(shared) as (file, text):
        answers = _ask_nodes(ray, file, paths)
    own = own_versions(ray)
    for answer in answers:
        if answer.versions != own:
            raise MissingError(
                f"{answer.host} of the cluster has {_difference(answer.versions, own)}; install the same"
            )
        if answer.marker != text:
            stored = is_url(str(shared))
            advice = "it lacks the package or the rights" if stored else "take a folder that all nodes share"
            raise UsageError(f"{answer.host} of the cluster does not see {shared}; {advice}")
        if answer.unseen:
            raise UsageError(f"{answer.host} of the cluster does not see {answer.unseen[0]}; put it where all nodes do")


def _import_ray(address: str) -> Any:
    """The module; MissingError where the extra is not installed."""
    if not find_spec("ray") or (address.startswith(CLIENT) and not find_spec("grpc")):
        raise MissingError(f"--on ray needs Ray: `{INSTALL}`")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray
    import ray._private.worker as driver

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    # Ray prints what its nodes report to standard output, which is for documents; there is no setting for that. What it
    # is about, a lost worker or node, comes back as the error of a task as well.
    driver.print_to_stdstream = lambda *_, **__: None
    return ray


def _stated_address(address: str) -> str:
    """The address that Ray will use, as far as it is stated: here or in RAY_ADDRESS."""
    return os.environ.get("RAY_ADDRESS", "") if address in ("", "auto") else address


def _require_answer(address: str) -> None:
    """UsageError unless somebody listens at HOST:PORT or ray://HOST:PORT."""
    if address in ("", "auto", "local"):
        return
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or (port is None and not address.startswith(CLIENT)):
        raise UsageError(f"--address {address}: write auto, HOST:PORT or ray://HOST:PORT")
    port = port or CLIENT_PORT
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS):
            pass
    except OSError as error:
        raise UsageError(f"no Ray cluster answers at {address} ({error.strerror or error})") from error
    if address.startswith(CLIENT) and not _speaks_grpc(f"{host}:{port}"):
        raise UsageError(f"what answers at {address} is no Ray head for clients; `ray start --head` opens port 10001")


def _speaks_grpc(target: str) -> bool:
    """Whether gRPC's handshake succeeds in time; not asked where Ray encrypts, which needs its certificates."""
    import grpc

    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True
    with grpc.insecure_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            return False
    return True


def _initialise(ray: Any, address: str) -> None:
    """Connect, or start a Ray of this machine alone; the errors of one line in place of Ray's."""
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.CRITICAL}
    try:
        if address:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what they are about is raised as well
                ray.init(address=address, **quiet)
            return
        with suppress(ConnectionError):
            ray.init(address="auto", **quiet)
            return
        ray.init(address="local", include_dashboard=False, **quiet)
    except RuntimeError as error:
        if "mismatch" not in str(error):
            raise UsageError(f"no connection to the Ray cluster at {address}: {_first_line(error)}") from error
        raise MissingError(f"the Ray cluster has other versions: {' '.join(str(error).split())}") from error
    except (OSError, ValueError, SystemExit) as error:
        raise UsageError(f"no Ray cluster at {address}: {_first_line(error)}") from error


@contextmanager
def _marker(shared: Path | str | None) -> Iterator[tuple[str, str]]:
    """A file of a random content in the shared folder: its path or URL and its text; both empty without a folder."""
    if shared is None:
        yield "", ""
        return
    text = uuid.uuid4().hex
    name = f".meshcli-{text}.marker"
    if isinstance(shared, str):
        storage = Storage(shared)
        storage.write(name, text.encode())
        try:
            yield storage.place(name), text
        finally:
            storage.remove([name])
        return
    file = shared.absolute() / name
    try:
        shared.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    except OSError as error:
        raise ProjectError(f"{shared} cannot be written: {error.strerror}") from error
    try:
        yield str(file), text
    finally:
        file.unlink(missing_ok=True)


def _ask_nodes(ray: Any, marker: str, paths: tuple[str, ...]) -> list[NodeAnswer]:
    """The answers of all nodes that are alive."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = ray.remote(_probe())
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = probe.options(num_cpus=0, max_retries=0, scheduling_strategy=there)
            asked[task.remote(marker, paths)] = node["NodeManagerHostname"]
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_SECONDS)
    if late:
        raise UsageError(f"{asked[late[0]]} of the cluster does not answer within {PROBE_SECONDS:g} s")
    answers = []
    for task in done:
        try:
            host, versions, *rest = ray.get(task)
            answers.append(NodeAnswer(host, Versions(*versions), *rest))
        except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
            continue  # it went away just now, and gets no work
        except ray.exceptions.RayError as error:
            raise UsageError(f"{asked[task]} of the cluster cannot be asked: {_first_line(error)}") from error
    if not answers:
        raise UsageError("the cluster has no node that answers")
    return answers


def _probe() -> Callable[[str, tuple[str, ...]], tuple[str, tuple[str, str, str], tuple[str, ...], str]]:
    """The question to a node. Made here, so that its code is sent: the node may have no meshcli, or an older one."""

    def probe(
        marker: str, paths: tuple[str, ...]
    ) -> tuple[str, tuple[str, str, str], tuple[str, ...], str]:  # plain types, which any version reads
        import pathlib
        import platform
        import sys

        import ray

        try:
            import meshcli

            version = str(meshcli.__version__)
        except ImportError:
            version = ""
        try:
            if "://" in marker:
                from fsspec.core import url_to_fs

                files, path = url_to_fs(marker)
                text = files.cat_file(path).decode("ascii")
            else:
                text = pathlib.Path(marker).read_text(encoding="ascii") if marker else ""
        except Exception:  # whatever a package for storage raises
            text = ""
        unseen = tuple(path for path in paths if not pathlib.Path(path).exists())
        return platform.node(), (ray.__version__, "{}.{}".format(*sys.version_info[:2]), version), unseen, text

    return probe


def _difference(there: Versions, here: Versions) -> str:
    """The first version that differs, in words."""
    for name, title in (("ray", "Ray"), ("python", "Python"), ("meshcli", "meshcli")):
        found, own = getattr(there, name), getattr(here, name)
        if found != own:
            return f"{title} {found}, this machine {own}" if found else f"no {title}, this machine {own}"
    return "the same versions"


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
