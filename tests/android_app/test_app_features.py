"""What the app tells of a processor has the names that the benchmark knows."""

import re
from pathlib import Path

from runtime_bench import features

SOURCE = Path(__file__).parents[2] / (
    "android_app/app/src/main/kotlin/org/squeezebert/app/entry/CpuInfo.kt"
)


def known_to_the_app(text: str) -> set[str]:
    found = re.search(r"KNOWN_FEATURES: Set<String> = setOf\((.*?)\n\)", text, re.DOTALL)
    assert found
    return set(re.findall(r'"([a-z0-9_]+)"', found[1]))


def test_the_app_knows_the_same_instruction_sets() -> None:
    text = SOURCE.read_text(encoding="utf-8")
    assert known_to_the_app(text) == {*features.ARM, *features.X86}
    assert known_to_the_app(text.replace('"i8mm", ', "")) != {*features.ARM, *features.X86}
