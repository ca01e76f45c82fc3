"""What is read out of a phone's answers: recorded forms, odd ones, and garbage."""

import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime_bench.adb import probe
from runtime_bench.adb.client import Listing, parse_listings
from runtime_bench.adb.clusters import Core, clusters
from runtime_bench.adb.conditions import (
    Battery,
    parse_battery,
    parse_screen,
    parse_statistics,
    parse_thermal,
)
from runtime_bench.devices.base import Cluster

LITTLE_FEATURES = "fp asimd evtstrm aes crc32 atomics fphp asimdhp asimddp"


def cpu_info(parts: list[str], features: str = LITTLE_FEATURES) -> str:
    return "\n".join(
        f"processor\t: {cpu}\nBogoMIPS\t: 38.40\nFeatures\t: {features}\n"
        f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {part}\n"
        for cpu, part in enumerate(parts)
    )


def clocks(by_cpu: list[int]) -> str:
    where = "/sys/devices/system/cpu/cpu{}/cpufreq/cpuinfo_max_freq:{}"
    return "\n".join(where.format(cpu, khz) for cpu, khz in enumerate(by_cpu))


def derived(parts: list[str], khz: list[int]) -> tuple[Cluster, ...]:
    cores = probe.merged_cores(
        probe.parse_cores(cpu_info(parts)), range(len(parts)), probe.parse_by_cpu(clocks(khz))
    )
    return clusters(cores)


BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 500000
  Charge counter: 3012000
  status: 2
  health: 2
  present: true
  level: 84
  scale: 100
  voltage: 4213
  temperature: 283
  technology: Li-ion
