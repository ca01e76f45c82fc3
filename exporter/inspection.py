"""What a bundle or a single artifact says about itself."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from exporter.errors import UserError
from exporter.filesystem import explained_os_errors, sha256_file
from exporter.manifest import MANIFEST_NAME, as_document, changed_files, read_manifest
from exporter.targets.base import find_target, target_names


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


def _inspect_artifact(path: Path) -> dict[str, Any]:
    reasons = []
    for name in target_names():
        target = find_target(name)
        try:
            target.open(path)  # first: it refuses what is no artifact of this target
            inputs, outputs = target.signature(path)
            found: dict[str, Any] = {
                "path": str(path),
                "target": name,
                "inputs": [asdict(tensor) for tensor in inputs],
                "outputs": [asdict(tensor) for tensor in outputs],
                "metadata": target.metadata(path),
                "structure": target.structure(path),
            }
        except UserError as error:
            reasons.append(f"{name}: {error.message}")
            continue
        files = target.files(path)
        with explained_os_errors(path):
            found["bytes"] = sum(file.stat().st_size for file in files)
            found["sha256"] = sha256_file(files[0])
        return found
    if path.is_dir():
        read_manifest(path)  # raises: it is no bundle either
    raise UserError(
        f"{path} is no artifact that can be read ({'; '.join(reasons)}).",
        "Give a bundle's folder or one of its artifacts.",
    )
