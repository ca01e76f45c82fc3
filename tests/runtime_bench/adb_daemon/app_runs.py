"""Runs in the app that are troubled, and what is left of them."""

import json
from collections.abc import Callable

from runtime_bench.results import read_results

from . import app
from .bench import Bench
from .faults import CALL, COMMAND, Fault
from .phone import Phone

ROUNDS = 4
MORE = ("--blocks", str(ROUNDS), "--most-blocks", str(ROUNDS))
LOOK = "pidof"


def run(bench: Bench, *options: str) -> tuple[int, str]:
    return bench.run(*MORE, *options, device=f"app:{bench.phones[0].daemon.serial}")


def resume(bench: Bench) -> tuple[int, str]:
    """Plug the phone in again, well behaved, and go on."""
    phone = bench.phones[0]
    phone.faults.clear()
    for name in ("trouble", "denied", "refuses"):
        app.forget(phone, name)
    if not phone.daemon.listening:
        phone.daemon.plug_in()
    bench.server.connect(phone.daemon.serial)
    return run(bench, "--resume")


def complete(bench: Bench) -> bool:
    """Whether every round is there once, and the run has ended."""
    results = bench.results()
    rounds = [block.round for block in results.blocks]
    return rounds == list(range(ROUNDS)) and bool(results.ends) and not results.failures


def cleared(phone: Phone) -> bool:
    return app.left_behind(phone) == [] and phone.left_behind() == [] and phone.running() == []


def trouble(what: str, after: int = 2, moment: str = "") -> Callable[[Phone], object]:
    """The app is in trouble after some blocks."""
    told = json.dumps({"what": what, "after": after, "moment": moment})
    return lambda phone: (app.install(phone), app.write(phone, "trouble", told))


def when_told(bench: Bench, blocks: int, happens: Callable[[], object]) -> None:
    """At the first look at the app after so many blocks have come from the phone."""

    def look() -> None:
        if bench.out.exists() and len(read_results(bench.out).blocks) >= blocks:
            happens()

    bench.phones[0].faults.add(Fault(COMMAND, CALL, LOOK, None, call=look))
