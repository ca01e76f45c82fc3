"""Which samples of a results file count, in milliseconds and by round."""

from collections.abc import Sequence

import numpy as np

from runtime_bench.records import BlockRecord
from runtime_bench.results import Results
from runtime_bench.statistics import Blocks

NANOSECONDS = 1e-6  # to milliseconds


def counted_blocks(results: Results, length: int, threads: int) -> dict[str, list[BlockRecord]]:
    """The blocks of one case by entry id.

    Timings of an emulated device are none: the emulator's speed is not the device's.
    """
    if results.run.device["emulated"]:
        return {}
    found: dict[str, list[BlockRecord]] = {}
    for block in results.blocks:
        if (block.length, block.threads) == (length, threads):
            found.setdefault(block.entry, []).append(block)
    return found


def wall(blocks: Sequence[BlockRecord]) -> Blocks:
    """Wall time of every counted inference, ms."""
    return {block.round: np.array(block.wall_ns) * NANOSECONDS for block in blocks}


def cpu(blocks: Sequence[BlockRecord]) -> Blocks:
    """CPU time of every counted inference, summed over the threads, ms."""
    return {block.round: np.array(block.cpu_ns) * NANOSECONDS for block in blocks}
