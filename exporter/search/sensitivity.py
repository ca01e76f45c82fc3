"""What each method of each unit does to a classifier, all else in fp32, on labelled examples.

Every trial computes again only from its unit's layer on: what enters that layer is that of fp32.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from exporter.errors import OutOfTime
from exporter.quantization.mix import (
    METHODS,
    Inputs,
    Kind,
    Mix,
    Unit,
    is_table,
    possible,
    site_of,
    units,
)
from exporter.search.examples import Examples, batches, padded
from exporter.search.journal import Journal
from exporter.search.network import Networks
from exporter.search.products import product_units
from exporter.verification.accuracy import kullback_leibler

#: Examples after which a measurement may end; each is a sample of the whole.
CHUNK = 32

#: Divergences are means of a smooth quantity: of more examples they hardly move.
MOST_EXAMPLES = 512


@dataclass(frozen=True)
class Trial:
    """``unit`` alone by ``method``, all else in fp32.

    That is what ``mix`` says, but of attention products, which are no part of a mix.
    """

    unit: Unit
    method: str
    mix: Mix

    @property
    def name(self) -> str:
        """What its results are kept under."""
        smoothed = "+smoothing" if self.mix.smoothing else ""
        return f"{self.unit.name}:{self.method}{smoothed}"

    @property
    def products(self) -> Mapping[int, Inputs]:
        """The layer whose attention products are quantized, if any, and how."""
        if self.unit.kind != "products":
            return {}
        if self.unit.layer is None:
            raise ValueError(f"products of no layer: {self.unit.name}")
        return {self.unit.layer: METHODS[self.method].inputs}


@dataclass(frozen=True)
class Effect:
    """Sums over ``examples``: right answers lost (less those won), answers as in fp32, and
    Kullback-Leibler divergences (nats)."""

    examples: int
    lost: int
    agreed: int
    divergence: float

    @property
    def loss(self) -> float:
        """Share of the examples."""
        return self.lost / self.examples

    @property
    def agreement(self) -> float:
        """Share of the examples."""
        return self.agreed / self.examples

    @property
    def mean_divergence(self) -> float:
        """Nats an example."""
        return self.divergence / self.examples

    def __add__(self, other: "Effect") -> "Effect":
        return Effect(
            self.examples + other.examples,
            self.lost + other.lost,
            self.agreed + other.agreed,
            self.divergence + other.divergence,
        )


@dataclass(frozen=True)
class Sensitivity:
    """Of every trial, by unit and method, what it does; on ``examples`` examples."""

    effects: Mapping[tuple[str, str], Effect]
    examples: int


def trials(
    networks: Networks,
    methods: Iterable[str],
    table_methods: Iterable[str],
    *,
    smoothing: Mapping[str, "np.typing.NDArray[np.float32]"] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Trial, ...]:
    """Each unit by each of a target's methods but fp32, where its layers can be stored by it.

    ``smoothing`` by site, and static ``bounds`` by layer (without which no method that wants them
    is tried) are those of ``Mix``.
    """
    config, task, fp32 = networks.model.config, networks.model.task, networks.fp32
    found = []
    for unit in units(config, task):
        offered = table_methods if is_table(unit.members[0]) else methods
        site = site_of(unit.members[0])
        for method in offered:
            if method == "fp32" or not all(possible(config, task, m, method) for m in unit.members):
                continue
            static = {m: bounds[m] for m in unit.members if m in (bounds or {})} if bounds else {}
            wants = not is_table(unit.members[0]) and METHODS[method].inputs == "static"
            if wants and len(static) < len(unit.members):
                continue
            mix = replace(
                fp32,
                methods={**fp32.methods, **dict.fromkeys(unit.members, method)},
                smoothing={site: smoothing[site]} if smoothing and site in smoothing else {},
                bounds=static if wants else {},
            )
            found.append(Trial(unit, method, mix))
    return tuple(found)


def product_trials(networks: Networks, methods: tuple[str, ...]) -> tuple[Trial, ...]:
    """The attention products of each layer, quantized as ``QuantizedProducts`` has it.

    ``methods`` are the target's; the ``inputs`` of the first with 8 bits say how.
    """
    method = next(name for name in methods if METHODS[name].bits == 8)
    return tuple(
        Trial(unit, method, networks.fp32) for unit in product_units(networks.model.config)
    )


def measure(
    networks: Networks,
    asked: Sequence[Trial],
    examples: Examples,
    journal: Journal,
    key: str,
    *,
    seconds: float,
    progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Sensitivity:
    """As many examples (``MOST_EXAMPLES`` at most) as ``seconds`` are enough for.

    ``key`` says what the results depend on: model, data, calibration and code. Results that
    ``journal`` has are not measured again. Raises OutOfTime when the time is not even enough for
    the first ``CHUNK`` examples.
    """
    started, spent = clock(), 0
    size = min(len(examples), MOST_EXAMPLES)
    chunks = [range(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
    totals: dict[tuple[str, str], Effect] = {}
    done = 0
    for number, chunk in enumerate(chunks):
        fresh = [t for t in asked if journal.get(_key(key, chunk, t)) is None]
        each = (clock() - started) / spent if spent else 0.0
        if number and fresh and clock() - started + each * len(fresh) > seconds:
            break
        part = examples.take(list(chunk))
        for trial, effect in _effects(networks, fresh, part):
            journal.put(_key(key, chunk, trial), asdict(effect))
            spent += 1
            passed = clock() - started
            progress(f"{chunk.start} of up to {size} examples, {trial.name}")
            if not number and passed > seconds:
                raise _too_slow(passed / spent * len(asked), passed)
        for trial in asked:
            effect = Effect(**journal.get(_key(key, chunk, trial)))
            place = (trial.unit.name, trial.method)
            totals[place] = totals[place] + effect if place in totals else effect
        done += len(chunk)
    return Sensitivity(totals, done)


def helpful_smoothing(
    plain: Sensitivity, smoothed: Sensitivity, factor: float
) -> dict[tuple[str, str], float]:
    """Where smoothing divides the divergence by ``factor`` or more: by how much, by trial."""
    gains = {
        place: plain.effects[place].divergence / max(effect.divergence, 1e-12)
        for place, effect in smoothed.effects.items()
        if place in plain.effects
    }
    return {place: gain for place, gain in gains.items() if gain >= factor}


def by_kind(found: Sensitivity, all_units: Iterable[Unit]) -> dict[Kind, dict[str, float]]:
    """Mean divergences of all units of a kind together, by method."""
    sums: dict[Kind, dict[str, float]] = {}
    for unit in all_units:
        for (name, method), effect in found.effects.items():
            if name == unit.name:
                kind = sums.setdefault(unit.kind, {})
                kind[method] = kind.get(method, 0.0) + effect.mean_divergence
    return sums


def _effects(
    networks: Networks, asked: Sequence[Trial], examples: Examples
) -> Iterator[tuple[Trial, Effect]]:
    if not asked:
        return
    fp32 = networks.network(networks.fp32)
    places = batches(examples)
    inputs = [padded([examples.rows[index] for index in chosen]) for chosen in places]
    hidden = [fp32.inputs_of_layers(batch) for batch in inputs]
    layers = networks.model.config.layers
    expected = [
        fp32.logits_from(batch, layers, h[-1]) for batch, h in zip(inputs, hidden, strict=True)
    ]
    for trial in asked:
        network, unit = networks.network(trial.mix, trial.products), trial.unit
        total = Effect(0, 0, 0, 0.0)
        for chosen, batch, states, before in zip(places, inputs, hidden, expected, strict=True):
            if unit.kind == "embeddings":
                after = network.logits(batch)
            else:
                start = layers if unit.layer is None else unit.layer
                after = network.logits_from(batch, start, states[start])
            labels = examples.labels[chosen]
            was, now = before.argmax(axis=1), after.argmax(axis=1)
            total += Effect(
                len(chosen),
                int((was == labels).sum()) - int((now == labels).sum()),
                int((was == now).sum()),
                float(kullback_leibler(before, after).sum()),
            )
        yield trial, total


def _key(key: str, chunk: range, trial: Trial) -> str:
    return f"{key}/sensitivity/{chunk.start}-{chunk.stop}/{trial.name}"


def _too_slow(whole: float, passed: float) -> OutOfTime:
    return OutOfTime(
        f"Measuring every layer on {CHUNK} examples takes about {whole / 60:.0f} minutes; after "
        f"{passed / 60:.0f} the time is over.",
        "What was measured is kept: run the same command again, or give it more minutes.",
    )
