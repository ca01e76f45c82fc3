"""Candidates, judgements and clocks that are made up, for tests of what follows from them."""

import itertools

from exporter.progress import SilentProgress
from exporter.quantization.mix import Mix
from exporter.search.candidates import Built, Candidate
from exporter.search.clock import Clock
from exporter.search.examples import Judgement
from exporter.search.timing import Timing
from exporter.verification.paired_statistics import paired_difference_interval


def judgement(only_before, only_after, examples):
    """Of so many examples that one of both alone gets right."""
    interval = paired_difference_interval(only_before, only_after, examples)
    loss, discordant = only_before - only_after, only_before + only_after
    return Judgement(examples, loss / examples, interval, discordant / examples, 0.9, 0.01)


def built(ratio, size, half=0.01):
    """Times as long as the usual mix (with half an interval), and bytes."""
    times = Timing(ratio, ratio - half, ratio + half, 40)
    return Built(times, times, size)


def made_up(name, cost=0.0, method="int8_tensor", **known):
    """A candidate that is foreseen to cost so many milliseconds, and bytes, more."""
    methods = {name: method}
    return Candidate(name, methods, Mix(methods), cost, cost, 0.1, **known)


class Ticking(Clock):
    """Has time left for so many looks at it, and none after them."""

    def __init__(self, looks):
        super().__init__(0, SilentProgress())
        self._left = itertools.chain([1.0] * looks, itertools.repeat(-1.0))

    def left(self):
        return next(self._left)
