"""A profile as a table for the terminal and as a JSON document."""

import io
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime_bench.plan import Case
from runtime_bench.profiling.kinds import Kind
from runtime_bench.profiling.profile import Profile, ProfileFailure
from runtime_bench.report import text

SCHEMA = "squeezebert-profile/1"
_NOTES = (
    "This is no latency measurement: profilers slow the inference down, most of all one of many "
    "short operators, and artifacts are not interleaved. For latencies: squeezebert-bench run",
    "The columns add up to the inference by the runtime's own clock, profiler on. Runtime overhead "
    "is what is left of it: calling operators, memory, the profiler itself.",
)
_TARGET_NOTES: Mapping[str, str] = {
    "executorch": "XNNPACK does not report the conversion of activations to int8: that time is "
    f'under "{Kind.DELEGATE}", with what a delegate does between its operators.',
    "onnx": "ONNX Runtime's DynamicQuantizeMatMul quantizes its input itself, FusedGemm activates "
    "its output itself: that time is under the products.",
}
_FUSED_NOTE = (
    "Not matrix products is a range where there is fused attention: without it and with it, "
    "since products and softmax are one operator there."
)
_NARROWEST = 100


def document(
    profiles: Sequence[Profile], failures: Sequence[ProfileFailure], case: Case, runs: int
) -> dict[str, Any]:
    """Everything, down to the runtimes' own operator names."""
    return {
        "schema": SCHEMA,
        "length": case.length,
        "threads": case.threads,
        "runs": runs,
        "notes": notes(profiles),
        "artifacts": [_artifact(profile) for profile in profiles],
        "failures": [
            {"label": failure.entry.label, "reason": failure.reason} for failure in failures
        ],
    }


def notes(profiles: Sequence[Profile]) -> list[str]:
    """What to know before comparing the columns of these profiles."""
    if not profiles:
        return []
    targets = {profile.entry.target for profile in profiles}
    fused = any(profile.kinds[Kind.FUSED_ATTENTION] for profile in profiles)
    found = [*_NOTES, *(note for target, note in _TARGET_NOTES.items() if target in targets)]
    return [*found, _FUSED_NOTE] if fused else found


def _artifact(profile: Profile) -> dict[str, Any]:
    entry = profile.entry
    artifact = entry.artifact
    least, most = profile.shares_without_products()
    return {
        "label": entry.label,
        "roles": list(entry.roles),
        "target": entry.target,
        "path": None if artifact is None else artifact.path,
        "sha256": None if artifact is None else artifact.sha256,
        "versions": dict(profile.versions),
        "whole_ms": profile.whole_ms,
        "unprofiled_median_ms": profile.unprofiled_ms,
        "not_matrix_products": {"at_least": least, "at_most": most},
        "kinds": [
            {"kind": kind.value, "ms": profile.kinds[kind], "share": profile.share(kind)}
            for kind in Kind
        ],
        "other": profile.unknown(),
        "operators": [
            {
                "name": operator.name,
                "kind": operator.kind.value,
                "count": operator.count,
                "ms": operator.ms,
            }
            for operator in profile.operators
        ],
    }


def render(
    profiles: Sequence[Profile], failures: Sequence[ProfileFailure], case: Case, runs: int
) -> str:
    """The table and its notes as text, as wide as the terminal (at least 100 columns)."""
    width = max(_NARROWEST, shutil.get_terminal_size((120, 40)).columns)
    console = Console(file=io.StringIO(), width=width, highlight=False)
    if profiles:
        console.print(_table(profiles, case, runs))
    for profile in profiles:
        if unknown := profile.unknown():
            words = f"Other in {profile.entry.label}: {', '.join(unknown)}"
            console.print(Text(words, style="yellow"))
    for failure in failures:
        words = f"Failed: {failure.entry.label}: {failure.reason}"
        console.print(Text(words, style="bold red"))
    for note in notes(profiles):
        console.print(Text(note, style="dim"))
    stream = console.file
    return stream.getvalue().rstrip() if isinstance(stream, io.StringIO) else ""


def _table(profiles: Sequence[Profile], case: Case, runs: int) -> Table:
    table = Table(
        title=f"ms of one inference: {case.length} tokens, {text.threads(case.threads)}, batch 1; "
        f"middle half of {runs} runs",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("kind of operator")
    for profile in profiles:
        table.add_column(profile.entry.label, justify="right")
    for kind in Kind:
        if any(profile.kinds[kind] for profile in profiles):
            table.add_row(kind.value, *(_cell(profile, kind) for profile in profiles))
    table.add_section()
    table.add_row(
        "whole inference, profiler on",
        *(f"{text.milliseconds(profile.whole_ms)}  100 %" for profile in profiles),
    )
    table.add_row("not matrix products", *(_without_products(profile) for profile in profiles))
    table.add_row(
        "median without the profiler",
        *(f"{text.milliseconds(profile.unprofiled_ms)}       " for profile in profiles),
    )
    return table


def _cell(profile: Profile, kind: Kind) -> str:
    if not profile.kinds[kind]:
        return "-       "
    return f"{text.milliseconds(profile.kinds[kind])}  {100 * profile.share(kind):3.0f} %"


def _without_products(profile: Profile) -> str:
    least, most = (f"{100 * share:.0f}" for share in profile.shares_without_products())
    return f"{least} %" if least == most else f"{least} to {most} %"
