"""The scripts that replay packages on a Mac, as files of a bundle."""

from collections.abc import Mapping
from pathlib import Path

from exporter.filesystem import write_atomically

#: Name and content of each; the first is the one to start.
SCRIPTS: Mapping[str, bytes] = {
    name: Path(__file__).with_name(name).read_bytes()
    for name in ("check_on_mac.py", "predict_on_mac.py")
}


def write_scripts(folder: Path) -> tuple[Path, ...]:
    """Write the scripts into ``folder``, replacing older ones; returns their paths.

    UserError where the disk refuses.
    """
    paths = tuple(folder / name for name in SCRIPTS)
    for path in paths:
        write_atomically(path, SCRIPTS[path.name])
    return paths
