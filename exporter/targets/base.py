"""What every target offers, and the registry in which it enters itself."""

import hashlib
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy.typing as npt

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, SourceModel, Task

if TYPE_CHECKING:  # that package needs this module
    from exporter.targets.coreml.interpreter import RangeReport

Array = npt.NDArray[Any]

#: Names of the inputs of every artifact, in order.
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
#: Names of its outputs, in order.
OUTPUTS: Mapping[Task, tuple[str, ...]] = {
    "sequence-classification": ("logits",),
    "token-classification": ("logits",),
    "question-answering": ("start_logits", "end_logits"),
    "masked-lm": ("logits",),
    "feature-extraction": ("last_hidden_state",),
}


@dataclass(frozen=True)
class ArtifactSpec:
    """Which artifact is meant: one file (or folder) of a bundle.

    ``path`` is relative to the bundle, with forward slashes. ``backend`` names the delegate that
    computes it, where the target has several. ``lengths`` are the numbers of tokens that it is to
    take, rising; () the usual ones of its flavour.
    """

    target: str
    precision: str
    flavour: str
    path: str
    backend: str = ""
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of an input or output; a named axis is dynamic.

    As an artifact declares it (``Target.declared``), an axis that takes a few sizes or a range of
    them is named by these, "32/64/128" or "1..512"; the type "string" has no shape, "dictionary"
    the number of its entries.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class StoredTensor:
    """A weight as an artifact holds it, brought back to the source's name and shape.

    ``values`` is dequantized to float32. ``step`` is the quantization step of every element
    (broadcastable to ``values``), 0 where the weight is stored as float32.
    ``bits`` is the stored width: 32, 16, 8, 6 or 4, and 0 for what no scheme has.
    """

    name: str
    values: Array
    step: Array
    bits: int


@dataclass(frozen=True)
class Coverage:
    """What is quantized in an artifact and what is not, and why.

    ``weights`` gives the stored type of every canonical weight; ``operators`` counts operators
    by type; ``kept`` explains each weight that stayed wider than the scheme's type; ``outside``
    each type of operator that a delegate leaves to the runtime's own kernels; ``violations`` lists
    what breaks the promise of the scheme (the gate fails on any).
    """

    weights: Mapping[str, str]
    operators: Mapping[str, int]
    kept: Mapping[str, str]
    violations: tuple[str, ...]
    outside: Mapping[str, str] = field(default_factory=dict)


class Session(Protocol):
    """An artifact opened for running."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, from int64 [B, T] inputs by name.

        With taps, also the hidden states ``hidden.0`` (embeddings) to ``hidden.N``, [B, T, H]
        each; for sequence classification the last one is [B, 1, H], the first token's.
        """
        ...


@runtime_checkable
class RangedSession(Session, Protocol):
    """A session that can tell the range of every value on the way."""

    def ranges(self, inputs: Mapping[str, Array]) -> "RangeReport":
        """Of the inputs, as ``run`` takes them. Raises UserError as ``run`` does."""
        ...


