"""The ladder page: the paper's table on the user's own device."""

import re
from dataclasses import replace

import pytest
from simulated_runs import Noise, Simulation, emulated, entry, simulate

from runtime_bench.report.base import choose_formats
from runtime_bench.report.content import Content, build_content

STOCK_BERT = entry("e1", family="bert", recipe="stock", precision="fp32", roles=["baseline"])
OURS = entry("e2", accuracy={"accuracy": 0.823}, size=52_000_000)
PTE = entry("e3", target="executorch", precision="fp32")
ENTRIES = [OURS, STOCK_BERT, PTE]
TIMES = {"e1": 150.0, "e2": 20.0, "e3": 60.0, "peak": 6.0}
RUN = Simulation(ENTRIES, TIMES, Noise(0.002, 0.002), lengths=(32, 128), threads=(1, 2))


@pytest.fixture
def content() -> Content:
    return build_content(simulate(RUN))


def page(content: Content) -> str:
    return choose_formats(["ladder"])[0].render(content)


def flat(content: Content) -> str:
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page(content), flags=re.S)
    return re.sub(r"\s+", " ", text)


def test_there_is_a_ladder_for_each_runtime_in_the_papers_case(content: Content) -> None:
    assert [(item.target, item.length, item.threads) for item in content.ladders] == [
        ("onnx", 128, 1),
        ("executorch", 128, 1),
    ]
    names = [rung.name for rung in content.ladders[0].rungs]
    assert names == [
        "bert-base-uncased stock fp32",
        "bert-base-uncased ours fp32",
        "bert-base-uncased ours int8",
        "SqueezeBERT stock fp32",
        "SqueezeBERT stock int8",
        "SqueezeBERT ours fp32",
        "SqueezeBERT ours int8",
    ]


def test_ratios_are_against_stock_bert_of_the_same_runtime(content: Content) -> None:
    onnx, executorch = content.ladders
    best = onnx.rungs[-1]
    assert best.row is not None
    assert best.ratio is not None
    assert best.ratio.interval is not None
    assert best.ratio.value == pytest.approx(7.5, rel=0.01)
    assert best.ratio.interval.low < 7.5 < best.ratio.interval.high
    assert onnx.rungs[0].ratio is None
    fp32 = executorch.rungs[5]
    assert fp32.row is not None
    assert fp32.ratio is None  # its own stock BERT is missing
    assert "Without bert-base-uncased stock fp32 there are no ratios" in flat(content)


def test_the_page_holds_figures_accuracy_and_the_papers_own(content: Content) -> None:
    text = flat(content)
    for phrase in (
        *("20.0 ms", "7.5", "as fast", "accuracy 82.3%", "52.0 MB", "arXiv 2006.11316"),
        *("BERT-base takes 1.7 s on a Pixel 3", "4.3 times as fast", "the authors' figures"),
        *("The paper, Pixel 3: 1.7 s", "accuracy not measured", "seeded, not trained"),
    ):
        assert phrase in text, phrase
    assert "6.7 ms" not in text


def test_missing_rungs_are_named_with_the_command_that_fills_them(content: Content) -> None:
    missing = {rung.name: rung.command for rung in content.ladders[0].rungs if not rung.entry}
    assert list(missing) == [
        "bert-base-uncased ours fp32",
        "bert-base-uncased ours int8",
        "SqueezeBERT stock fp32",
        "SqueezeBERT stock int8",
        "SqueezeBERT ours fp32",
    ]
    stock = missing["SqueezeBERT stock int8"]
    assert stock.startswith(
        "squeezebert-export baseline random:squeezebert-base out/stock-squeezebert --target onnx &&"
    )
    assert "--baseline out/stock-squeezebert --device adb:1A2B" in stock
    ours = missing["bert-base-uncased ours int8"]
    assert "squeezebert-export build random:bert-base out/bert --target onnx" in ours
    for command in missing.values():
        assert command.replace("&&", "&amp;&amp;") in page(content)


def test_a_runtime_that_was_not_measured_has_one_list_of_commands() -> None:
    text = flat(build_content(simulate(replace(RUN, entries=ENTRIES[:2]))))
    assert "No rung of this runtime is in this run" in text
    assert text.count("--target executorch --precision") == 2


def test_of_several_flavours_the_fastest_stands() -> None:
    other = {**OURS, "id": "e4", "label": "another flavour"}
    times = {**TIMES, "e4": 15.0}
    found = build_content(simulate(replace(RUN, entries=[*ENTRIES, other], milliseconds=times)))
    best = found.ladders[0].rungs[-1].entry
    assert best is not None
    assert best.label == "another flavour"


def test_models_of_another_size_are_not_passed_off_as_the_papers() -> None:
    small = entry("e2")
    small["bundle"]["model"]["layers"] = 2
    small["bundle"]["model"]["hidden_size"] = 64
    found = build_content(simulate(replace(RUN, entries=[STOCK_BERT, small])))
    assert "another size (2x64" in flat(found)
    assert "another size" not in flat(build_content(simulate(RUN)))


def test_an_emulated_ladder_is_of_instructions(content: Content) -> None:
    found = build_content(emulated(RUN, {"e1": [6_000_000_000], "e2": [500_000_000]}))
    text = flat(found)
    assert "ONNX Runtime: instructions per inference" in text
    assert "<b>12.00&times;</b> fewer instructions" in page(found)
    assert " ms" not in text
    assert "as fast [" not in text
    assert "instructions per inference" not in flat(content)


def test_a_run_without_samples_says_so() -> None:
    empty = build_content(simulate(replace(RUN, milliseconds={})))
    assert empty.ladders == ()
    assert "Nothing has been measured yet." in flat(empty)


def test_the_page_is_self_contained_and_fits_a_phone(content: Content) -> None:
    text = page(content)
    assert not re.findall(r"<script|<link|<img|@import|url\(|https?://", text)
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    assert "<table" not in text  # nothing to scroll sideways
