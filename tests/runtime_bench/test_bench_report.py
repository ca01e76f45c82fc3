"""What every report must say, from one scripted run."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from runtime_bench.devices.base import BenchWarning
from runtime_bench.errors import InputError, RunnerError
from runtime_bench.header import run_record
from runtime_bench.plan import Settings, make_plan
from runtime_bench.report.base import choose_formats, formats
from runtime_bench.report.content import Content, build_content
from runtime_bench.results import ResultsWriter, read_results
from runtime_bench.schedule import execute

MakeBundle = Callable[..., Path]
OURS = "SqueezeBERT 2x16 ours int8"
STOCK = "BERT 2x16 stock fp32 (torch.onnx)"
BEST = "BERT 2x16 ours fp32"
SPEEDS = {"sb/onnx/model_int8.onnx": 1_000_000, "stock/onnx/model.onnx": 8_000_000}


@pytest.fixture
def plan(make_bundle: MakeBundle) -> Any:
    ours = make_bundle(
        "sb", artifacts=(("onnx/model_int8.onnx", "int8", "optimized"),), accuracy={"accuracy": 0.9}
    )
    stock = make_bundle(
        "stock", family="bert", recipe="stock", artifacts=(("onnx/model.onnx", "fp32", "stock"),)
    )
    best = make_bundle("best", family="bert")
    return make_plan(
        [str(ours)],
        baselines=[str(stock), str(best)],
        lengths=[8, 16],
        settings=Settings(blocks=6),
    )


@pytest.fixture
def write_run(plan: Any, scripted: Any, tmp_path: Path) -> Callable[..., Path]:
    def write(**faults: Any) -> Path:
        path = tmp_path / "results.jsonl"
        device = scripted(lambda address, now: SPEEDS.get(address, 4_000_000) + now % 3 * 1000)
        device.faults = faults.get("faults", {})
        with ResultsWriter(path, resume=False) as writer:
            writer.write(run_record(plan, device, ["squeezebert-bench", "run", "<&>"]))
            execute(plan, device, writer.write, lambda _: None)
        return path

    return write


@pytest.fixture
def content(write_run: Callable[..., Path]) -> Content:
    return build_content(read_results(write_run()))


def test_every_subject_is_compared_with_every_baseline_in_every_case(content: Content) -> None:
    assert content.baselines == (STOCK, BEST)
    assert [(case.length, case.threads) for case in content.cases] == [(8, 1), (16, 1)]
    for case in content.cases:
        assert [(row.subject, row.baseline) for row in case.ratios] == [
            (OURS, STOCK),
            (OURS, BEST),
        ]
        assert case.ratios[0].ratio.value == pytest.approx(8, rel=0.01)
        assert case.ratios[0].cpu_ratio.value == pytest.approx(8, rel=0.01)
        assert case.ratios[0].ratio.interval is not None
        assert [row.subject for row in case.ladder] == [OURS, BEST]
        assert {row.baseline for row in case.ladder} == {STOCK}


def test_the_share_of_peak_is_nominal_flops_over_the_measured_product(content: Content) -> None:
    case = content.cases[0]
    assert case.peak_gflops == pytest.approx(2 * 512 * 768 * 768 / 4.0e6, rel=0.01)
    row = case.rows[0]
    assert row.share_of_peak == pytest.approx(row.gflops / case.peak_gflops)
    projections, attention, feed_forward = (
        4 * 2 * 8 * 16 * 16 // 4,
        4 * 8 * 8 * 16,
        2 * 2 * 8 * 16 * 32 // 4,
    )
    head = 2 * 16 * 16 + 2 * 16 * 3
    flops = 2 * (projections + attention + feed_forward) + head
    assert row.gflops == pytest.approx(flops / 1.0e6, rel=0.01)


@pytest.mark.parametrize("name", ["terminal", "markdown", "html"])
def test_every_format_names_artifacts_baselines_cases_and_the_peak(
    content: Content, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")  # a label that is folded is not found
    (module,) = choose_formats([name])
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>|[│┃]", " ", module.render(content)))
    for label in (OURS, STOCK, BEST):
        assert label in text
    for phrase in ("8 tokens, 1 thread", "16 tokens, 1 thread", "GFLOP/s", "95 %", "90.0%"):
        assert phrase in text


@pytest.mark.parametrize("name", ["markdown", "html"])
def test_written_reports_carry_hashes_versions_method_and_weights(
    content: Content, name: str
) -> None:
    text = choose_formats([name])[0].render(content)
    for entry in content.entries:
        assert entry.sha256[:16] in text
    for phrase in ("seeded (untrained)", "runtime 1", "A B B A", "random:tiny", "not pinned"):
        assert phrase in text


class Links(HTMLParser):
    """Collects what a browser would fetch, and checks that ids are unique."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "data", "action") and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.append(value)


