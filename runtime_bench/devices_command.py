"""``squeezebert-bench devices``: what is there, what it can do, and what is missing."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from runtime_bench.adb.phone_gates import THERMAL_NAMES
from runtime_bench.devices.base import Conditions, Device, find_devices, kinds
from runtime_bench.errors import BenchError
from runtime_bench.plan import PEAK_TARGET


def run(options: argparse.Namespace, _: Sequence[str]) -> int:
    """Print every device; returns 0."""
    found = [_described(device) for device in find_devices()]
    missing = {
        kind: reason
        for kind, module in kinds().items()
        if (reason := getattr(module, "missing", str)())
    }
    if options.json:
        print(json.dumps({"devices": found, "missing": missing}, indent=2))
        return 0
    for item in found:
        print("\n".join(_lines(item)))
    for kind, reason in missing.items():
        print(f"{kind}: none. {reason}")
    return 0


def _described(device: Device) -> dict[str, Any]:
    """A device that cannot be used says why, and the next step."""
    try:
        return {
            "name": device.name,
            **asdict(device.fingerprint()),
            "targets": sorted(device.targets() - {PEAK_TARGET}),
            "conditions": asdict(device.conditions()),
            "warnings": [asdict(warning) for warning in device.gates((1,), 0)],
        }
    except BenchError as error:
        return {"name": device.name, "error": error.message, "next_step": error.next_step}


def _lines(item: Mapping[str, Any]) -> list[str]:
    if "error" in item:
        return [f"{item['name']}: {item['error']} {item['next_step']}"]
    emulated = ", EMULATED: no latency of real hardware" if item["emulated"] else ""
    soc = f" ({item['extra']['soc']})" if item["extra"].get("soc") else ""
    cores = f"{item['cores']} cores, {item['architecture']}"
    lines = [f"{item['name']}: {item['model']}{soc}, {cores}{emulated}"]
    for cluster in item["clusters"]:
        clock = f" up to {cluster['maximum_khz'] / 1e6:.2f} GHz" if cluster["maximum_khz"] else ""
        cores = ", ".join(str(cpu) for cpu in cluster["cpus"])
        lines.append(f"  {cluster['name']} cores: {cores}{clock}")
    lines.append(f"  instruction sets: {' '.join(item['features']) or 'none known'}")
    lines.append(f"  memory: {item['memory_bytes'] / 2**30:.1f} GiB; {item['system']}")
    if state := _state(Conditions(**item["conditions"])):
        lines.append(f"  now: {state}")
    lines.append(f"  runs artifacts for: {', '.join(item['targets']) or 'no target'}")
    for warning in item["warnings"]:
        kind = "not to be measured" if warning["blocking"] else "warning"
        lines.append(f"  {kind}: {warning['message']} {warning['remedy']}")
    return lines


def _state(conditions: Conditions) -> str:
    said = []
    if conditions.thermal_status is not None:
        said.append(f"thermal status {THERMAL_NAMES[min(conditions.thermal_status, 6)]}")
    if conditions.battery_percent is not None:
        said.append(f"battery {conditions.battery_percent:.0f} %")
    if conditions.battery_celsius is not None:
        said.append(f"battery at {conditions.battery_celsius:.0f} C")
    if conditions.charging is not None:
        said.append("charging" if conditions.charging else "not charging")
    if conditions.screen_on is not None:
        said.append("screen on" if conditions.screen_on else "screen off")
    return ", ".join(said)
