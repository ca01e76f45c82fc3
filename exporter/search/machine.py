"""Which machine measured something, as a word of the key that the measurement is kept under."""

import hashlib
import os
import platform
from pathlib import Path


def machine_hash() -> str:
    """Of the processor's model, the number of cores, the system and its version."""
    facts = (_processor(), str(os.cpu_count()), platform.system(), platform.release())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def machine_name() -> str:
    """For people."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text("utf-8", "replace").splitlines():
            if line.startswith(("model name", "Hardware", "CPU part")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