def test_the_page_fetches_nothing_and_runs_nothing(content: Content) -> None:
    page = choose_formats(["html"])[0].render(content)
    found = Links()
    found.feed(page)
    assert [link for link in found.links if not link.startswith("#")] == []
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert not {"script", "link", "iframe", "img"} & set(found.tags)
    assert found.tags.count("svg") == 3
    assert not re.findall(r"url\((?!#)|@import|<!DOCTYPE svg|<metadata", page)
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    # Drawn colours were all replaced: the style sheet decides, in light and dark.
    assert not re.findall(r"#0[1-7]0[1-7]0[1-7]", page)
    assert "prefers-color-scheme: dark" in page
    assert "&lt;&amp;&gt;" in page


def test_no_text_of_a_manifest_becomes_markup_or_a_formula(content: Content) -> None:
    attack = '"><script>alert(1)</script>$\\bad{$'
    texts = ("label", "source", "family", "recipe", "flavour", "precision", "path", "folder")
    first = replace(content.entries[0], sha256=attack, **dict.fromkeys(texts, attack))
    labels = {content.entries[0].label: attack}
    cases = tuple(
        replace(
            case,
            rows=tuple(
                replace(row, entry=first) if row.entry.id == first.id else row for row in case.rows
            ),
            ratios=tuple(
                replace(row, subject=labels.get(row.subject, row.subject)) for row in case.ratios
            ),
        )
        for case in content.cases
    )
    changed = replace(
        content,
        entries=(first, *content.entries[1:]),
        cases=cases,
        failures=(attack,),
        notices=(attack,),
        warnings=(BenchWarning("code", attack, attack),),
    )
    found = Links()
    found.feed(choose_formats(["html"])[0].render(changed))
    assert "script" not in found.tags
    assert found.tags.count("svg") == 3


def test_peak_memory_is_the_largest_of_all_blocks(write_run: Callable[..., Path]) -> None:
    path = write_run()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    # Neither the first block of its case nor the last.
    block = next(
        line
        for line in lines
        if (line["kind"], line.get("entry"), line.get("round")) == ("block", "e1", 2)
    )
    block["peak_rss_bytes"] = 999
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    row = build_content(read_results(path)).cases[0].rows[0]
    assert (row.peak_memory_bytes, row.model_memory_bytes) == (999, 989)


def test_the_page_is_the_same_each_time(content: Content) -> None:
    render = choose_formats(["html"])[0].render
    assert render(content) == render(content)


def test_a_failure_and_a_warning_are_shown_everywhere(
    write_run: Callable[..., Path], runner_error: RunnerError
) -> None:
    path = write_run(faults={("best/onnx/model.onnx", "block", 2): runner_error})
    found = build_content(read_results(path))
    assert not found.complete
    assert "SIGKILL" in found.failures[0]
    assert found.cases[0].rows[2].wall.blocks == 1
    warning = next(item for item in found.warnings if item.code == "few-blocks")
    assert isinstance(warning, BenchWarning)
    for module in formats().values():
        flat = re.sub(r"\s+", " ", module.render(found))
        assert "SIGKILL" in flat
        assert "too few common rounds" in flat
        assert warning.remedy in flat


def test_an_unfinished_run_has_a_report_that_says_so(write_run: Callable[..., Path]) -> None:
    path = write_run()
    lines = path.read_text().splitlines(keepends=True)
    for kept in (1, 5, len(lines) - 1):
        path.write_text("".join(lines[:kept]))
        found = build_content(read_results(path))
        assert not found.complete
        for module in formats().values():
            assert "not finished" in module.render(found)


def test_the_document_is_json_without_surprises(content: Content) -> None:
    document = json.loads(json.dumps(content.document(), allow_nan=False))
    assert document["schema"] == "squeezebert-report/1"
    ratio = document["cases"][0]["ratios"][0]
    assert ratio["baseline"] == STOCK
    assert ratio["ratio"]["interval"]["low"] <= 8 <= ratio["ratio"]["interval"]["high"] + 0.1


def test_a_format_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="no report format pdf"):
        choose_formats(["pdf"])