class Target(Protocol):
    """One runtime for which artifacts are made."""

    name: str
    #: How the names of its artifacts end, and those of no other target.
    suffix: str = ""
    #: Methods of linear layers and of tables (``exporter.quantization.mix``) that its precision
    #: ``mixed`` has, the usual first; () where it has no such precision.
    methods: tuple[str, ...] = ()
    table_methods: tuple[str, ...] = ()

    @property
    def precisions(self) -> tuple[str, ...]:
        """Names of all precisions that it has."""
        ...

    @property
    def flavours(self) -> tuple[str, ...]:
        """Names of all flavours that it has."""
        ...

    @property
    def backends(self) -> tuple[str, ...]:
        """Names of the backends that it has, the usual first; () where there is no choice."""
        ...

    @property
    def offers(self) -> str:
        """What can be asked for, in a line: precisions, by backend where it has several."""
        ...

    def artifacts(
        self, precisions: tuple[str, ...], flavours: tuple[str, ...], backends: tuple[str, ...] = ()
    ) -> tuple[ArtifactSpec, ...]:
        """The artifacts among those asked for that it has; without precisions, its usual ones."""
        ...

    def scheme(self, precision: str) -> str:
        """Name of the scheme (``exporter.quantization.schemes``) that ``precision`` computes."""
        ...

    def takes_lengths(self, flavour: str) -> bool:
        """Whether artifacts of ``flavour`` are made for lengths that the user may choose."""
        del flavour
        return False

    def check(self, spec: ArtifactSpec, model: SourceModel) -> None:
        """UserError, before anything is written, where ``model`` cannot become ``spec``."""
        del spec, model

    def not_run(self, spec: ArtifactSpec) -> str:
        """ "" where artifacts run on this machine, else in what way they are examined instead."""
        ...

    def fingerprint(self) -> str:
        """Hash of the lowering code and the runtime's version: changes when a rebuild is due."""
        ...

    def write(
        self, model: SourceModel, spec: ArtifactSpec, path: Path, metadata: Mapping[str, str]
    ) -> None:
        """Lower, quantize and write the artifact to ``path``.

        ``metadata`` goes into the artifact, with ``max_positions`` added.
        """
        ...

    def open(self, path: Path, *, threads: int = 1, taps: bool = False) -> Session:
        """Open a written artifact. UserError when the file cannot be run."""
        ...

    def signature(self, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs and outputs as the artifact on disk declares them."""
        ...

    def declared(self, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The same as an app sees it: also what ``open`` hides, fixed lengths for one."""
        return self.signature(path)

    def facts(self, path: Path) -> Mapping[str, str]:
        """What an app has to know of it beside its shapes, as the manifest is to say it."""
        del path
        return {}

    def metadata(self, path: Path) -> dict[str, str]:
        """The metadata that the artifact on disk carries."""
        ...

    def stored_model(self, model: SourceModel, precision: str) -> SourceModel:
        """The equivalent model (same shape, same function) whose weights artifacts store."""
        ...

    def lengths(self, path: Path) -> tuple[int, ...]:
        """Numbers of tokens that have a method of their own; () where one takes every number."""
        ...

    def limit(self, path: Path) -> int:
        """The largest number of tokens that it takes, as far as that is not the model's own."""
        return max(self.lengths(path), default=sys.maxsize)

    def structure(self, path: Path) -> str:
        """Hash of the computation without the values of its weights.

        Two artifacts with equal structure compute the same function of their weights.
        """
        ...

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        """Every stored weight, read from disk, under the source's names."""
        ...

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        """Which weights and operators are quantized, and what breaks the scheme's promise."""
        ...

    def files(self, path: Path) -> tuple[Path, ...]:
        """Every file of the artifact, the main file first (external data, packages)."""
        ...

    def activation_ranges(self, path: Path) -> Mapping[str, float]:
        """Static ranges that the artifact stores (``SourceModel.ranges``), where it has any."""
        del path
        return {}

    def smoothing(self, path: Path) -> Mapping[str, Array]:
        """Factors that the artifact divides inputs by (``Mix.smoothing``), as it applies them."""
        del path
        return {}

    def static_grids(self, path: Path) -> Mapping[str, tuple[float, int]]:
        """Scale and zero point of inputs with static bounds, as the artifact has them, by layer.

        Of layers that read one tensor the first. They are no part of ``structure``.
        """
        del path
        return {}

    def finish(self, path: Path, model: SourceModel, measured: Mapping[str, str]) -> None:
        """After the proof: what the artifact is to say of it, and files that belong beside it.

        What the artifact computes stays as it was proved.
        """
        del path, model, measured

    def shared_files(self) -> Mapping[str, bytes]:
        """Files that a bundle with artifacts of this target has once, by their paths in it."""
        return {}


def code_hash(versions: str, *places: Path) -> str:
    """SHA-256 over versions of packages and ``places``: Python files, or folders full of them."""
    digest = hashlib.sha256(versions.encode())
    for place in places:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(place.parent).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def find_target(name: str) -> Target:
    """The object ``TARGET`` of the package ``exporter.targets.NAME``; UserError for others."""
    if name not in target_names():
        raise UserError(f"Unknown target '{name}'.", f"Choose from: {', '.join(target_names())}.")
    target: Target = importlib.import_module(f"exporter.targets.{name}").TARGET
    return target


def target_names() -> tuple[str, ...]:
    """Names of the packages under ``exporter.targets``."""
    folder = Path(__file__).parent
    return tuple(m.name for m in pkgutil.iter_modules([str(folder)]) if m.ispkg)
