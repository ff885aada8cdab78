"""Coarse-grained multithreading: torch's threads each take whole parts of the work."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")


def run_in_threads(work: Callable[[Part], None], parts: Iterable[Part], device: torch.device) -> None:
    """Call `work` on every part in inference mode; on a CPU in as many threads as torch uses.

    torch's own threading splits every single product; its threads then wait for each other after each, for long on a
    busy machine. Raises what a part raised.
    """

    def run_part(part: Part) -> None:
        with torch.inference_mode():  # set for each thread on its own
            work(part)

    workers = torch.get_num_threads() if device.type == "cpu" else 1
    if workers == 1:
        for part in parts:
            run_part(part)
        return
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(run_part, parts))  # the list raises what a thread raised
