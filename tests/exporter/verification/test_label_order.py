"""Labels that stand in another order than the model's."""

import numpy as np
import pytest

from exporter.errors import UserError
from exporter.verification.label_order import check_label_order
from exporter.verification.labelled_data import LabelledData

NAMES = ("entailment", "neutral", "contradiction")


def answers(right, labels, seed=0):
    """Logits of a model that gives ``right`` of the true labels, and any other one otherwise."""
    generator = np.random.default_rng(seed)
    wrong = generator.random(len(labels)) >= right
    return np.eye(3, dtype=np.float32)[(labels + wrong * generator.integers(1, 3, len(labels))) % 3]


def data_with(labels):
    return LabelledData("d.tsv", "0" * 64, ("t",) * len(labels), None, tuple(labels.tolist()))


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(0, 3, 600)


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1), (1, 0, 2), (2, 1, 0)])
def test_another_order_is_refused_and_named(order, labels):
    logits = answers(0.8, labels)
    mixed = np.array(order)[labels]
    with pytest.raises(UserError, match="another order") as caught:
        check_label_order(logits, data_with(mixed), NAMES)
    names = ", ".join(NAMES[i] for i in order)
    assert caught.value.message.endswith(f"with {names}.")


@pytest.mark.parametrize("right", [1.0, 0.8, 0.5, 0.34])
def test_the_right_order_passes_however_weak_the_model(right, labels):
    check_label_order(answers(right, labels), data_with(labels), NAMES)


def test_few_examples_and_one_label_alone_prove_nothing(labels):
    mixed = (labels[:6] + 1) % 3
    check_label_order(answers(0.8, labels[:6]), data_with(mixed), NAMES)
    alone = np.zeros(600, dtype=int)  # a model that never gives it: no order is better than that
    check_label_order(answers(0.0, alone), data_with(alone), NAMES)


def test_many_labels_are_not_tried():
    labels = np.arange(40) % 20
    logits = np.eye(20)[(labels + 1) % 20]
    check_label_order(logits, data_with(labels), tuple(map(str, range(20))))


def test_a_model_that_guesses_is_not_accused():
    """The best of 5,040 orders always looks better than the right one: by chance, once in 20."""
    names = tuple("abcdefg")
    refused = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 7, 100)
        logits = np.eye(7, dtype=np.float32)[generator.integers(0, 7, 100)]
        try:
            check_label_order(logits, data_with(labels), names)
        except UserError:
            refused += 1
    assert refused <= 10
