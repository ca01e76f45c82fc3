"""Files on their way into a bundle: complete or not there at all, and errors in plain words."""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import UserError

_PARTIAL_PREFIX = ".partial-"
_HASH_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``: readers see the old file or the whole new one.

    Raises UserError when the disk is full or the folder cannot be written.
    """
    with explained_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{_PARTIAL_PREFIX}{path.name}-")
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.chmod(0o644)  # mkstemp gives 0600: a bundle is made to be shared
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
    """A fresh folder inside ``parent`` (so: on the same disk), removed at the end in any case."""
    with explained_os_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=_PARTIAL_PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_partial_files(folder: Path) -> None:
    """Remove what a killed process left half-written in ``folder``."""
    for leftover in folder.glob(f"{_PARTIAL_PREFIX}*"):
        remove(leftover)


def move_into_place(source: Path, destination: Path) -> None:
    """Move the file or folder ``source`` to ``destination``, replacing what is there.

    Both lie on the same disk. A file is replaced in one step. A folder cannot be: the old one is
    moved beside the source first, so a reader may find none for an instant, but never a mixture.
    """
    with explained_os_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.is_dir() and not destination.is_symlink():
            destination.replace(source.with_name(f"{source.name}.replaced"))
        source.replace(destination)


def remove(path: Path) -> None:
    """Remove a file or a folder; nothing happens when it does not exist."""
    with explained_os_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for one writer. Raises UserError when another process holds it."""
    with explained_os_errors(folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"Another command is writing into {folder}.", "Wait until it has ended."
            ) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def explained_os_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals around ``path`` into UserError."""
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, path) from error


def explain_os_error(error: OSError, path: Path | None = None) -> UserError:
    """The UserError for ``error``: cause and next step. ``path``: where it happened, if known."""
    place = path if path is not None else error.filename
    where = f" ({place})" if place else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return UserError(
                f"No space is left on the disk{where}.",
                "Free some space or choose another folder, then run the same command again: "
                "finished artifacts are kept.",
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return UserError(
                f"Access is denied{where}.", "Change its permissions or choose another path."
            )
        case errno.ENOENT:
            return UserError(f"File or folder not found{where}.", "Check the path.")
        case errno.ENOTDIR | errno.EEXIST | errno.EISDIR:
            return UserError(
                f"A file is where a folder is needed, or the reverse{where}.",
                "Choose another path.",
            )
        case _:
            reason = error.strerror or type(error).__name__
            return UserError(f"The system reports: {reason}{where}.", "Check the path and disk.")
