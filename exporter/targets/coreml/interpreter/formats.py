"""The messages of ``Model.proto`` and ``MIL.proto``, as coremltools' generated classes.

They are loaded without coremltools itself, whose import takes longer than anything done here.
"""

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from exporter.targets.coreml.interpreter.errors import Unreadable

#: The name under which the folder of generated modules is imported.
_PACKAGE = "coremltools_messages"


def parse_model(content: bytes) -> Any:
    """The ``Model`` message, proved to have no part that the classes do not know. Unreadable."""
    model = _module("Model").Model()
    try:
        model.ParseFromString(content)
    except Exception as error:  # the class belongs to protobuf's implementation
        raise Unreadable("its model is damaged") from error
    # Unknown fields, and fields given twice of which only the last one counts.
    model.DiscardUnknownFields()
    if model.ByteSize() != len(content):
        raise Unreadable("its model has parts that are not understood")
    return model


def element_type(number: int) -> str:
    """The name of a MIL element type in lower case. Raises Unreadable."""
    types = _module("MIL").DataType
    if number not in types.values():
        raise Unreadable(f"its program has an unknown element type: {number}")
    name: str = types.Name(number).lower()
    return name


@cache
def _module(name: str) -> ModuleType:
    if _PACKAGE not in sys.modules:
        found = importlib.util.find_spec("coremltools")
        assert found is not None
        assert found.submodule_search_locations
        folder = Path(found.submodule_search_locations[0]) / "proto"
        package = importlib.util.spec_from_file_location(
            _PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert package is not None
        assert package.loader is not None
        sys.modules[_PACKAGE] = importlib.util.module_from_spec(package)
        package.loader.exec_module(sys.modules[_PACKAGE])
    return importlib.import_module(f"{_PACKAGE}.{name}_pb2")
