"""A tiny labelled classifier, and searches with it whose timing takes no time."""

import numpy as np
import pytest

from exporter.checkpoint import load
from exporter.search import timing
from exporter.search.search import choose_mix
from exporter.verification.evaluation import Evaluator
from tests.exporter.bundle.tiny_checkpoint import LABELS, WORDS, write_checkpoint
from tests.exporter.search.mixed_target import MixedTarget
from tests.exporter.search.search_models import BUDGET, EXAMPLES


@pytest.fixture(scope="session")
def evaluator(tmp_path_factory):
    """144 texts with the labels that PyTorch gives them: 48 to choose by, 96 to judge by."""
    folder = tmp_path_factory.mktemp("search")
    checkpoint = load(str(write_checkpoint(folder / "model", layers=1)))
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, generator.integers(2, 9))) for _ in range(EXAMPLES)]

    def write(labels):
        lines = [f"{text}\t{label}" for text, label in zip(texts, labels, strict=True)]
        path = folder / "data.tsv"
        path.write_text("\n".join(["text\tlabel", *lines]))
        return Evaluator.open(checkpoint, path)

    found = write([LABELS[0]] * EXAMPLES).reference_logits.argmax(axis=1)
    return write([LABELS[index] for index in found])


@pytest.fixture(scope="module")
def run(evaluator):
    """Searches into a folder: for the smallest of a ``MixedTarget``, unless other is said."""

    def search(folder, target=None, calibration=(), **options):
        options = {"budget": BUDGET, "minutes": 5, "smallest": True, **options}
        chosen = target or MixedTarget()
        return choose_mix(
            evaluator.checkpoint, chosen, evaluator, calibration, folder=folder, **options
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "FEWEST_ROUNDS", 2)
        patch.setattr(timing, "MOST_ROUNDS", 2)
        yield search


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where ``found`` has left what it measured, for whoever searches on."""
    return tmp_path_factory.mktemp("found")


@pytest.fixture(scope="module")
def found(run, folder):
    """What a search finds that nothing disturbs."""
    return run(folder)
