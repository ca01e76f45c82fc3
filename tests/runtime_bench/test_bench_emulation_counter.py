"""The counter plugin: exact totals and classes, with one thread and with several."""

import shutil
from pathlib import Path

import pytest
from emulated_programs import build, needs_emulator, run

from runtime_bench.emulation.profiles import PROFILES
from runtime_bench.emulation.runner import read_phases
from runtime_bench.emulation.set_up import PLUGIN_SOURCES, build_plugin
from runtime_bench.native import places

pytestmark = needs_emulator

MARK_INSTRUCTIONS = 5
# What a phase counts beside its body: the five instructions that set the mark at its end.
ASSEMBLY = """
.arch armv8.6-a+i8mm+fp16+dotprod
.macro mark number
    movz x0, #0x4245
    movk x0, #0x5351, lsl #16
    mov  x1, #\\number
    mov  x8, #141
    svc  #0
.endm
.global _start
_start:
    mark 2
    mov  x9, #{rounds}
1:  {body}
    subs x9, x9, #1
    b.ne 1b
    mark 3
    mov  x0, #0
    mov  x8, #94
    svc  #0
"""
BODIES = {
    "sdot v0.4s, v1.16b, v2.16b": "dot",
    "udot v0.2s, v1.8b, v2.4b[3]": "dot",
    "usdot v0.4s, v1.16b, v2.16b": "dot",
    "sudot v0.4s, v1.16b, v2.4b[1]": "dot",
    "smmla v0.4s, v1.16b, v2.16b": "matrix",
    "ummla v0.4s, v1.16b, v2.16b": "matrix",
    "usmmla v0.4s, v1.16b, v2.16b": "matrix",
    "fmla v0.4s, v1.4s, v2.4s": "fmla",
    "fmla v0.2d, v1.2d, v2.d[1]": "fmla",
    "fmla v0.8h, v1.8h, v2.8h": "fmla",
    "fmla s0, s1, v2.s[3]": "fmla",
    "fmadd s0, s1, s2, s3": "other",
    "fmls v0.4s, v1.4s, v2.4s": "other",
    "mul v0.4s, v1.4s, v2.4s": "other",
}
THREADS, ROUNDS = 4, 200_000
THREADED = f"""
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
static pthread_barrier_t start;
static void *work(void *unused)
{{
    pthread_barrier_wait(&start);
    for (int i = 0; i < {ROUNDS}; i++)
        __asm__ volatile("sdot v0.4s, v1.16b, v2.16b" ::: "v0");
    return unused;
}}
int main(void)
{{
    pthread_t threads[{THREADS}];
    pthread_barrier_init(&start, NULL, {THREADS});
    syscall(SYS_getpriority, 0x53514245, 2);
    for (int i = 0; i < {THREADS}; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < {THREADS}; i++)
        pthread_join(threads[i], NULL);
    syscall(SYS_getpriority, 0x53514245, 3);
    return 0;
}}
"""


def counted(program: Path, counts: Path) -> dict[str, int]:
    """What one phase of ``program`` counts on the profile that has every instruction."""
    result = run(PROFILES["i8mm"], program, counts)
    assert result.returncode == 0, result.stderr
    (phase,) = read_phases(counts.read_text(encoding="ascii"))
    assert phase.name == "load"
    return dict(phase.counts)


@pytest.mark.parametrize(("body", "name"), BODIES.items())
def test_a_known_program_is_counted_exactly(body: str, name: str, tmp_path: Path) -> None:
    rounds = 1000
    source = ASSEMBLY.format(rounds=rounds, body=body)
    program = build(source, tmp_path / "program", "-nostdlib", "-static")
    total = 1 + 3 * rounds + MARK_INSTRUCTIONS
    expected = {"total": total, "dot": 0, "matrix": 0, "fmla": 0, "other": 0}
    expected["other"] = total
    if name != "other":
        expected[name] = rounds
        expected["other"] -= rounds
    assert counted(program, tmp_path / "counts") == expected


def test_the_threads_of_a_process_are_summed_up(tmp_path: Path) -> None:
    program = build(
        THREADED, tmp_path / "program", "-static", "-pthread", "-march=armv8.2-a+dotprod"
    )
    for attempt in range(3):
        assert counted(program, tmp_path / f"counts{attempt}")["dot"] == THREADS * ROUNDS


def test_a_plugin_with_a_wrong_mask_counts_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "plugin"
    shutil.copytree(PLUGIN_SOURCES, sources)
    header = (sources / "classes.h").read_text(encoding="ascii")
    assert "0x0e809400u, DOT" in header
    (sources / "classes.h").write_text(
        header.replace("0x0e809400u, DOT", "0x0e809000u, DOT"), encoding="ascii"
    )
    wrong = build_plugin(tmp_path / "wrong.so", sources)
    source = ASSEMBLY.format(rounds=10, body="sdot v0.4s, v1.16b, v2.16b")
    program = build(source, tmp_path / "program", "-nostdlib", "-static")
    assert counted(program, tmp_path / "right")["dot"] == 10
    monkeypatch.setattr(places, "plugin", lambda: wrong)
    assert counted(program, tmp_path / "wrong")["dot"] == 0


def test_only_our_marks_are_marks(tmp_path: Path) -> None:
    other = ASSEMBLY.format(rounds=1, body="nop").replace("#0x4245", "#0x4246")
    program = build(other, tmp_path / "program", "-nostdlib", "-static")
    assert run(PROFILES["i8mm"], program, tmp_path / "counts").returncode == 0
    assert (tmp_path / "counts").read_text(encoding="ascii") == ""
