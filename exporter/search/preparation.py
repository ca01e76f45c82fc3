"""What is known before mixes are compared: the model that is stored, smoothing, static bounds,
sensitivities and corrected weights."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from exporter.filesystem import explained_os_errors
from exporter.model.config import SourceModel
from exporter.quantization.correction import corrected
from exporter.quantization.mix import METHODS, Float32, Mix, is_table, site_of, uniform_mix, units
from exporter.quantization.rounding import Rounded
from exporter.quantization.smoothing import smoothing_factors, static_bounds
from exporter.search.costs import usual_methods
from exporter.search.examples import SEED, Examples
from exporter.search.journal import Journal
from exporter.search.network import Networks
from exporter.search.sensitivity import Sensitivity, Trial, helpful_smoothing, measure, trials
from exporter.targets.base import Target, code_hash

Row = Mapping[str, npt.NDArray[Any]]

#: Examples of the search that stand in for calibration texts where none are given.
CALIBRATION_ROWS = 128

#: Smoothing is used where it divides the divergence of the site's layers by this, or more. What it
#: costs is a product a value, and a site where it changes little is better left as it is.
HELPS = 1.5

#: Examples on which that is decided, and the share of the time that it may take.
_SMOOTHING_EXAMPLES = 128
_SMOOTHING_SHARE = 0.25


@dataclass(frozen=True)
class Prepared:
    """``smoothing`` by site where it helps, ``gains`` by how much it does there (the factor that
    divides the divergence); ``bounds`` as in ``Mix``; ``sensitivity`` with that smoothing."""

    networks: Networks
    smoothing: Mapping[str, Float32]
    gains: Mapping[str, float]
    bounds: Mapping[str, tuple[float, float]]
    sensitivity: Sensitivity

    @property
    def smoothed_units(self) -> frozenset[str]:
        """Units whose inputs are smoothed where they are quantized."""
        model = self.networks.model
        return frozenset(
            unit.name
            for unit in units(model.config, model.task)
            if site_of(unit.members[0]) in self.smoothing
        )

    def mix(self, methods: Mapping[str, str], levels: Mapping[str, Rounded] | None = None) -> Mix:
        """By unit -> a whole mix, smoothed and bounded, with corrected ``levels`` where 4 bits are.

        Static bounds are kept for those layers alone that want them, factors where a layer is
        quantized.
        """
        model = self.networks.model
        by_unit = {unit.name: unit for unit in units(model.config, model.task)}
        members = {m: method for u, method in methods.items() for m in by_unit[u].members}
        linear = {m: METHODS[method] for m, method in members.items() if not is_table(m)}
        quantized = {site_of(m) for m, method in linear.items() if method.inputs != "float"}
        return Mix(
            members,
            {site: factors for site, factors in self.smoothing.items() if site in quantized},
            {m: self.bounds[m] for m, method in linear.items() if method.inputs == "static"},
            {
                f"{m}.weight": levels[f"{m}.weight"]
                for m, method in linear.items()
                if levels is not None and method.bits == 4 and f"{m}.weight" in levels
            },
        )


def prepare(
    model: SourceModel,
    target: Target,
    searching: Examples,
    rows: Sequence[Row],
    journal: Journal,
    key: str,
    *,
    seconds: float,
    progress: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Measure on ``searching``; smoothing and bounds are taken from the texts ``rows``.

    Raises UserError and CheckFailed as ``sensitivity.measure`` and ``smoothing_factors`` do.
    """
    # The equivalent model that artifacts store: its layers read (folded, equalized) what they read.
    networks = Networks(target.stored_model(model, "int8"))
    asked = target.methods
    progress("what enters the layers")
    factors = smoothing_factors(networks.model, rows)
    first = usual_methods(target)[0]
    plain, smoothed = _smoothing_trials(networks, first, factors)

    def measured(some: Sequence[Trial], examples: Examples, share: float) -> Sensitivity:
        return measure(
            networks, some, examples, journal, key, seconds=seconds * share, progress=progress
        )

    few = examples_up_to(searching, _SMOOTHING_EXAMPLES)
    both = measured((*plain, *smoothed), few, _SMOOTHING_SHARE)
    few = examples_up_to(searching, both.examples)
    helped = helpful_smoothing(measured(plain, few, 1), measured(smoothed, few, 1), HELPS)
    gains = {name: gain for (name, _), gain in helped.items()}
    sites = {site_of(unit.members[0]): unit.name for unit in units(model.config, model.task)}
    chosen = {site: factors[site] for site, name in sites.items() if name in gains}
    mix = replace(networks.fp32, smoothing=chosen)
    bounds = static_bounds(replace(networks.model, mix=mix), rows)
    every = trials(networks, asked, target.table_methods, smoothing=chosen, bounds=bounds)
    found = measured(every, searching, 1 - _SMOOTHING_SHARE)
    return Prepared(networks, chosen, gains, bounds, found)


