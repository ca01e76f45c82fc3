"""Builds the artifacts of mixes, weighs and times them, and judges them on labelled examples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from exporter.bundle_folder import artifact_metadata
from exporter.checkpoint import Checkpoint
from exporter.quantization.mix import Mix
from exporter.search.candidates import Built
from exporter.search.examples import Indices, Judgement, examples_of, judge
from exporter.search.stand_ins import TOKENS
from exporter.search.timing import interleaved, timing
from exporter.targets.base import INPUTS, ArtifactSpec, Target
from exporter.verification.classification import Encoded, artifact_run, classify
from exporter.verification.evaluation import Evaluator

#: Seconds for which two artifacts are timed against each other.
_SECONDS = 10.0


@dataclass(frozen=True)
class Workshop:
    """``folder`` is for artifacts that nobody keeps; ``judging`` are the places of the examples to
    judge by among those of ``evaluator``."""

    checkpoint: Checkpoint
    target: Target
    spec: ArtifactSpec
    folder: Path
    evaluator: Evaluator
    judging: Indices

    def write(self, mix: Mix, name: str) -> Path:
        """The artifact of ``mix``. Raises UserError where the target cannot make it."""
        place = self.folder / name
        place.mkdir(parents=True)
        path = place / Path(self.spec.path).name
        metadata = artifact_metadata(self.checkpoint, self.spec.precision, self.spec.flavour)
        model = replace(self.checkpoint.model, mix=mix)
        self.target.write(model, self.spec, path, {**metadata, "mix": mix.text()})
        return path

    def bytes(self, path: Path) -> int:
        """Of all files of an artifact."""
        return sum(file.stat().st_size for file in self.target.files(path))

    def compare(self, paths: Mapping[str, Path], base: str) -> dict[str, Built]:
        """Latency (one thread, ``TOKENS`` tokens) of each, timed in turn, and against ``base``."""
        config = self.checkpoint.model.config
        tokens = min(TOKENS, config.max_positions)
        ids = np.arange(tokens)[None] % config.vocab_size
        inputs = dict(zip(INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))
        runs: dict[str, Callable[[], object]] = {}
        for name, path in paths.items():
            session = self.target.open(path, threads=1)
            runs[name] = lambda session=session: session.run(inputs)  # type: ignore[misc]
        samples = interleaved(runs, seconds=_SECONDS)
        return {
            name: Built(
                timing(taken),
                timing([own / other for own, other in zip(taken, samples[base], strict=True)]),
                self.bytes(paths[name]),
            )
            for name, taken in samples.items()
        }

    def judge(self, path: Path, progress: Callable[[str], None] = lambda _: None) -> Judgement:
        """An artifact on the examples to judge by, one at a time, cut to what it takes.

        Raises CheckFailed for values that are not finite.
        """
        every = examples_of(self.evaluator, longest=self.target.limit(path))
        examples = every.take(self.judging)
        run = artifact_run(self.target.open(path))
        logits = classify(run, Encoded(examples.rows, 0), batch_size=1, progress=progress)
        return judge(logits, examples)
