"""What speaks against measuring now: other load, too few cores, memory, power."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime_bench.devices.base import BenchWarning

# In cores. On a two-core machine, load on the spare core moved the medians of one-thread runs by up
# to 3 %, load beyond it by 40 % and more (BERT and SqueezeBERT, 32 to 384 tokens).
OTHER_LOAD_LIMIT = 0.25
# A session holds the weights up to twice: as read and packed for the kernels.
MEMORY_FACTOR = 2.5


@dataclass(frozen=True)
class HostState:
    """A host just before a run. ``other_load`` is in cores."""

    cores: int
    other_load: float
    free_memory_bytes: int
    governor: str | None
    on_battery: bool


def host_warnings(
    state: HostState, threads: Sequence[int], memory_bytes: int
) -> tuple[BenchWarning, ...]:
    """Warnings before a run on a host; ``memory_bytes`` is the size of all models held at once."""
    found = []
    if state.other_load > OTHER_LOAD_LIMIT:
        found.append(
            BenchWarning(
                "other-load",
                f"Other processes keep {state.other_load:.1f} of {state.cores} cores busy.",
                "Stop them and run again; interleaving protects the ratios, not the latencies.",
            )
        )
    if max(threads) > state.cores:
        found.append(
            BenchWarning(
                "threads-above-cores",
                f"{max(threads)} threads on {state.cores} cores: they will wait for each other.",
                f"Measure with --threads {state.cores} or fewer.",
            )
        )
    if memory_bytes * MEMORY_FACTOR > state.free_memory_bytes:
        found.append(
            BenchWarning(
                "memory",
                f"The models need about {memory_bytes * MEMORY_FACTOR / 1e9:.1f} GB, "
                f"{state.free_memory_bytes / 1e9:.1f} GB is free.",
                "Measure fewer artifacts at once.",
            )
        )
    if state.governor not in (None, "performance"):
        found.append(
            BenchWarning(
                "governor",
                f"The frequency governor is {state.governor}.",
                "Fix the clocks with: sudo cpupower frequency-set -g performance",
            )
        )
    if state.on_battery:
        found.append(
            BenchWarning("battery", "This machine runs on battery.", "Plug it in and run again.")
        )
    return tuple(found)
