"""Which cores of a phone are of one kind, from its own clocks and part numbers."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from runtime_bench.devices.base import Cluster

# Part numbers of the cores that are built for efficiency, which decide where clocks do not: a
# little core can be clocked as high as a big one. Arm: Cortex-A53, A55, A510, A520 (Linux,
# arch/arm64/include/asm/cputype.h); Qualcomm: the silver cores of Kryo 2xx, 3xx and 4xx.
_LITTLE_PARTS = frozenset(("0xd03", "0xd05", "0xd46", "0xd80", "0x801", "0x803", "0x805"))
# Cortex-X1, X1C, X2, X3, X4, X925: above the big cores of the same phone.
_PRIME_PARTS = frozenset(("0xd44", "0xd4c", "0xd48", "0xd4e", "0xd82", "0xd85"))


@dataclass(frozen=True)
class Core:
    """One core; None where the phone does not tell."""

    cpu: int
    maximum_khz: int | None = None
    part: str | None = None


def clusters(cores: Sequence[Core]) -> tuple[Cluster, ...]:
    """The clusters, rising by speed: "all", "little" and "big", or these with "middle" between.

    Cores belong together that have the same maximum clock and are of the same class. Phones with
    more than three kinds have several of them in "middle", whose maximum is its fastest core's.
    """
    kinds: dict[tuple[int, int, int], list[Core]] = defaultdict(list)
    for core in cores:
        efficient = core.part in _LITTLE_PARTS
        kinds[not efficient, core.maximum_khz or 0, core.part in _PRIME_PARTS].append(core)
    ordered = [kinds[key] for key in sorted(kinds)]
    if not ordered:
        return ()
    if len(ordered) == 1:
        return (_cluster("all", ordered[0]),)
    middle = [core for kind in ordered[1:-1] for core in kind]
    return (
        _cluster("little", ordered[0]),
        *((_cluster("middle", middle),) if middle else ()),
        _cluster("big", ordered[-1]),
    )


def _cluster(name: str, cores: Sequence[Core]) -> Cluster:
    clocks = [core.maximum_khz for core in cores if core.maximum_khz]
    return Cluster(name, tuple(sorted(core.cpu for core in cores)), max(clocks, default=None))
