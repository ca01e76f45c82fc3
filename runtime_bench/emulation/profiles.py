"""The emulated processors, named after what they stand for.

The kernels of ONNX Runtime and XNNPACK choose by what the processor says of itself. The emulator
tells it in the auxiliary vector, Linux also in ``/proc/cpuinfo``; a feature in only one of the two
makes a library choose instructions that the emulated processor lacks, so both agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime_bench.errors import InputError

DEFAULT = "cortex-a76"
_ARM_LIMITED = 0x41


@dataclass(frozen=True)
class Profile:
    """One emulated processor.

    ``emulator_cpu`` is the emulator's ``-cpu``. ``part``, ``variant`` and ``revision`` are those of
    the core's main ID register (MIDR_EL1). ``features`` are Linux's names (arch/arm64
    elf_hwcaps) of what the emulator offers under that name, in the kernel's order.
    """

    name: str
    description: str
    emulator_cpu: str
    part: int
    variant: int
    revision: int
    features: tuple[str, ...]

    def cpu_information(self) -> str:
        """The guest's ``/proc/cpuinfo``: one core of this kind."""
        lines = {
            "processor": "0",
            "BogoMIPS": "38.40",
            "Features": " ".join(self.features),
            "CPU implementer": f"{_ARM_LIMITED:#04x}",
            "CPU architecture": "8",
            "CPU variant": f"{self.variant:#x}",
            "CPU part": f"{self.part:#05x}",
            "CPU revision": f"{self.revision}",
        }
        return "".join(f"{key}\t: {value}\n" for key, value in lines.items()) + "\n"


_ARMV8_0 = ("fp", "asimd", "aes", "pmull", "sha1", "sha2", "crc32")
_CORTEX_A76 = (
    *_ARMV8_0,
    *("atomics", "fphp", "asimdhp", "cpuid", "asimdrdm", "lrcpc", "dcpop", "asimddp"),
)
# QEMU 7.2's "max" without SVE, which takes SME with it.
_ARMV8_6 = (
    *_ARMV8_0,
    *("atomics", "fphp", "asimdhp", "cpuid", "asimdrdm", "jscvt", "fcma", "lrcpc", "dcpop"),
    *("sha3", "sm3", "sm4", "asimddp", "sha512", "asimdfhm", "ilrcpc", "flagm", "sb", "paca"),
    *("pacg", "dcpodp", "flagm2", "frint", "i8mm", "bf16", "rng", "bti", "mte"),
)

_PROFILES = (
    Profile(
        "cortex-a53",
        "Armv8.0 without dot products: little cores, and phones up to about 2018",
        "cortex-a53",
        part=0xD03,
        variant=0,
        revision=4,
        features=(*_ARMV8_0, "cpuid"),
    ),
    Profile(
        "cortex-a76",
        "Armv8.2 with dot products (SDOT): the class of a Pixel 4 or 5",
        "cortex-a76",
        part=0xD0B,
        variant=4,
        revision=1,
        features=_CORTEX_A76,
    ),
    Profile(
        "i8mm",
        "Armv8.6 with 8-bit matrix products (SMMLA), without SVE: the class of a Pixel 8",
        "max,sve=off",
        part=0xD4D,  # Cortex-A715
        variant=1,
        revision=0,
        features=_ARMV8_6,
    ),
)
PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in _PROFILES}


def profile_named(name: str) -> Profile:
    """The profile called ``name`` ("": the default one); raises InputError for an unknown one."""
    try:
        return PROFILES[name or DEFAULT]
    except KeyError:
        known = ", ".join(f"arm64:{known}" for known in PROFILES)
        raise InputError(f"There is no device arm64:{name}.", f"Choose one of: {known}.") from None
