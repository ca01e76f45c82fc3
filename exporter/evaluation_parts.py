"""What an evaluation sends to its processes, and where it keeps what they have finished."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.baselines.base import open_stock
from exporter.checkpoint import load
from exporter.errors import CheckFailed, UserError
from exporter.filesystem import exclusive, explained_os_errors
from exporter.model.config import Task
from exporter.progress import Progress
from exporter.targets.base import find_target
from exporter.verification.classification import Run, artifact_run, reference_run
from exporter.verification.kept_logits import KeptLogits, kept_logits


@dataclass(frozen=True)
class OpenReference:
    """Opens PyTorch's encoder, from the checkpoint as the manifest's reader found it."""

    name: str
    task: Task
    labels: tuple[str, ...] | None
    seed: int
    source_hash: str

    def __call__(self) -> Run:
        checkpoint = load(self.name, task=self.task, labels=self.labels, seed=self.seed)
        if checkpoint.source_hash != self.source_hash:
            raise CheckFailed(f"'{self.name}' was changed meanwhile.", "Run the command again.")
        return reference_run(checkpoint.model)


@dataclass(frozen=True)
class OpenArtifact:
    """Opens an artifact on one thread; ``hash`` tells it from another one at the same place."""

    target: str
    path: Path
    hash: str
    stock: bool

    def __call__(self) -> Run:
        if self.stock:
            return artifact_run(open_stock(self.target, self.path))
        return artifact_run(find_target(self.target).open(self.path))


@dataclass(frozen=True)
class Parts:
    """Finished parts on disk. ``used`` are the folders of this evaluation: those of another one
    that was interrupted, on other data or with a limit, stay for it.
    """

    folder: Path | None
    used: list[Path]

    def kept(self, **parts: Any) -> KeptLogits:
        """Those of the logits that ``parts`` decide."""
        found = kept_logits(self.folder, **parts)
        if found.folder is not None:
            self.used.append(found.folder)
        return found


def parts_folder(stack: ExitStack, bundle: Path, progress: Progress) -> Path | None:
    """Where finished parts are kept while ``stack`` lives, for this evaluation alone.

    Where there is no place beside the bundle, nothing is kept, and ``progress`` is told.
    """
    place = bundle.resolve()
    folder = place.with_name(f"{place.name}.evaluation")
    try:
        with explained_os_errors(folder):
            folder.mkdir(exist_ok=True)
    except UserError as error:
        progress.note(f"An interruption will lose what was measured: {error.message}")
        return None
    stack.enter_context(exclusive(folder))
    stack.callback(_remove_empty, folder)
    return folder


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
