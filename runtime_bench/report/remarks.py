"""Turns findings about single entries into the few warnings that a reader can take in."""

from collections.abc import Mapping, Sequence

from runtime_bench.devices.base import BenchWarning
from runtime_bench.stability import Finding, interval_findings
from runtime_bench.statistics import Ratio

# Cosine of the outputs of two artifacts of a bundle. fp32 and fp16 storage differ by rounding; the
# worst int8 graph that still worked had 0.987, the mildest broken calibration 0.82.
_AGREEMENT_LIMITS: Mapping[str, float] = {"fp32": 0.9999, "fp16": 0.999}
_QUANTIZED_LIMIT = 0.95


def disagreement(precision: str, reference: str | None, cosine: float | None) -> list[Finding]:
    """A finding when an artifact's outputs are far from those of its bundle's ``reference``."""
    limit = _AGREEMENT_LIMITS.get(precision, _QUANTIZED_LIMIT)
    if reference is None or (cosine is not None and cosine >= limit):
        return []
    return [
        Finding(
            "disagreement",
            f"the outputs differ from those of {reference}",
            "(not comparable)" if cosine is None else f"(cosine {cosine:.4f})",
            "Prove the bundle with: squeezebert-export verify BUNDLE",
        )
    ]


def wide_intervals(ratios: Sequence[tuple[str, Ratio]]) -> list[tuple[str, Finding]]:
    """The widest interval that is too wide, with the number of the others."""
    wide = [(place, ratio) for place, ratio in ratios if interval_findings(ratio)]
    if not wide:
        return []
    place, worst = max(wide, key=lambda item: _width(item[1]))
    finding = interval_findings(worst)[0]
    others = f", and {len(wide) - 1} more" if len(wide) > 1 else ""
    return [
        (
            place,
            Finding(finding.code, finding.statement, finding.detail + others, finding.remedy),
        )
    ]


def grouped(findings: Sequence[tuple[str, Finding]], where: str) -> list[BenchWarning]:
    """One warning for each kind of finding in a case, naming all entries that it is about."""
    groups: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for place, finding in findings:
        groups.setdefault((finding.code, finding.statement), []).append((place, finding))
    return [
        BenchWarning(
            code,
            f"{where}: {statement}: "
            + "; ".join(f"{place} {finding.detail}".rstrip() for place, finding in members)
            + ".",
            members[-1][1].remedy,
        )
        for (code, statement), members in groups.items()
    ]


def _width(ratio: Ratio) -> float:
    interval = ratio.interval
    return (interval.high - interval.low) / ratio.value if interval else float("inf")
