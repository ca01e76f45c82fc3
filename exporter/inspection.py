"""What a bundle or a single artifact says about itself."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from exporter.errors import UserError
from exporter.filesystem import explained_os_errors
from exporter.manifest_file import (
    MANIFEST_NAME,
    as_document,
    changed_files,
    content_hash,
    file_record,
    read_manifest,
)
from exporter.targets.base import Target, find_target, target_names


def inspect(path: Path) -> dict[str, Any]:
    """A bundle's manifest with ``changed`` files, or a single artifact's own declarations.

    Of an artifact: ``path``, ``target``, ``bytes``, ``sha256``, ``inputs``, ``outputs``,
    ``metadata``, ``structure`` (see ``Target.structure``). Raises UserError when it is neither.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist.", "Check the path.")
    if (path / MANIFEST_NAME).is_file():
        manifest = read_manifest(path)
        records = (*manifest.files, *(f for a in manifest.artifacts for f in a.files))
        return {**as_document(manifest), "changed": list(changed_files(path, records))}
    return _inspect_artifact(path)


def recognise(path: Path) -> Target:
    """The target that opens the file or package ``path``. UserError when none does."""
    reasons = []
    targets = tuple(map(find_target, target_names()))
    for target in targets:
        if target.suffix and path.suffix == target.suffix:
            target.open(path)  # raises: what the others would say of it helps nobody
            return target
    for target in targets:
        try:
            target.open(path)
        except UserError as error:
            reasons.append(f"{target.name}: {error.message}")
        else:
            return target
    if path.is_dir() and not (path / "Manifest.json").exists():
        read_manifest(path)  # raises: it is no bundle either
    raise UserError(
        f"{path} is no artifact that can be read ({'; '.join(reasons)}).",
        "Give a bundle's folder or one of its artifacts.",
    )


def _inspect_artifact(path: Path) -> dict[str, Any]:
    target = recognise(path)
    inputs, outputs = target.declared(path)
    files = target.files(path)
    with explained_os_errors(path):
        records = [file_record(path.parent, file) for file in files]
    return {
        "path": str(path),
        "target": target.name,
        "inputs": [asdict(tensor) for tensor in inputs],
        "outputs": [asdict(tensor) for tensor in outputs],
        "metadata": target.metadata(path),
        "structure": target.structure(path),
        "bytes": sum(record.bytes for record in records),
        "sha256": content_hash(path.name, records),
    }
