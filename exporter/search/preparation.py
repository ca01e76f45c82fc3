"""What is known before mixes are compared: the model that is stored, smoothing, static bounds and
sensitivities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from exporter.model.config import SourceModel
from exporter.quantization.mix import METHODS, Float32, Mix, is_table, site_of, units
from exporter.quantization.rounding import Rounded
from exporter.quantization.smoothing import smoothing_factors, static_bounds
from exporter.search.examples import Examples
from exporter.search.journal import Journal
from exporter.search.network import Networks
from exporter.search.sensitivity import (
    MOST_EXAMPLES,
    Sensitivity,
    Trial,
    helpful_smoothing,
    measure,
    product_trials,
    trials,
)
from exporter.search.stand_ins import usual_methods
from exporter.targets.base import Target

Row = Mapping[str, npt.NDArray[Any]]

#: Examples of the search that stand in for calibration texts where none are given.
CALIBRATION_ROWS = 128

#: Smoothing is used where it divides the divergence of the site's layers by this, or more. A
#: choice, no measurement. Smoothing costs a product for each value at the site, and gains are found
#: on few examples (``_SMOOTHING_EXAMPLES``), so that those near 1 may be chance; a larger factor
#: would give away gains that are real. Either way the whole mix is measured.
HELPS = 1.5

#: Examples on which that is decided, and the share of the preparation's time that it may take.
_SMOOTHING_EXAMPLES = 128
_SMOOTHING_SHARE = 0.25


@dataclass(frozen=True)
class Extent:
    """On how many examples smoothing was decided, and on how many every method was tried."""

    smoothing: int
    every: int


#: As many as the time is enough for.
WHOLE = Extent(_SMOOTHING_EXAMPLES, MOST_EXAMPLES)


@dataclass(frozen=True)
class Prepared:
    """``smoothing`` by site where it helps, ``gains`` by how much it does there (the factor that
    divides the divergence); ``bounds`` as in ``Mix``; ``sensitivity`` with that smoothing.
    ``extent`` is how much was measured."""

    networks: Networks
    smoothing: Mapping[str, Float32]
    gains: Mapping[str, float]
    bounds: Mapping[str, tuple[float, float]]
    sensitivity: Sensitivity
    extent: Extent

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
    extent: Extent = WHOLE,
    products: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Measure on ``searching``; smoothing and bounds are taken from the texts ``rows``.

    With ``products`` also what no mix can choose: attention products of 8-bit operands.
    That of an earlier call is repeated with its ``extent``, however much time there is.

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

    few = examples_up_to(searching, extent.smoothing)
    both = measured((*plain, *smoothed), few, _SMOOTHING_SHARE)
    few = examples_up_to(searching, both.examples)
    helped = helpful_smoothing(measured(plain, few, 1), measured(smoothed, few, 1), HELPS)
    gains = {name: gain for (name, _), gain in helped.items()}
    sites = {site_of(unit.members[0]): unit.name for unit in units(model.config, model.task)}
    chosen = {site: factors[site] for site, name in sites.items() if name in gains}
    mix = replace(networks.fp32, smoothing=chosen)
    bounds = static_bounds(replace(networks.model, mix=mix), rows)
    every = trials(networks, asked, target.table_methods, smoothing=chosen, bounds=bounds)
    if products:
        every = (*every, *product_trials(networks, asked))
    found = measured(every, examples_up_to(searching, extent.every), 1 - _SMOOTHING_SHARE)
    extent = Extent(both.examples, found.examples)
    return Prepared(networks, chosen, gains, bounds, found, extent)


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
