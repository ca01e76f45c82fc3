"""What a backend of the target executorch offers, and the registry in which it enters itself."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.targets.base import Array, Coverage, Session, StoredTensor


class Backend(Protocol):
    """One delegate: it takes a model's operators and runs them its own way on the device."""

    name: str
    precisions: tuple[str, ...]
    #: Those that are built where the user asks for none.
    default_precisions: tuple[str, ...]
    flavours: tuple[str, ...]
    #: "" where artifacts run on this machine, else in what way they were examined instead.
    not_run: str

    def lower(
        self,
        model: SourceModel,
        precision: str,
        flavour: str,
        metadata: Mapping[str, str],
        path: Path,
    ) -> None:
        """Write the .pte of ``model`` to ``path``, with ``metadata`` as constant methods."""
        ...

    def open(self, path: Path, threads: int, taps: bool) -> Session:
        """Open an artifact for running, or for evaluation where ``not_run`` says so."""
        ...

    def structure(self, path: Path) -> str:
        """See ``exporter.targets.base.Target.structure``."""
        ...

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        """See ``exporter.targets.base.Target.stored_weights``."""
        ...

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        """See ``exporter.targets.base.Target.coverage``."""
        ...

    def smoothing(self, path: Path) -> Mapping[str, Array]:
        """See ``exporter.targets.base.Target.smoothing``."""
        ...


def find_backend(name: str) -> Backend:
    """The object ``BACKEND`` of ``exporter.targets.executorch.backends.NAME``."""
    if name not in backend_names():
        raise UserError(f"Unknown backend '{name}'.", f"--backend: {', '.join(backend_names())}.")
    package = __name__.rpartition(".")[0]
    backend: Backend = importlib.import_module(f"{package}.{name}").BACKEND
    return backend


def backend_names() -> tuple[str, ...]:
    """Names of all backends: the packages beside this module."""
    folder = Path(__file__).parent
    return tuple(module.name for module in pkgutil.iter_modules([str(folder)]) if module.ispkg)
