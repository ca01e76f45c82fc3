"""What every report format offers, and how formats are found.

A format is one module in this package. It registers itself by defining

    NAME: str                                          for ``--format``, for example "markdown"
    FILE: str | None                                   the file it writes, None for the screen
    def render(content: Content) -> str
"""

import importlib
import pkgutil
from types import ModuleType

from runtime_bench import report as package
from runtime_bench.errors import InputError


def formats() -> dict[str, ModuleType]:
    """The format modules of this package by their name."""
    modules = (
        importlib.import_module(f"{package.__name__}.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    )
    return {module.NAME: module for module in modules if hasattr(module, "render")}


def choose_formats(names: list[str]) -> list[ModuleType]:
    """The modules of the formats called ``names``; raises InputError for an unknown one."""
    known = formats()
    for name in names:
        if name not in known:
            raise InputError(
                f"There is no report format {name}.", f"Choose from: {', '.join(sorted(known))}."
            )
    return [known[name] for name in names]
