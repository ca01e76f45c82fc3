"""How it was measured, in words: the same in every format."""

from collections.abc import Mapping
from typing import Any

from runtime_bench.report import text
from runtime_bench.report.content import Content


def method(content: Content) -> tuple[str, ...]:
    """How it was measured, as paragraphs."""
    return _counting_method(content) if content.emulated else _timing_method(content)


def _timing_method(content: Content) -> tuple[str, ...]:
    settings = content.settings
    paragraphs = [
        f"{_processes(content)} {_rounds(settings)} for each case; within a round every artifact "
        f"runs for {settings['seconds_per_block']:g} s (at least "
        f"{settings['minimum_iterations']} inferences), in forward order in one round and in "
        "reverse in the next (A B B A), so that a steady drift of the clock cancels from the "
        "ratios.",
        "Before a case each artifact warms up for at least 0.3 s and until the medians of two "
        "neighbouring windows of 3 inferences agree within 5 %. The first 0.15 s of each block "
        "lead in and are not counted.",
        "A ratio is the baseline's median wall time divided by the artifact's: above 1 the "
        "artifact is faster. Its 95 % interval comes from resampling whole rounds, the same for "
        "both sides (expanded percentile bootstrap).",
        f"CPU is the median CPU time, summed over all threads{_cpu(content)}. Load is the time to "
        f"open the file, with the file in the page cache. {_memory(content)} "
        "MAD is the median absolute deviation.",
        f"Input: seeded random token ids, batch 1, no padding; {_options(content)}. "
        f"{_placement(content)}",
    ]
    if any(row.energy_mj is not None for case in content.cases for row in case.rows):
        paragraphs.append(
            "Energy is of the whole device, by its own meter, for one inference: what the meter "
            "gave for a block divided by all its inferences (median over the blocks)."
        )
    if any(row.pss_bytes is not None for case in content.cases for row in case.rows):
        paragraphs.append(
            f"PSS is the memory of the {'app' if in_app(content) else 'process'} with its "
            f"runtime{'s' if in_app(content) else ''}, shared pages divided among their "
            "users (largest value after a block)."
        )
    return tuple(paragraphs)


def in_app(content: Content) -> bool:
    """Whether the app measured, in its own process."""
    return content.device.get("kind") == "app"


def _processes(content: Content) -> str:
    if in_app(content):
        return "The app's one process holds all artifacts, and one computes at any time."
    return "Every artifact lives in its own process, and one process computes at any time."


def _cpu(content: Content) -> str:
    if in_app(content):
        return " of the app, in steps of a millisecond, too coarse for small models"
    return ""


def _options(content: Content) -> str:
    default = "default session options of the runtime apart from the thread count"
    if in_app(content):
        # Elsewhere they spin, which is the runtime's default.
        return f"{default}, and ONNX Runtime's threads sleep between two inferences"
    return default


def _memory(content: Content) -> str:
    if in_app(content):
        return "What memory an artifact takes is not told: the process holds all of them."
    return (
        "Memory is the largest resident memory of the process up to that case, less what the "
        "runner and its runtime took before they opened the file."
    )


def _counting_method(content: Content) -> tuple[str, ...]:
    return (
        f"The device is emulated{text.profiles(content)}: real Arm programs run on another "
        "processor, and a plugin of the emulator counts the instructions that they execute. Before "
        "anything is counted, the outputs are compared with this host's own.",
        "Counts are of single inferences after a warm-up. They repeat almost exactly, and rank "
        "artifacts by the work they ask for; instructions differ in what they cost, so that no "
        "time follows from them.",
    )


def _rounds(settings: Mapping[str, Any]) -> str:
    blocks = settings["blocks"]
    if "most_blocks" not in settings:
        return f"{blocks} rounds"
    most = settings["most_blocks"] or 2 * blocks
    if most <= blocks:
        return f"{blocks} rounds"
    return (
        f"{blocks} rounds, and up to {most} while the interval of a ratio is wider than "
        f"{settings['interval_goal']:.0%} to either side,"
    )


def _placement(content: Content) -> str:
    if content.cores_used:
        return f"Processes are bound to the cores {content.cores_used}."
    return "Processes are not pinned to CPUs: the system's scheduler places all of them alike."
