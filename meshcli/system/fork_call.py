"""Calls a function in a forked process, so that what it imports and allocates leaves with that. Light."""

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from meshcli.system.processes import SIGNALS, signals_blocked

Result = TypeVar("Result")


def call_in_fork(function: Callable[[], Result]) -> Result:
    """The result of a function that is called in a forked process; raises what the function raises.

    It is called in this process beside other threads, where nothing can be forked, and when the child was ended, as the
    system does when memory runs out: here that is reported.
    """
    if threading.active_count() > 1:
        return function()
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()
    with os.fdopen(read, "rb") as answers:
        try:
            with signals_blocked():
                child = os.fork()
                if not child:
                    _answer(function, write)
        except OSError:
            return function()
        finally:
            os.close(write)
        data = _read_answer(answers, child)
    if not data:
        return function()
    returned: Any
    returned, error = pickle.loads(data)  # noqa: S301 (written by this program, through a pipe of its own)
    if error is not None:
        raise error
    return returned  # type: ignore[no-any-return]


def _read_answer(answers: Any, child: int) -> bytes:
    """All that the child writes; the child is gone afterwards, also when this process is interrupted."""
    try:
        return bytes(answers.read())
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.waitpid(child, 0)


def _answer(function: Callable[[], object], pipe: int) -> NoReturn:
    """Body of the child, whose end is its parent's business: write what the function returns, or what it raises."""
    try:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        answer: tuple[object, Exception | None]
        try:
            answer = (function(), None)
        except Exception as error:
            answer = (None, error)
        with os.fdopen(pipe, "wb") as file:
            file.write(pickle.dumps(answer))
    finally:
        os._exit(0)
