"""A tiny trained-looking checkpoint, a fake target and a gate that compares outputs."""
# ruff: noqa: ARG001 - fixtures are asked for by name

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from fake_target import FakeTarget
from stand_in_search import stand_in
from tiny_checkpoint import LABELS, WORDS, write_checkpoint

import exporter.admission
import exporter.bundle
import exporter.inspection
import exporter.recheck
import exporter.targets.base
from exporter.checkpoint import load
from exporter.targets.base import Coverage
from exporter.tokenizer import encode_batch, load_tokenizer
from exporter.verification.classification import reference_run
from exporter.verification.report import Check, GateReport


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Two threads on tiny tensors mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def checkpoint_folder(tmp_path):
    return write_checkpoint(tmp_path / "source")


@pytest.fixture
def texts():
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(WORDS, generator.integers(2, 9))) for _ in range(60)]


@pytest.fixture
def labelled(tmp_path, checkpoint_folder, texts):
    """60 examples labelled with the model's own answers, the first three wrongly."""
    checkpoint = load(str(checkpoint_folder))
    tokenizer = load_tokenizer(checkpoint.tokenizer_files)
    logits = reference_run(checkpoint.model)(encode_batch(tokenizer, texts, None, 16))
    answers = logits.argmax(axis=1)
    answers[:3] = (answers[:3] + 1) % len(LABELS)
    path = tmp_path / "data.tsv"
    rows = [f"{text}\t{LABELS[a]}\n" for text, a in zip(texts, answers, strict=True)]
    path.write_text("text\tlabel\n" + "".join(rows))
    return path


@pytest.fixture
def target(monkeypatch):
    """A fake target in the registry under the name ``fake``."""
    target = FakeTarget()
    module = ModuleType("exporter.targets.fake")
    module.TARGET = target
    monkeypatch.setitem(sys.modules, "exporter.targets.fake", module)
    for reader in (exporter.targets.base, exporter.inspection):
        monkeypatch.setattr(reader, "target_names", lambda: ("fake",))
    return target


@pytest.fixture
def gate(monkeypatch):
    """A gate of one check: outputs within 1e-4 of PyTorch. The real one has its own tests."""

    def prove(target, spec, path, model, *, metadata, progress):
        ids = np.arange(24, dtype=np.int64).reshape(2, 12) % model.config.vocab_size
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        progress("outputs")
        found = target.open(path).run(inputs)["logits"]
        difference = float(np.abs(found - reference_run(model)(inputs)).max())
        assert metadata.items() <= target.metadata(path).items()
        origin = {"source_hash", "tokenizer_hash", "family", "max_length", "trained"}
        assert set(metadata) == origin
        check = Check(
            "outputs", difference < 1e-4, f"differ by {difference:.1e}", {"d": difference}, 1e-4
        )
        coverage = target.coverage(path, spec.precision, model.config, model.task, len(LABELS))
        assert isinstance(coverage, Coverage)
        return GateReport((check,)), coverage

    monkeypatch.setattr(exporter.admission, "prove", prove)
    monkeypatch.setattr(exporter.recheck, "prove", prove)


@pytest.fixture
def found(monkeypatch):
    """A stand-in for the search within a budget, and what it is to find."""
    return stand_in(monkeypatch)


@pytest.fixture
def build(target, gate, checkpoint_folder, tmp_path):
    """``build`` of the tiny checkpoint with the fake target into ``tmp_path / "out"``."""

    def run(**options):
        values = {"targets": ("fake",), "precisions": ("fp32", "int8"), **options}
        out = values.pop("out", tmp_path / "out")
        model = values.pop("model", str(checkpoint_folder))
        return exporter.bundle.build(model, out, **values)

    return run