"""


def test_battery() -> None:
    assert parse_battery(BATTERY) == Battery(84.0, 28.3, True, True)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("status: 2", "status: 5", Battery(84.0, 28.3, False, True)),
        ("status: 2", "status: 1", Battery(84.0, 28.3, None, True)),  # unknown to the phone
        ("USB powered: true", "USB powered: false", Battery(84.0, 28.3, True, False)),
        ("scale: 100", "scale: 200", Battery(42.0, 28.3, True, True)),
        ("scale: 100", "scale: 0", Battery(None, 28.3, True, True)),
        ("level: 84", "level: 400", Battery(None, 28.3, True, True)),
        ("present: true", "present: false", Battery(None, 28.3, True, True)),
        ("temperature: 283", "temperature: -2730", Battery(84.0, None, True, True)),
        ("temperature: 283", "temperature: 28300", Battery(84.0, None, True, True)),
        # A maker's own list after Android's does not count.
        (
            "technology: Li-ion",
            "technology: Li-ion\n  level: 3\n  status: 3",
            Battery(84.0, 28.3, True, True),
        ),
    ],
)
def test_odd_batteries(before: str, after: str, expected: Battery) -> None:
    assert parse_battery(BATTERY.replace(before, after)) == expected


THERMAL_10 = """IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 1
\tkilled: false
\tbroadcasts count: -1
Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=30.1, mType=3, mName=quiet-therm-adc, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=41.600002, mType=0, mName=cpu0-silver-usr, mStatus=0}
\tTemperature{mValue=30.4, mType=3, mName=quiet-therm-adc, mStatus=0}
\tTemperature{mValue=0.0, mType=4, mName=USB, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
"""
THERMAL_15 = """IsStatusOverride: false
Thermal Status: 2
Cached temperatures:
\tTemperature{mValue=39.2, mType=3, mName=VIRTUAL-SKIN, mStatus=2}
HAL Ready: true
HAL connection:
\tThermalHAL AIDL 2  connected: yes
Current temperatures from HAL:
\tTemperature{mValue=71.0, mType=0, mName=BIG, mStatus=0}
\tTemperature{mValue=39.5, mType=3, mName=VIRTUAL-SKIN, mStatus=2}
Current cooling devices from HAL:
\tCoolingDevice{mValue=3, mType=2, mName=thermal-cpufreq-2}
Temperature static thresholds from HAL:
\tTemperatureThreshold{mType=3, mName=VIRTUAL-SKIN, mHotThrottlingThresholds=[NaN, 39.0, 41.0]}
Temperature headroom thresholds:
\tTemperature{mValue=99.0, mType=3, mName=VIRTUAL-SKIN, mStatus=3}
"""


def test_thermal_status_and_latest_temperatures() -> None:
    found = parse_thermal(THERMAL_10)
    assert found.status == 0
    # The current value replaces the cached one; a sensor that is not connected reads zero.
    assert found.celsius == {"cpu0-silver-usr": 41.600002, "quiet-therm-adc": 30.4}
    found = parse_thermal(THERMAL_15)
    assert found.status == 2
    assert found.celsius == {"BIG": 71.0, "VIRTUAL-SKIN": 39.5}


@pytest.mark.parametrize("text", ["", "Can't find service: thermalservice", "Thermal Status: 9"])
def test_no_thermal_status(text: str) -> None:
    assert parse_thermal(text).status is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  mWakefulness=Awake\nDisplay Power: state=ON\n", True),
        ("  mWakefulness=Awake\n  mWakefulnessChanging=false\n", True),
        ("  mWakefulness=Dozing\nDisplay Power: state=ON\n", False),
        ("  mWakefulness=Awake\nDisplay Power: state=OFF\n", False),
        ("Display Power: state=DOZE\n", False),
        ("Can't find service: power", None),
    ],
)
def test_screen(text: str, expected: bool | None) -> None:
    assert parse_screen(text) is expected


def test_cpu_time_without_idle_and_guests() -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    text = "cpu  1000 100 10 90000 5000 3 2 50 400 40\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    assert parse_statistics(text) == (11.15, 0.5)
    assert parse_statistics("cpu  1 2 3\n") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0-7\n", tuple(range(8))), ("0", (0,)), ("0-1,4", (0, 1, 4)), ("", ()), ("0-x", ())],
)
def test_cpu_list(text: str, expected: tuple[int, ...]) -> None:
    assert probe.parse_cpu_list(text) == expected


def test_free_space_also_after_a_long_name() -> None:
    head = "Filesystem     1K-blocks     Used Available Use% Mounted on\n"
    row = "114000000 50000000 64000000  44% /data\n"
    assert probe.parse_free_space(head + f"/dev/block/dm-8 {row}") == 64000000 * 1024
    assert probe.parse_free_space(head + f"/dev/block/by-name/userdata\n   {row}") == 65536000000
    assert probe.parse_free_space("df: /data/local/tmp: Permission denied") is None


PIXEL_4 = (["0x805"] * 4 + ["0x804"] * 4, [1785600] * 4 + [2419200] * 3 + [2841600])
PIXEL_6 = (
    ["0xd05"] * 4 + ["0xd41"] * 2 + ["0xd44"] * 2,
    [1803000] * 4 + [2253000] * 2 + [2802000] * 2,
)
PIXEL_8 = (["0xd46"] * 4 + ["0xd4d"] * 4 + ["0xd4e"], [1704000] * 4 + [2367000] * 4 + [2914000])


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        (PIXEL_4, [("little", 4, 1785600), ("middle", 3, 2419200), ("big", 1, 2841600)]),
        (PIXEL_6, [("little", 4, 1803000), ("middle", 2, 2253000), ("big", 2, 2802000)]),
        (PIXEL_8, [("little", 4, 1704000), ("middle", 4, 2367000), ("big", 1, 2914000)]),
        # Four kinds (1 + 3 + 2 + 2): two of them are in the middle.
        (
            (
                ["0xd80"] * 2 + ["0xd81"] * 5 + ["0xd82"],
                [2265600] * 2 + [2956800] * 2 + [3148800] * 3 + [3302400],
            ),
            [("little", 2, 2265600), ("middle", 5, 3148800), ("big", 1, 3302400)],
        ),
        # Little cores that are clocked above the big ones stay little.
        (
            (["0xd03"] * 4 + ["0xd09"] * 4, [2300000] * 4 + [2000000] * 4),
            [("little", 4, 2300000), ("big", 4, 2000000)],
        ),
        # Eight little cores in two groups by their clocks.
        (
            (["0xd03"] * 8, [1400000] * 4 + [2000000] * 4),
            [("little", 4, 1400000), ("big", 4, 2000000)],
        ),
        ((["0xd03"] * 4, [1400000] * 4), [("all", 4, 1400000)]),
    ],
)
def test_clusters(phone: tuple[list[str], list[int]], expected: list[tuple[str, int, int]]) -> None:
    found = derived(*phone)
    assert [(item.name, len(item.cpus), item.maximum_khz) for item in found] == expected
    cpus = [cpu for item in found for cpu in item.cpus]
    assert sorted(cpus) == list(range(len(phone[0])))


def test_clusters_without_clocks_follow_the_parts() -> None:
    found = derived(PIXEL_6[0], [])
    assert [(item.name, item.cpus, item.maximum_khz) for item in found] == [
        ("little", (0, 1, 2, 3), None),
        ("middle", (4, 5), None),
        ("big", (6, 7), None),
    ]


def test_clusters_without_anything() -> None:
    assert clusters(()) == ()
    assert clusters([Core(0), Core(1)]) == (Cluster("all", (0, 1), None),)


def test_a_core_that_sleeps_is_counted() -> None:
    named = probe.parse_cores(cpu_info(["0xd05"] * 2))
    cores = probe.merged_cores(named, (0, 1), {0: 1, 1: 1, 2: 5})
    assert [core.cpu for core in cores] == [0, 1, 2]


def test_features_are_those_of_every_core() -> None:
    text = cpu_info(["0xd46"], f"{LITTLE_FEATURES} i8mm bf16 sve") + cpu_info(["0xd46"])
    assert probe.parse_features(text) == ("asimd", "asimddp", "asimdhp")
    assert probe.parse_features("") == ()


def test_properties() -> None:
    text = "[ro.product.model]: [Pixel 6]\r\n[ro.empty]: []\nnoise\n[odd]: [a]: [b]\n"
    assert probe.parse_properties(text) == {
        "ro.product.model": "Pixel 6",
        "ro.empty": "",
        "odd": "a]: [b",
    }


def test_listings() -> None:
    text = (
        "* daemon not running; starting now at tcp:5037\n* daemon started successfully\n"
        "List of devices attached\n"
        "1A2B3C       device usb:1-2 product:oriole model:Pixel_6 device:oriole transport_id:1\n"
        "10.0.0.7:5555          offline transport_id:2\n"
        "9Z8Y         unauthorized usb:1-3 transport_id:3\n"
        "????????     no permissions (missing udev rules?); see [http://x] usb:1-4\n\n"
    )
    assert parse_listings(text) == (
        Listing("1A2B3C", "device", "Pixel 6"),
        Listing("10.0.0.7:5555", "offline", None),
        Listing("9Z8Y", "unauthorized", None),
        Listing("????????", "no permissions", None),
    )


PARSERS: tuple[Callable[[str], Any], ...] = (
    parse_battery,
    parse_thermal,
    parse_screen,
    parse_statistics,
    parse_listings,
    probe.parse_properties,
    probe.parse_cores,
    probe.parse_features,
    probe.parse_cpu_list,
    probe.parse_by_cpu,
    probe.parse_free_space,
    lambda text: probe.parse_memory(text, "MemTotal"),
)
PIECES = st.sampled_from(
    [
        *BATTERY.splitlines(),
        *THERMAL_15.splitlines(),
        *cpu_info(["0xd05"]).splitlines(),
        *clocks([1, 2000000]).splitlines(),
        "MemTotal: 7800000 kB",
        "cpu  1 2 3 4 5 6 7 8",
        "1K-blocks",
        "processor : ٣",
        "level: ²",
        "Temperature{mValue=1.2.3, mType=0, mName=x, mStatus=0}",
        "0-1",
    ]
)


def cut(line: str, at: int) -> str:
    return line[: at % (len(line) + 1)]


GARBAGE = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.one_of(
            PIECES,
            st.builds(cut, PIECES, st.integers(0, 80)),
            st.text(alphabet=string.printable, max_size=40),
        ),
        max_size=12,
    ).map("\n".join),
)


@given(GARBAGE)
def test_no_answer_makes_a_parser_fail(text: str) -> None:
    for parser in PARSERS:
        parser(text)


@given(GARBAGE)
def test_what_is_told_is_possible(text: str) -> None:
    battery = parse_battery(text)
    assert battery.percent is None or 0 <= battery.percent <= 100
    assert battery.celsius is None or 0 < battery.celsius < 150
    thermal = parse_thermal(text)
    assert thermal.status is None or 0 <= thermal.status <= 6
    assert all(0 < degrees < 150 for degrees in thermal.celsius.values())
    assert all(khz > 0 for khz in probe.parse_by_cpu(text).values())
    memory = probe.parse_memory(text, "MemTotal")
    assert memory is None or memory >= 0


@given(st.lists(st.builds(Core, st.integers(0, 15), st.none() | st.integers(1, 4)), max_size=16))
def test_every_core_is_in_one_cluster(cores: list[Core]) -> None:
    known = {core.cpu: core for core in cores}
    found = clusters(list(known.values()))
    assert sorted(cpu for item in found for cpu in item.cpus) == sorted(known)
    names = [item.name for item in found]
    assert names in ([], ["all"], ["little", "big"], ["little", "middle", "big"])
    tops = [item.maximum_khz or 0 for item in found]
    assert tops == sorted(tops)
