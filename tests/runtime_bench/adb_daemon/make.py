"""What kind of phone is played: its Android, cores and tools."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Clusters of the phone played here, as on a Pixel 6: cores and their highest clock in kHz.
CLUSTERS: Mapping[int, tuple[int, ...]] = {
    1803000: (0, 1, 2, 3),
    2253000: (4, 5),
    2802000: (6, 7),
}
_PARTS = {1803000: "0xd05", 2253000: "0xd41", 2802000: "0xd44"}
_FEATURES = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)


@dataclass(frozen=True)
class Make:
    """What kind of phone it is; the rest is state that a test changes while it runs."""

    sdk: int = 34
    abis: tuple[str, ...] = ("arm64-v8a", "armeabi-v7a", "armeabi")
    features: str = _FEATURES
    services: tuple[str, ...] = ("battery", "power", "thermalservice")
    without_tools: tuple[str, ...] = ()
    without_properties: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    shell_v2: bool = True

    def all_properties(self) -> dict[str, str]:
        """What getprop knows."""
        known = {
            "ro.product.manufacturer": "Google",
            "ro.product.brand": "google",
            "ro.product.model": "Pixel 6",
            "ro.product.device": "oriole",
            "ro.product.board": "oriole",
            "ro.board.platform": "gs101",
            "ro.hardware": "oriole",
            "ro.soc.manufacturer": "Google",
            "ro.soc.model": "GS101",
            "ro.product.cpu.abi": self.abis[0],
            "ro.product.cpu.abilist": ",".join(self.abis),
            "ro.build.version.sdk": str(self.sdk),
            "ro.build.version.release": "14" if self.sdk >= 34 else "7.1.1",
            "ro.build.version.security_patch": "2024-05-05",
            "ro.build.id": "UP1A.240505.005",
            "ro.build.type": "user",
            "ro.build.fingerprint": "google/oriole/oriole:14/UP1A.240505.005/1:user/release-keys",
            "ro.kernel.qemu": "",
            "sys.boot_completed": "1",
            **self.properties,
        }
        left = {name: text for name, text in known.items() if name not in self.without_properties}
        return {name: text for name, text in left.items() if text}

    def processors(self) -> str:
        """/proc/cpuinfo."""
        cores = [
            f"processor\t: {cpu}\nBogoMIPS\t: 49.15\nFeatures\t: {self.features}\n"
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\n"
            f"CPU part\t: {_PARTS[highest]}\nCPU revision\t: 0\n"
            for highest, cpus in CLUSTERS.items()
            for cpu in cpus
        ]
        return "\n".join(cores)
