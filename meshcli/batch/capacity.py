"""How much a machine can do at a time: by the peaks of finished stages, before the first by the settings. Light.

What networks need is set aside while one works or waits, and cores for it; the rest is divided among the workers of the
processor, as many as memory allows and at most one a core.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from meshcli.batch.machine import Machine
from meshcli.batch.stage_needs import WITH_NETWORK, Needs

MEMORY_AFTER_OOM = 1.5  # times what was thought enough for a kind of stage, when memory ran out in one; by choice


@dataclass
class Capacity:
    """What a machine can take, as far as is known by now."""

    machine: Machine
    objects: int = 0  # of a batch that has fewer than the machine has cores; 0 for more
    _needs: dict[str, Needs] = field(default_factory=dict)  # kind of stage -> the most that was asked for
    _peaks: dict[str, int] = field(default_factory=dict)  # kind -> bytes
    _seen: set[str] = field(default_factory=set)  # kinds on the processor

    def expect(self, kind: str, needs: Needs) -> None:
        """Count with stages of this kind, which need so much as far as is known before the first has run."""
        before = self._needs.get(kind, needs)
        self._needs[kind] = Needs(max(before.cpus, needs.cpus), max(before.memory, needs.memory), needs.gpus)
        if kind not in WITH_NETWORK:
            self._seen.add(kind)

    def measured(self, kind: str, peak: int) -> None:
        """Take note of the peak of a stage in bytes."""
        self._peaks[kind] = max(self._peaks.get(kind, 0), peak)

    def ran_out(self, kind: str) -> None:
        """Count with more for a kind of stage, since memory ran out in one."""
        self._peaks[kind] = int(self.memory(kind) * MEMORY_AFTER_OOM)

    def memory(self, kind: str) -> int:
        """Bytes that a stage of this kind takes."""
        return self._peaks.get(kind) or self._needs[kind].memory

    @property
    def gpus(self) -> tuple[str, ...]:
        """Where networks work, one each: by CUDA's names, or one empty name where there is no GPU."""
        return self.machine.gpus or ("",)

    def slots(self, networks: Iterable[str]) -> int:
        """How many stages the processor takes at a time beside those networks, by kind, that work or wait.

        At least one where there are no networks, as if all memory were there for it.
        """
        kinds = set(networks)
        largest = max((self.memory(kind) for kind in self._seen), default=1)
        room = self.machine.memory - max((self.memory(kind) for kind in kinds), default=0) * (
            len(self.gpus) if kinds else 0
        )
        cores = max((self._needs[kind].cpus for kind in self._seen), default=1)
        slots = max(min(self._processor_cores(kinds) // cores, room // largest), 0 if kinds else 1)
        return min(slots, self.objects) if self.objects else slots

    def threads(self, networks: Iterable[str], slots: int) -> int:
        """How many threads each of so many workers of the processor gets."""
        return max(self._processor_cores(set(networks)) // max(slots, 1), 1)

    def network_threads(self, kind: str) -> int:
        """How many threads a network gets: without a GPU all cores but one, for the stages beside it."""
        cores = self.machine.cores
        return max(cores - 1, 1) if not self.machine.gpus else min(self._needs[kind].cpus, cores)

    def has_room(self, kind: str, beside: Iterable[str]) -> bool:
        """Whether a network fits beside stages that work, by kind; always where there are none."""
        taken = sum(self.memory(each) for each in beside)
        return not taken or taken + self.memory(kind) <= self.machine.memory

    def _processor_cores(self, networks: set[str]) -> int:
        taken = len(self.gpus) * max(self.network_threads(kind) for kind in networks) if networks else 0
        return max(self.machine.cores - taken, 1)
