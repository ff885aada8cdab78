"""Work that torch's threads share in large parts."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")


def run_in_threads(work: Callable[[Part], None], parts: Iterable[Part], device: torch.device) -> None:
    """`work` on every part, without gradients; on a processor each of torch's threads takes parts of its own.

    Threads that share every small product wait for each other, for ever where they share a busy processor. Raises what
    a part raised.
    """

    def alone(part: Part) -> None:
        with torch.inference_mode():  # a mode of each thread
            work(part)

    workers = torch.get_num_threads() if device.type == "cpu" else 1
    if workers == 1:
        for part in parts:
            alone(part)
        return
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(alone, parts))  # the list raises what a thread raised
