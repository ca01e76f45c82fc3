"""What every stock export offers, and what they share.

The stock exports of a target are the module ``exporter.baselines.stock_TARGET``, which offers
``stock_artifacts(module, checkpoint, out, progress) -> tuple[StockArtifact, ...]``.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.progress import Progress
from exporter.targets.base import Array, Session, TensorSpec

_MODULE_PREFIX = "stock_"


@dataclass(frozen=True)
class KeptWeights:
    """How many weights (matrices, convolutions, tables) a quantizer left in fp32."""

    count: int
    total: int


class StockSession(Protocol):
    """A stock artifact opened for running, with the inputs and outputs that it declares."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, from int64 [B, T] inputs by name."""
        ...


@dataclass(frozen=True)
class StockArtifact:
    """One artifact to make. ``path`` is relative to the bundle; ``verb`` names the library's way.

    ``write`` counts the weights that stayed fp32 where the library tells.
    """

    target: str
    path: str
    precision: str
    flavour: str
    verb: str
    runtime: str
    write: Callable[[Path], KeptWeights | None]
    open: Callable[[Path], StockSession]


def target_names() -> tuple[str, ...]:
    """The targets that have stock exports."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    names = [m.name for m in modules if m.name.startswith(_MODULE_PREFIX)]
    return tuple(name.removeprefix(_MODULE_PREFIX) for name in names)


def require_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """``targets`` without repetitions. Raises UserError for none and for unknown ones."""
    wrong = next((name for name in targets if name not in target_names()), None)
    if not targets or wrong is not None:
        raise UserError(
            "No target is asked for." if wrong is None else f"No stock export for '{wrong}'.",
            f"Choose from: {', '.join(target_names())}.",
        )
    return tuple(dict.fromkeys(targets))


def stock_artifacts(
    target: str, module: Any, checkpoint: Checkpoint, out: Path, progress: Progress
) -> tuple[StockArtifact, ...]:
    """The stock artifacts of ``target``, in the order in which they have to be made."""
    stock = importlib.import_module(f"{__package__}.{_MODULE_PREFIX}{target}")
    artifacts: tuple[StockArtifact, ...] = stock.stock_artifacts(module, checkpoint, out, progress)
    return artifacts


def open_stock(target: str, path: Path) -> Session:
    """A stock artifact that lies in a bundle, opened to run on one thread.

    Its runtime's ordinary session, chosen without the metadata that only this project writes.
    """
    stock = importlib.import_module(f"{__package__}.{_MODULE_PREFIX}{target}")
    session: Session = stock.open_written(path)
    return session
