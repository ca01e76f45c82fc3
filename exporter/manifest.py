"""The records of a bundle's table of contents, ``manifest.json``.

The document is described by ``exporter/schema/manifest.schema.json`` (JSON Schema 2020-12) and by
the dataclasses here, which mirror it field by field. ``exporter.manifest_file`` reads and writes
it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from exporter.targets.base import TensorSpec

Recipe = Literal["squeezebert-export", "stock"]


@dataclass(frozen=True)
class FileRecord:
    """A file of the bundle. ``path`` is relative to the bundle, with forward slashes."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ModelRecord:
    """The model that was exported.

    ``source`` is the model as the user named it, ``hub_id`` the same when it came from the Hub;
    ``source_hash`` covers its configuration, tensors and tokenizer. ``datasets`` are Hub ids of
    the data that it was trained on and ``languages`` its languages (codes as on the Hub), as far
    as known. ``trained`` is False for seeded random weights. ``groups`` gives the group count of
    every linear layer of an encoder layer.
    ``max_length`` counts tokens.
    """

    source: str
    hub_id: str | None
    source_hash: str
    seed: int
    architecture: str
    family: str
    task: str
    trained: bool
    licence: str | None
    datasets: tuple[str, ...]
    languages: tuple[str, ...]
    parameters: int
    vocab_size: int
    max_length: int
    max_positions: int
    token_types: int
    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    groups: Mapping[str, int]


@dataclass(frozen=True)
class TokenizerRecord:
    """The tokenizer's files and the hash that the artifacts carry too."""

    hash: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class EvaluationRecord:
    """The data of an evaluation or calibration: file name, hash of the file, examples used."""

    data: str
    sha256: str
    examples: int


@dataclass(frozen=True)
class CalibrationRecord(EvaluationRecord):
    """The texts of a calibration: a sample of the file, drawn by ``seed``.

    Without a seed they are its first ones. ``lengths`` says how many have at most so many tokens
    (see ``exporter.calibration_texts``).
    """

    seed: int | None = None
    lengths: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ChoiceRecord:
    """How a search chose the methods of a mixed artifact (``exporter.search``).

    ``budget`` is the most that was to be lost, as a share of the examples; ``loss`` what the
    artifact lost on the ``examples`` that it was judged on, within ``interval`` (95 %).
    ``looks`` counts the artifacts that were judged on them before one was taken: above 1 these
    examples had a part in the choice; None where that was not recorded.
    ``goal`` is what was made small: "time" or "size". ``methods`` counts the chosen ones.
    ``report`` is the path of the search's report in the bundle. ``mix_sha256`` covers all that was
    chosen, corrected levels included (``Mix.sha256``). ``calibration`` are the texts that the user
    gave for smoothing, bounds and correction; without them the search took texts of ``data``.
    """

    budget: float
    goal: str
    loss: float
    interval: tuple[float, ...]
    examples: int
    data: str
    data_sha256: str
    methods: Mapping[str, int]
    report: str
    looks: int | None = None
    mix_sha256: str | None = None
    calibration: CalibrationRecord | None = None


@dataclass(frozen=True)
class ArtifactRecord:
    """One artifact that passed its gate, with everything that was measured on it.

    ``bytes`` is the size of all ``files``, ``sha256`` the artifact's own hash (``content_hash``).
    ``fingerprint`` covers all that went in: when it is unchanged, so is the artifact.
    ``backend`` names the delegate, where the target has several. ``not_run`` is "" where the checks
    ran the artifact itself, else it says what they did instead. ``command`` made it.
    ``accuracy`` is what was measured last, ``other_accuracies`` what was measured on other data.
    ``calibration`` are the texts that static ranges of activations were taken from. ``lengths`` are
    the numbers of tokens that it takes, () where it takes all that the model does. ``facts`` are
    what else an app has to know (``Target.facts``). ``choice`` is what the search found that chose
    the methods of a mixed artifact.
    """

    path: str
    target: str
    flavour: str
    precision: str
    bytes: int
    sha256: str
    files: tuple[FileRecord, ...]
    fingerprint: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    verification: Mapping[str, Any]
    coverage: Mapping[str, Any] | None
    accuracy: Mapping[str, Any] | None
    backend: str = ""
    not_run: str = ""
    command: tuple[str, ...] = ()
    calibration: CalibrationRecord | None = None
    lengths: tuple[int, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    other_accuracies: tuple[Mapping[str, Any], ...] = ()
    choice: ChoiceRecord | None = None


@dataclass(frozen=True)
class Manifest:
    """The whole document. ``files`` holds what every client reads: config and tokenizer."""

    model: ModelRecord
    recipe: Recipe
    labels: tuple[str, ...] | None
    tokenizer: TokenizerRecord
    files: tuple[FileRecord, ...]
    artifacts: tuple[ArtifactRecord, ...]
    evaluation: EvaluationRecord | None
    versions: Mapping[str, str]
    command: tuple[str, ...]

    def artifact(self, path: str) -> ArtifactRecord | None:
        """The artifact at ``path``, if the bundle has it."""
        return next((a for a in self.artifacts if a.path == path), None)

    def with_artifact(self, artifact: ArtifactRecord) -> "Manifest":
        """A copy in which ``artifact`` replaces the one at its path or is appended."""
        kept = [a for a in self.artifacts if a.path != artifact.path]
        position = next(
            (i for i, a in enumerate(self.artifacts) if a.path == artifact.path), len(kept)
        )
        return replace(self, artifacts=(*kept[:position], artifact, *kept[position:]))

    def without_artifact(self, path: str) -> "Manifest":
        """A copy without the artifact at ``path``."""
        return replace(self, artifacts=tuple(a for a in self.artifacts if a.path != path))


def with_accuracy(artifact: ArtifactRecord, accuracy: Mapping[str, Any]) -> ArtifactRecord:
    """A copy whose accuracy is ``accuracy``; what was found on other data is kept beside it."""
    known = (artifact.accuracy, *artifact.other_accuracies)
    others = tuple(
        found
        for found in known
        if found is not None and found["data_sha256"] != accuracy["data_sha256"]
    )
    return replace(artifact, accuracy=accuracy, other_accuracies=others)
