"""A small classifier with labelled rows for the tests of the search."""

import dataclasses

import numpy as np

from exporter.search.examples import Examples
from exporter.search.network import Networks
from tests.exporter.small_models import VOCABULARY, small_model

#: Of a search: examples in all, and a budget for which 92 to judge by are the least.
EXAMPLES, BUDGET = 144, 0.03


def rows(count, seed=0):
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        length = int(generator.integers(3, 14))
        found.append(
            {
                "input_ids": generator.integers(0, VOCABULARY, length),
                "attention_mask": np.ones(length, np.int64),
                "token_type_ids": np.zeros(length, np.int64),
            }
        )
    return tuple(found)


def examples(model, count, seed=0):
    """Rows whose labels are those of the model, but for one of eight."""
    given = rows(count, seed)
    blank = Examples(given, np.zeros(count, np.int64), np.zeros((count, 3), np.float32))
    networks = Networks(model)
    logits = networks.logits(networks.fp32, blank)
    labels = logits.argmax(axis=1)
    labels[::8] = (labels[::8] + 1) % 3
    return Examples(given, labels, logits)


def classifier(**changes):
    """Blocks of 32 inputs and of 64 table entries are whole in it."""
    changes = {"hidden_size": 64, "intermediate_size": 128, "groups": (1, 1, 1, 1, 1, 1), **changes}
    return small_model(**changes)


def with_mix(model, mix):
    return dataclasses.replace(model, mix=mix)