def correct(
    prepared: Prepared,
    target: Target,
    rows: Sequence[Row],
    folder: Path,
    key: str,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Rounded]:
    """Levels of every layer that can have 4 bits, as if all had them; none where no method has.

    They depend little on what the other layers are stored in: each makes up for the errors of its
    own rounding. Kept in ``folder``.
    """
    four = next((m for m in target.methods if METHODS[m].bits == 4), None)
    if four is None:
        return {}
    model = prepared.networks.model
    usual = usual_methods(target)[0]
    mix = uniform_mix(model.config, model.task, four, "int8", usual)
    mix = replace(mix, smoothing=prepared.smoothing, bounds=prepared.bounds)
    # Levels follow from what is smoothed, too, which the time for measuring it may change.
    name = hashlib.sha256(f"{key} {mix.text()}".encode()).hexdigest()[:16]
    path = folder / f"corrected-{name}.npz"
    known = _read_levels(path)
    if known is not None:
        return known
    levels = corrected(replace(model, mix=mix), rows, progress=progress)
    with explained_os_errors(path):
        _write_levels(path, levels)
    return levels


def search_key(
    source_hash: str, data_hash: str, count: int, rows: Sequence[Row], target: Target
) -> str:
    """Of everything that measurements in PyTorch depend on: model, data, calibration and code."""
    room = Path(__file__).parent.parent
    measuring = [
        Path(__file__).with_name(f"{n}.py") for n in ("network", "sensitivity", "examples")
    ]
    code = code_hash("", room / "model", room / "quantization", *measuring)
    digest = hashlib.sha256()
    facts = [source_hash, data_hash, count, SEED, target.name, code]
    digest.update(json.dumps(facts).encode())
    for row in rows:
        for name in sorted(row):
            digest.update(np.ascontiguousarray(row[name]).tobytes())
    return digest.hexdigest()


def calibration_rows(searching: Examples) -> tuple[Row, ...]:
    """Texts of the search itself, without their labels: [1, T] each."""
    return tuple(
        {name: values[None] for name, values in row.items()}
        for row in searching.rows[:CALIBRATION_ROWS]
    )


def examples_up_to(examples: Examples, count: int) -> Examples:
    """The first ``count``."""
    return examples.take(list(range(min(count, len(examples)))))


def _smoothing_trials(
    networks: Networks, method: str, factors: Mapping[str, Float32]
) -> tuple[tuple[Trial, ...], tuple[Trial, ...]]:
    """Layers that can be smoothed, by ``method``: without and with it."""
    plain = trials(networks, (method,), ())
    smoothed = trials(networks, (method,), (), smoothing=factors)
    with_site = tuple(trial for trial in smoothed if trial.mix.smoothing)
    names = {trial.unit.name for trial in with_site}
    return tuple(trial for trial in plain if trial.unit.name in names), with_site


def _write_levels(path: Path, levels: Mapping[str, Rounded]) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, weight in levels.items():
        arrays[f"{name}/levels"], arrays[f"{name}/scale"] = weight.levels, weight.scale
        if weight.multiplier is not None:
            arrays[f"{name}/multiplier"] = weight.multiplier
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def _read_levels(path: Path) -> dict[str, Rounded] | None:
    """None where there are none that can be read."""
    try:
        with np.load(path) as arrays:
            names = [name.removesuffix("/levels") for name in arrays if name.endswith("/levels")]
            return {
                name: Rounded(
                    arrays[f"{name}/levels"],
                    4,
                    arrays[f"{name}/scale"],
                    arrays.get(f"{name}/multiplier"),
                )
                for name in names
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
