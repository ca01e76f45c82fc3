"""Which samples of a results file count, in milliseconds and by round."""

from collections.abc import Sequence

import numpy as np

from runtime_bench.records import BlockRecord
from runtime_bench.results import Results
from runtime_bench.statistics import Blocks, summarise

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


def reference(results: Results, length: int, threads: int) -> float | None:
    """Median time of the matrix product in one case, ms; None where it was not measured.

    Of the entry that measures the peak, or, inside the app, of the small product before each round.
    """
    found = counted_blocks(results, length, threads)
    for item in results.run.entries:
        if "peak" in item["roles"]:
            return summarise(wall(found[item["id"]])).median if item["id"] in found else None
    by_round = {
        block.round: block.before["reference_ns"]
        for blocks in found.values()
        for block in blocks
        if block.before is not None and "reference_ns" in block.before
    }
    return float(np.median(list(by_round.values()))) * NANOSECONDS if by_round else None


def wall(blocks: Sequence[BlockRecord]) -> Blocks:
    """Wall time of every counted inference, ms."""
    return {block.round: np.array(block.wall_ns) * NANOSECONDS for block in blocks}


def cpu(blocks: Sequence[BlockRecord]) -> Blocks:
    """CPU time of every counted inference, summed over the threads, ms."""
    return {block.round: np.array(block.cpu_ns) * NANOSECONDS for block in blocks}
