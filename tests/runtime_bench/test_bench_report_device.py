"""Reports of phones and emulated devices: conditions, pauses, starts, energy, instructions."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from simulated_runs import PHONE, STARTED, Simulation, emulated, entry, simulate

from runtime_bench.labels import cpu_list
from runtime_bench.records import ConditionsRecord, PauseRecord, StartRecord
from runtime_bench.report.base import formats
from runtime_bench.report.content import Content, build_content
from runtime_bench.results import Results

FORMATS = ("terminal", "markdown", "html", "ladder")
OURS = entry("e1", accuracy={"accuracy": 0.823})
STOCK = entry("e2", family="bert", recipe="stock", precision="fp32", roles=["baseline"])
RUN = Simulation(
    [OURS, STOCK],
    {"e1": 20.0, "e2": 150.0, "peak": 6.0},
    cpus=(4, 5),
    settings={"cores": "big", "most_blocks": 0, "interval_goal": 0.03},
)


def moment(second: int) -> str:
    return STARTED.replace(":05.000", f":{5 + second:02}.000")


def conditions(second: int, battery: float, charging: bool | None = False) -> ConditionsRecord:
    return ConditionsRecord(
        at=moment(second),
        length=128,
        threads=1,
        conditions={
            "khz": {"0": 1_000_000, "1": 1_200_000, "4": 2_000_000, "5": 2_600_000, "9": 5},
            "celsius": {"cpu-1": 30.0 + second},
            "thermal_status": second // 10,
            "battery_percent": battery,
            "battery_celsius": 25.0,
            "charging": charging,
            "screen_on": True,
        },
    )


@pytest.fixture
def phone() -> Results:
    """A run with everything that a phone can tell; round 4 was dropped after a pause of 12 s."""
    results = simulate(RUN)
    blocks = [
        replace(
            block,
            started=moment(block.round * 2),
            before={"khz": {"4": 2_500_000}, "celsius": {}},
            after={"khz": {"4": 2_400_000}, "celsius": {"cpu-1": 40.0}},
            # 16 inferences with the one that leads in; the subject takes 50 mJ for each.
            energy_uj=16 * 50_000.0 * (1 if block.entry == "e1" else 4),
            pss_bytes=210_000_000 + 1000 * block.round,
        )
        for block in results.blocks
    ]
    starts = [
        StartRecord("e1", 128, 1, repeat, cold, (400 if cold else 90) * 10**6 + repeat, 80 * 10**6)
        for cold in (True, False)
        for repeat in range(3)
    ]
    return replace(
        results,
        blocks=tuple(block for block in blocks if block.round != 4),
        dropped_blocks=tuple(block for block in blocks if block.round == 4),
        starts=tuple(starts),
        conditions=(conditions(0, 83.0), conditions(30, 79.0)),
        pauses=(PauseRecord(moment(20), 128, 1, 4, "the clock fell", 12.0, True),),
    )


@pytest.fixture
def content(phone: Results) -> Content:
    return build_content(phone)


def flat(content: Content, name: str) -> str:
    text = re.sub(
        r"<style>.*?</style>|<[^>]+>|[│┃]", " ", formats()[name].render(content), flags=re.S
    )
    return re.sub(r"\s+", " ", text)


def test_clocks_are_medians_of_clusters_and_times_count_from_the_start(content: Content) -> None:
    first = content.conditions.moments[0]
    assert first.seconds == 0
    assert first.mhz == {"little": 1100.0, "big": 2300.0, "all": 0.005}
    assert first.celsius == {"cpu-1": 30.0, "battery": 25.0}
    last = content.conditions.moments[-1]
    assert (last.seconds, last.celsius["cpu-1"]) == (30, 60.0)
    # A block's second reading is as late as its inferences were long.
    ends = [item.seconds for item in content.conditions.moments if item.celsius == {"cpu-1": 40.0}]
    assert min(ends) == pytest.approx(16 * 0.006, rel=0.2)
    # Three entries in ten rounds: the one that was dropped shows why.
    assert len(ends) == 30


def test_rounds_and_pauses_keep_their_times(content: Content) -> None:
    spans = sorted(content.conditions.rounds, key=lambda span: span.start)
    assert [span.round for span in spans] == list(range(10))
    assert [span.start for span in spans] == [2.0 * index for index in range(10)]
    assert all(span.end > span.start for span in spans)
    assert [span.round for span in spans if span.dropped] == [4]
    (pause,) = content.conditions.pauses
    assert (pause.seconds, pause.waited_s, pause.dropped) == (20, 12, 4)


def test_a_dropped_round_is_no_sample(phone: Results, content: Content) -> None:
    assert content.cases[0].rows[0].wall.blocks == 9
    kept = build_content(replace(phone, blocks=(*phone.blocks, *phone.dropped_blocks)))
    assert kept.cases[0].rows[0].wall.blocks == 10


def test_energy_is_of_one_inference_and_memory_the_largest(content: Content) -> None:
    ours, stock = content.cases[0].rows
    assert ours.energy_mj == pytest.approx(50.0)
    assert stock.energy_mj == pytest.approx(200.0)
    assert ours.pss_bytes == 210_009_000


def test_starts_are_medians_of_cold_and_warm_ones(content: Content) -> None:
    (row,) = content.starts
    assert row.entry == OURS["label"]
    assert row.cold is not None
    assert row.warm is not None
    assert (row.cold.count, row.warm.count) == (3, 3)
    assert row.cold.load_ms == pytest.approx(400, abs=0.01)
    assert row.warm.load_ms == pytest.approx(90, abs=0.01)


@pytest.mark.parametrize("name", ["terminal", "markdown", "html"])
def test_every_format_tells_of_the_phone(content: Content, name: str) -> None:
    text = flat(content, name)
    for phrase in (
        *("little: 0-3 up to 1.70 GHz; big: 4-7 up to 2.90 GHz", "big (4-5)", "on, and read back"),
        *("83 % to 79 %", "25.0 to 25.0 °C", "not charging", "the clock fell", "Waited 12 s"),
        *("round 4 was measured again", "Cold and warm starts", "480", "170", "50.0", "200"),
    ):
        assert phrase in text, phrase
    assert "highest thermal status" in text
    if name != "terminal":
        assert "bound to the cores big (4-5)" in text
        assert "10 rounds, and up to 20 while" in text
        assert "210" in text


def test_the_page_plots_clocks_temperatures_and_the_pause(content: Content, phone: Results) -> None:
    page = formats()["html"].render(content)
    plot = page[page.index("Clocks and temperatures") :]
    plot = plot[: plot.index("</figure>")]
    for word in ("little cores", "big cores", "battery", "cpu-1", "var(--bad)", "1 time (red)"):
        assert word in plot
    assert "1 round (hatched) counted for nothing" in plot
    assert "<pattern" in plot
    assert not re.findall(r"#0[1-9]0[1-9]0[1-9]", page)
    smooth = replace(phone, pauses=(), dropped_blocks=())
    calm = formats()["html"].render(build_content(smooth))
    calm = calm[calm.index("Clocks and temperatures") :]
    calm = calm[: calm.index("</figure>")]
    assert "var(--bad)" not in calm
    assert "hatched" not in calm


def test_nothing_is_said_that_was_not_told() -> None:
    device = {**PHONE, "kind": "host", "name": "host"}
    del device["clusters"]
    plain = build_content(simulate(replace(RUN, device=device, cpus=(), settings={})))
    assert plain.conditions.moments == ()
    for name in FORMATS:
        text = flat(plain, name)
        for word in ("battery", "clusters", "fixed-performance", "mJ", "PSS", "Pause", "Cold and"):
            assert word not in text
    assert "not pinned" in flat(plain, "html")


def test_a_battery_that_tells_one_thing_only(phone: Results) -> None:
    only = ConditionsRecord(STARTED, None, None, {"charging": True})
    found = build_content(replace(phone, conditions=(only,)))
    assert "battery: charging" in flat(found, "terminal")


@pytest.fixture
def counted() -> Content:
    totals = {"e1": [500_000_000, 500_000_004, 500_000_002], "e2": [6_000_000_000] * 3}
    return build_content(emulated(RUN, totals))


@pytest.mark.parametrize("name", FORMATS)
def test_everything_emulated_is_marked_at_the_top_and_has_no_latency(
    counted: Content, name: str
) -> None:
    text = flat(counted, name)
    assert "EMULATED" in text[:400]
    assert "cortex-a76" in text[:600]
    assert "500,000,002" in text
    for phrase in ("median ms", "Latency in ms", "times as fast: ", "GFLOP/s", "10.0 ms", "p90"):
        assert phrase not in text


def test_instructions_are_those_of_the_median_inference(counted: Content) -> None:
    ours, stock = counted.cases[0].instructions
    assert (ours.total, ours.spread, ours.inferences) == (500_000_002, 4, 3)
    assert sum(ours.classes.values()) == ours.total
    assert ours.phases == {"load": 10**9, "first_inference": 2 * 10**9}
    (ratio,) = counted.cases[0].instruction_ratios
    assert (ratio.subject, ratio.baseline) == (ours.label, stock.label)
    assert ratio.value == pytest.approx(12.0, rel=1e-6)
    assert "12.00" in flat(counted, "markdown")
    assert "3 inferences, 4 apart" in flat(counted, "html")


def test_timings_of_an_emulated_phone_are_not_shown() -> None:
    timed = build_content(simulate(replace(RUN, device={**PHONE, "emulated": True})))
    assert timed.cases[0].rows == ()
    assert timed.entries[0].load_ms is None
    for name in FORMATS:
        text = flat(timed, name)
        assert "EMULATED" in text[:400]
        assert "were counted" not in text
        assert "not shown" in text
        assert "20.0" not in text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: Any) -> None:  # noqa: ARG002
        self.tags.append(tag)


@pytest.mark.parametrize("name", ["html", "ladder"])
def test_no_text_of_a_device_becomes_markup(phone: Results, name: str) -> None:
    attack = "<script>x</script>$\\bad{$"
    record = conditions(1, 50.0)
    seen = {**record.conditions, "celsius": {attack: 30.0}}
    clusters = [{"name": attack, "cpus": [0], "maximum_khz": None}]
    run = replace(phone.run, device={**PHONE, "model": attack, "clusters": clusters})
    changed = replace(
        phone,
        run=run,
        conditions=(replace(record, conditions=seen),),
        pauses=(replace(phone.pauses[0], reason=attack),),
    )
    found = Tags()
    found.feed(formats()[name].render(build_content(changed)))
    assert "script" not in found.tags
    assert "html" in found.tags


def test_lists_of_cores_are_short() -> None:
    assert cpu_list([0, 1, 2, 3, 6]) == "0-3,6"
    assert cpu_list([7, 4, 5]) == "4-5,7"
    assert cpu_list([]) == ""
