"""ExecuTorch, for phones: .pte files.

Flavours: ``optimized`` has one method for every length; ``buckets`` one method for each of a few
fixed lengths, which share their weights. Backends: see ``exporter.targets.executorch.backends``.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch

from exporter.errors import REBUILD, UserError
from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import (
    Array,
    ArtifactSpec,
    Coverage,
    Session,
    StoredTensor,
    Target,
    TensorSpec,
    code_hash,
)
from exporter.targets.executorch.backends.base import Backend, backend_names, find_backend
from exporter.targets.executorch.lower import CALLING
from exporter.targets.executorch.precisions import (
    LINEAR_METHODS,
    TABLE_METHODS,
    scheme_of,
    uniform,
)
from exporter.targets.executorch.program import Activation, Argument, read_program

_DEFAULT_BACKEND = "xnnpack"


class ExecutorchTarget(Target):
    """See ``exporter.targets.base.Target``."""

    name = "executorch"
    suffix = ".pte"
    methods = LINEAR_METHODS
    table_methods = TABLE_METHODS

    @property
    def precisions(self) -> tuple[str, ...]:
        found = (
            name for backend in map(find_backend, self.backends) for name in backend.precisions
        )
        return tuple(dict.fromkeys(found))

    @property
    def flavours(self) -> tuple[str, ...]:
        found = (name for backend in map(find_backend, self.backends) for name in backend.flavours)
        return tuple(dict.fromkeys(found))

    @property
    def backends(self) -> tuple[str, ...]:
        return tuple(sorted(backend_names(), key=lambda name: (name != _DEFAULT_BACKEND, name)))

    @property
    def offers(self) -> str:
        found = [
            f"executorch with --backend {backend.name} has {', '.join(backend.precisions)}, each "
            f"{' or '.join(backend.flavours)}"
            for backend in map(find_backend, self.backends)
        ]
        return "; ".join(found)

    def artifacts(
        self, precisions: tuple[str, ...], flavours: tuple[str, ...], backends: tuple[str, ...] = ()
    ) -> tuple[ArtifactSpec, ...]:
        """``executorch/model.pte`` and its variants."""
        return tuple(
            ArtifactSpec(
                self.name, precision, flavour, _path(precision, flavour, backend.name), backend.name
            )
            for backend in map(find_backend, backends or (_DEFAULT_BACKEND,))
            for flavour in flavours
            if flavour in backend.flavours
            for precision in precisions or backend.default_precisions
            if precision in backend.precisions
        )

    def scheme(self, precision: str) -> str:
        return scheme_of(precision)

    def not_run(self, spec: ArtifactSpec) -> str:
        return find_backend(spec.backend).not_run

    def fingerprint(self) -> str:
        versions = f"{version('executorch')} {version('coremltools')} {torch.__version__}"
        folder = Path(__file__).parent
        # The interpreter runs the packages that the backend coreml puts into its files.
        return code_hash(versions, folder, folder.parent / "coreml" / "interpreter")

    def stored_model(self, model: SourceModel, precision: str) -> SourceModel:
        if precision == "int4":
            model = replace(model, mix=uniform(precision, model.config, model.task))
        return find_scheme(scheme_of(precision)).round_weights(model)

    def write(
        self, model: SourceModel, spec: ArtifactSpec, path: Path, metadata: Mapping[str, str]
    ) -> None:
        positions = {"max_positions": str(model.config.max_positions)}
        metadata = {**metadata, **positions, "backend": spec.backend}
        backend = find_backend(spec.backend)
        model = self.stored_model(model, spec.precision)
        backend.lower(model, spec.precision, spec.flavour, metadata, path)
        try:
            backend.open(path, 1, False)
        except UserError:
            path.unlink()  # a file that does not load is never handed on
            raise

    def open(self, path: Path, *, threads: int = 1, taps: bool = False) -> Session:
        return _backend(path).open(path, threads, taps)

    def signature(self, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        program = read_program(path)
        constants = program.constants()
        names = {n: _names(constants.get(f"{n}_names"), path) for n in ("input", "output")}
        method = next(m for m in program.methods.values() if not m.is_constant)
        longest, fixed = constants.get("max_positions"), "buckets" in constants
        by_token = constants.get("task") != "sequence-classification"
        return (
            _specs(names["input"], method.inputs, longest, fixed, path),
            _specs(names["output"], method.outputs, longest, fixed and by_token, path),
        )

    def metadata(self, path: Path) -> dict[str, str]:
        constants = read_program(path).constants()
        return {key: str(value) for key, value in constants.items() if key not in CALLING}

    def lengths(self, path: Path) -> tuple[int, ...]:
        text = read_program(path).constants().get("buckets")
        return tuple(json.loads(text)) if isinstance(text, str) else ()

    def structure(self, path: Path) -> str:
        constants = read_program(path).constants()
        calling = {name: constants[name] for name in CALLING if name in constants}
        return hashlib.sha256(f"{calling} {_backend(path).structure(path)}".encode()).hexdigest()

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        return _backend(path).stored_weights(path, config, task)

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        return _backend(path).coverage(path, precision, config, task, labels)

    def smoothing(self, path: Path) -> Mapping[str, Array]:
        return _backend(path).smoothing(path)

    def files(self, path: Path) -> tuple[Path, ...]:
        return (path,)


def _path(precision: str, flavour: str, backend: str) -> str:
    parts = ["model"]
    parts += [] if flavour == "optimized" else [flavour]
    parts += [] if backend == _DEFAULT_BACKEND else [backend]
    parts += [] if precision == "fp32" else [precision]
    return f"executorch/{'_'.join(parts)}.pte"


def _backend(path: Path) -> Backend:
    """The backend that the file says it was made for."""
    name = read_program(path).constants().get("backend")
    if not isinstance(name, str) or name not in backend_names():
        raise UserError(
            f"{path} does not say which backend it was made for.",
            "Build it with: squeezebert-export build MODEL OUT --target executorch",
        )
    return find_backend(name)


def _names(text: object, path: Path) -> list[str]:
    try:
        names = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        names = None
    if not isinstance(names, list):
        raise UserError(f"{path} does not name its inputs and outputs.", REBUILD)
    return names


def _specs(
    names: list[str], values: tuple[Argument, ...], longest: object, fixed: bool, path: Path
) -> tuple[TensorSpec, ...]:
    """What the method declares. ``fixed``: the session fits any length to a method's own."""
    if len(names) != len(values):
        raise UserError(f"{path} does not name all its inputs and outputs.", REBUILD)
    specs = []
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, Activation):
            continue  # a constant: the signature check misses it
        shape: tuple[int | str, ...] = value.sizes
        sequence = len(shape) > 1 and (
            fixed or (value.dynamism == "dynamic_bound" and shape[1] == longest)
        )
        if sequence:
            shape = (shape[0], "sequence", *shape[2:])
        specs.append(TensorSpec(name, value.dtype, shape))
    return tuple(specs)


TARGET = ExecutorchTarget()
