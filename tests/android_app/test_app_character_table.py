"""What the app's tokenizer knows of characters is what the installed tokenizers library does."""

import importlib.util
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from tests.android_app.core_classes import CORE


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    path = CORE / "generate_character_table.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_the_library_does(generator: ModuleType) -> None:
    table = generator.measured()
    written = generator.OUTPUT.read_text(encoding="utf-8")
    assert generator.source(table) == written, f"run {generator.__file__}"
    for name in ("dropped", "spaces", "chinese", "punctuation", "stripped", "barriers"):
        assert generator.source(replace(table, **{name: getattr(table, name)[:-1]})) != written
    for name in ("bases", "lower", "classes"):
        fewer = dict(list(getattr(table, name).items())[:-1])
        assert generator.source(replace(table, **{name: fewer})) != written
