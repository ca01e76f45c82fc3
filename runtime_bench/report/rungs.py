"""The paper's ladder on the user's own device: stock fp32 BERT down to our int8 SqueezeBERT."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime_bench.report.cases import CaseContent, EntryContent, Row
from runtime_bench.report.instructions import InstructionRow
from runtime_bench.results import Results
from runtime_bench.samples import counted_blocks, wall
from runtime_bench.statistics import Blocks, Ratio, ratio

TARGETS = ("onnx", "executorch")
RUNTIMES = {"onnx": "ONNX Runtime", "executorch": "ExecuTorch"}
# Family, stock or ours, precision; the first is what the others are compared with.
_RUNGS = (
    ("bert", True, "fp32"),
    ("bert", False, "fp32"),
    ("bert", False, "int8"),
    ("squeezebert", True, "fp32"),
    ("squeezebert", True, "int8"),
    ("squeezebert", False, "fp32"),
    ("squeezebert", False, "int8"),
)
NAMES = {"bert": "bert-base-uncased", "squeezebert": "SqueezeBERT"}
# Iandola et al. 2020, "SqueezeBERT: What can computer vision teach NLP about efficient neural
# networks?", arXiv 2006.11316: on a Pixel 3, in fp32.
PAPER_BERT_SECONDS = 1.7
PAPER_TIMES_AS_FAST = 4.3
PAPER = "arXiv 2006.11316"
_BASE_SIZE = (12, 768)
_LENGTH = 128


@dataclass(frozen=True)
class Rung:
    """One model of the ladder. ``row`` holds latencies, ``counted`` instructions of an emulated
    device; where both are None it was not measured, and ``command`` says how to fill it.

    ``ratio``: how many times as fast as the first rung; ``instruction_ratio``: the instructions of
    the first rung divided by this one's. ``paper`` is the paper's own figure, on its phone.
    """

    name: str
    family: str
    stock: bool
    precision: str
    entry: EntryContent | None
    row: Row | None
    counted: InstructionRow | None
    ratio: Ratio | None
    instruction_ratio: float | None
    paper: str
    command: str


@dataclass(frozen=True)
class Ladder:
    """The rungs of one runtime in one case. ``remarks``: what keeps it from being the paper's."""

    target: str
    length: int
    threads: int
    rungs: tuple[Rung, ...]
    remarks: tuple[str, ...]


def build_ladders(
    results: Results, entries: Sequence[EntryContent], cases: Sequence[CaseContent]
) -> tuple[Ladder, ...]:
    """A ladder for each runtime, in the case nearest to the paper's (128 tokens, one thread)."""
    full = [case for case in cases if case.rows or case.instructions]
    if not full:
        return ()
    case = min(full, key=lambda item: (item.threads, abs(item.length - _LENGTH)))
    return tuple(_ladder(results, entries, case, target) for target in TARGETS)


def _ladder(
    results: Results, entries: Sequence[EntryContent], case: CaseContent, target: str
) -> Ladder:
    found = [
        _fastest(entries, case, (family, stock, precision), target)
        for family, stock, precision in _RUNGS
    ]
    blocks = counted_blocks(results, case.length, case.threads)
    times = [wall(blocks[entry.id]) if entry and entry.id in blocks else None for entry in found]
    counted = [_counted(case, entry) for entry in found]
    rungs = []
    for place, (entry, (family, stock, precision)) in enumerate(zip(found, _RUNGS, strict=True)):
        first, own = counted[0], counted[place]
        rungs.append(
            Rung(
                name=f"{NAMES[family]} {'stock' if stock else 'ours'} {precision}",
                family=family,
                stock=stock,
                precision=precision,
                entry=entry,
                row=next((row for row in case.rows if entry and row.entry.id == entry.id), None),
                counted=own,
                ratio=_ratio(times[0], times[place]) if place else None,
                instruction_ratio=first.total / own.total if place and first and own else None,
                paper=_paper(family, stock, precision),
                command="" if entry else _command(results, entries, family, stock, target),
            )
        )
    return Ladder(target, case.length, case.threads, tuple(rungs), _remarks(found))


def _fastest(
    entries: Sequence[EntryContent], case: CaseContent, rung: tuple[str, bool, str], target: str
) -> EntryContent | None:
    """The measured entry of a rung; the fastest where there are several (other flavours)."""
    cost = {row.entry.id: row.wall.median for row in case.rows}
    cost |= {row.entry: float(row.total) for row in case.instructions}
    fitting = [
        entry
        for entry in entries
        if (entry.family, entry.recipe == "stock", entry.precision) == rung
        and entry.target == target
        and entry.id in cost
    ]
    return min(fitting, key=lambda entry: cost[entry.id], default=None)


def _counted(case: CaseContent, entry: EntryContent | None) -> InstructionRow | None:
    return next((row for row in case.instructions if entry and row.entry == entry.id), None)


def _ratio(baseline: Blocks | None, subject: Blocks | None) -> Ratio | None:
    if baseline is None or subject is None or not set(baseline) & set(subject):
        return None
    return ratio(baseline, subject)


def _paper(family: str, stock: bool, precision: str) -> str:
    if not stock or precision != "fp32":
        return ""
    if family == "bert":
        return f"{PAPER_BERT_SECONDS:g} s"
    return f"{PAPER_TIMES_AS_FAST:g} times as fast"


def _command(
    results: Results, entries: Sequence[EntryContent], family: str, stock: bool, target: str
) -> str:
    """What makes the missing artifact and measures it together with the others."""
    source = next((item.source for item in entries if item.family == family), "")
    source = source or f"random:{family}-base"
    folder = f"out/{'stock-' if stock else ''}{family}"
    make = f"squeezebert-export baseline {source} {folder} --target {target}"
    if not stock:
        make = f"squeezebert-export build {source} {folder} --target {target} --precision fp32,int8"
    device = results.run.device["name"]
    where = "" if device == "host" else f" --device {device}"
    return (
        f"{make} && squeezebert-bench run BUNDLE... --baseline {folder}{where} --out ladder.jsonl"
    )


def _remarks(found: Sequence[EntryContent | None]) -> tuple[str, ...]:
    remarks = []
    present = [entry for entry in found if entry is not None]
    sizes = {(entry.layers, entry.hidden_size) for entry in present}
    other = sorted(f"{layers}x{hidden}" for layers, hidden in sizes - {_BASE_SIZE})
    if other:
        remarks.append(
            f"The models measured have another size ({', '.join(other)} layers x hidden size) "
            "than the paper's (12x768), so its figures do not apply to them."
        )
    if any(not entry.trained for entry in present):
        remarks.append(
            "Some weights are seeded, not trained: latency does not depend on that, accuracy does."
        )
    return tuple(remarks)
