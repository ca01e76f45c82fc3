"""The emulated processors: what the guest is told must be what it has."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from emulated_programs import build, needs_emulator, run

from runtime_bench.emulation.profiles import DEFAULT, PROFILES, Profile, profile_named
from runtime_bench.errors import InputError


def names_of(text: str) -> list[str]:
    return text.split()


# Linux's names of the bits of AT_HWCAP and AT_HWCAP2 (arch/arm64/include/uapi/asm/hwcap.h).
HARDWARE = names_of("""
fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc
dcpop sha3 sm3 sm4 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg
""")
HARDWARE_2 = names_of("""
dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svef32mm svef64mm svebf16
i8mm bf16 dgh rng bti mte ecv afp rpres mte3 sme sme_i16i64 sme_f64f64 sme_i8i32 sme_f16f32
sme_b16f32 sme_f32f32 sme_fa64
""")
PROBE = """
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>
int main(void)
{
    unsigned long id;
    char line[2000];
    FILE *file = fopen("/proc/cpuinfo", "r");
    __asm__("mrs %0, MIDR_EL1" : "=r"(id));
    printf("{\\"hwcap\\": %lu, \\"hwcap2\\": %lu, \\"cpus\\": %ld, \\"id\\": %lu}\\n",
           getauxval(AT_HWCAP), getauxval(AT_HWCAP2), sysconf(_SC_NPROCESSORS_ONLN), id);
    while (fgets(line, sizeof line, file))
        fputs(line, stdout);
    return 0;
}
"""
DOT_PRODUCT = """
int main(void) { __asm__ volatile("sdot v0.4s, v1.16b, v2.16b" ::: "v0"); return 0; }
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(PROBE, tmp_path_factory.mktemp("probe") / "probe")


def disagreement(profile: Profile, told: list[str], answer: dict[str, int]) -> set[str]:
    """Features that are told but not there, or there but not told."""
    there = {name for bit, name in enumerate(HARDWARE) if answer["hwcap"] >> bit & 1}
    there |= {name for bit, name in enumerate(HARDWARE_2) if answer["hwcap2"] >> bit & 1}
    return (set(told) ^ there) | (set(profile.features) ^ there)


@needs_emulator
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_guest_has_the_features_that_it_is_told(
    profile: Profile, probe: Path, tmp_path: Path
) -> None:
    result = run(profile, probe, tmp_path / "counts")
    first, *information = result.stdout.splitlines()
    answer = json.loads(first)
    told = dict(line.split("\t: ") for line in information if line)
    assert "\n".join(information) + "\n" == profile.cpu_information()
    assert disagreement(profile, told["Features"].split(), answer) == set()
    assert answer["cpus"] == 1
    # The same check finds a feature that the emulated processor lacks, and one that is kept back.
    more = replace(profile, features=(*profile.features, "sve"))
    assert disagreement(more, list(more.features), answer) == {"sve"}
    fewer = replace(profile, features=profile.features[1:])
    assert disagreement(fewer, list(fewer.features), answer) == {profile.features[0]}
    if profile.emulator_cpu == profile.name:
        fields = (0x41, profile.variant, 0xF, profile.part, profile.revision)
        shifts = (24, 20, 16, 4, 0)
        expected = sum(field << shift for field, shift in zip(fields, shifts, strict=True))
        assert answer["id"] == expected


@needs_emulator
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_dot_products_run_exactly_where_they_are_told(profile: Profile, tmp_path: Path) -> None:
    program = build(DOT_PRODUCT, tmp_path / "program", "-march=armv8.2-a+dotprod")
    result = run(profile, program, tmp_path / "counts")
    assert (result.returncode == 0) == ("asimddp" in profile.features)


def test_profiles_are_found_by_name() -> None:
    assert profile_named("").name == DEFAULT
    assert profile_named("i8mm") is PROFILES["i8mm"]
    with pytest.raises(InputError, match=r"no device arm64:m1.*arm64:cortex-a53"):
        profile_named("m1")


def test_no_profile_has_the_extension_whose_emulation_is_wrong() -> None:
    for profile in PROFILES.values():
        assert not {"sve", "sve2", "sme"} & set(profile.features)
