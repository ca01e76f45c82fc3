"""What counts as the cheapest of several artifacts, and which are built and judged."""

from dataclasses import replace

from exporter.search.confirming import AS_FAST, Confirmation, cheapest, safer
from exporter.search.found import Wish
from exporter.search.journal import Journal
from exporter.search.records import Records
from tests.exporter.search.made_up import Ticking, built, judgement, made_up
from tests.exporter.search.mixed_target import MixedTarget


def test_the_fastest_is_taken_where_times_can_be_told_apart():
    assert cheapest({"slow": built(1.0, 10), "fast": built(0.8, 30)}, smallest=False) == "fast"


def test_of_equally_fast_ones_the_smallest_is_taken():
    near = {"large": built(0.80, 30), "small": built(0.81, 10), "slow": built(1.0, 5)}
    assert cheapest(near, smallest=False) == "small"


def test_what_an_interval_tells_apart_is_not_equal():
    clear = {"large": built(0.800, 30, half=0.001), "small": built(0.810, 10, half=0.001)}
    assert cheapest(clear, smallest=False) == "large"


def test_a_wide_interval_makes_no_slower_one_equal():
    wide = {"large": built(0.8, 30, half=0.5), "small": built(0.8 * AS_FAST * 1.01, 10, half=0.5)}
    assert cheapest(wide, smallest=False) == "large"


def test_the_smallest_is_taken_and_of_equals_the_fastest():
    found = {"fast": built(0.5, 30), "slow": built(1.0, 10), "better": built(0.9, 10)}
    assert cheapest(found, smallest=True) == "better"


def test_a_refused_mix_is_followed_by_one_of_clearly_less_divergence():
    chain = {"mix 0": 0.0, "mix 1": 0.1, "mix 2": 0.69, "mix 3": 0.9, "mix 4": 1.0}
    assert safer(chain, "mix 4") == "mix 2"
    assert safer(chain, "mix 3") == "mix 1"
    assert safer(chain, "mix 1") is None
    assert safer(chain, "int8_tensor, tables int8") is None


class MadeUpShop:
    """Artifacts are names; those in ``refused`` lose everything."""

    def __init__(self, refused=()):
        self.refused, self.written, self.judged = refused, [], []

    def write(self, mix, _):
        (name,) = mix.methods
        self.written.append(name)
        return name

    def compare(self, paths, _):
        return {name: built(1.0, 1) for name in paths}

    def judge(self, path, _):
        self.judged.append(path)
        return judgement(50 if path in self.refused else 0, 0, 1000)


def confirmation(folder, shop, costs, clock, divergences=None):
    wish = Wish(0.01, smallest=False, seconds=60)
    spec = MixedTarget().artifacts(("mixed",), ("optimized",))[0]
    records = Records(Journal(folder / "journal"), "key", spec, wish)
    known = {name: made_up(name, cost) for name, cost in costs.items()}
    for name, divergence in (divergences or {}).items():
        known[name] = replace(known[name], divergence=divergence)
    return Confirmation(shop, records, known, wish, clock)


def test_with_time_all_that_may_do_are_built(tmp_path):
    shop, clock = MadeUpShop(), Ticking(1000)
    search = confirmation(tmp_path, shop, {"usual": 0, "fast": -2, "faster": -3}, clock)
    assert search.choose(["usual", "fast", "faster"], (), "usual")
    assert shop.written == ["faster", "fast", "usual"]
    assert not clock.cuts


def test_without_time_only_the_one_foreseen_to_be_the_cheapest_is_built(tmp_path):
    shop, clock = MadeUpShop(), Ticking(0)
    search = confirmation(tmp_path, shop, {"usual": 0, "fast": -2, "faster": -3}, clock)
    assert search.choose(["fast", "faster"], (), "usual") == "faster"
    assert shop.written == ["faster", "usual"]
    assert shop.judged == ["faster"]
    assert clock.cuts == ["all mixes that may keep the budget were built"]


def test_without_time_no_other_artifact_is_judged(tmp_path):
    shop, clock = MadeUpShop(refused=("fast", "faster")), Ticking(1)
    search = confirmation(tmp_path, shop, {"usual": 0, "fast": -2, "faster": -3}, clock)
    assert search.choose(["fast", "faster"], (), "usual") is None
    assert len(shop.judged) == 1
    assert clock.cuts == ["all mixes that may keep the budget were judged"]


def test_a_refused_mix_may_be_followed_by_the_usual_one(tmp_path):
    # Which is built then, to time others against, though it was no finalist.
    shop, chain = MadeUpShop(refused=("fast",)), ("fp32", "usual", "fast")
    costs = {"fp32": 5, "usual": 0, "fast": -2}
    search = confirmation(tmp_path, shop, costs, Ticking(1000), {"usual": 0.05, "fp32": 0.0})
    assert search.choose(["fast"], chain, "usual") == "usual"
    assert shop.judged == ["fast", "usual"]
