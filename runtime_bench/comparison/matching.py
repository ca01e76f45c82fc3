"""Which artifact of one run is the same thing as which artifact of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime_bench.results import Results

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """An artifact in two runs. ``label`` names it, or both where the names differ."""

    before: Entry
    after: Entry

    @property
    def label(self) -> str:
        before, after = str(self.before["label"]), str(self.after["label"])
        return before if before == after else f"{before} -> {after}"

    @property
    def alike(self) -> bool:
        """Whether both are one artifact, however often it was built."""
        return _key(self.before) == _key(self.after)

    @property
    def same_file(self) -> bool:
        """Whether both runs measured the same bytes."""
        return bool(self.before["artifact"]["sha256"] == self.after["artifact"]["sha256"])


@dataclass(frozen=True)
class Matching:
    """``pairs`` in the order of the earlier run; the artifacts that found no partner."""

    pairs: tuple[Pair, ...]
    only_before: tuple[Entry, ...]
    only_after: tuple[Entry, ...]


def match_entries(before: Results, after: Results, *, alike: bool = False) -> Matching:
    """Pairs the artifacts of two runs.

    Two are one when model source, target, path, precision, flavour and recipe agree; where a run
    has several of those, the name of the bundle's folder must agree, too, and after that the roles.
    Where each run has one subject and these found no partner, they are a pair unless only what is
    ``alike`` is asked for: another path or recipe is then what the user wants compared.
    """
    ones, others = _artifacts(before), _artifacts(after)
    partners = ((one, _partner(one, ones, others)) for one in ones)
    pairs = [Pair(one, partner) for one, partner in partners if partner is not None]
    only_before = [one for one in ones if one["id"] not in {pair.before["id"] for pair in pairs}]
    only_after = [one for one in others if one["id"] not in {pair.after["id"] for pair in pairs}]
    subject, counterpart = _only_subject(ones), _only_subject(others)
    if not alike and subject in only_before and counterpart in only_after:
        pairs.insert(0, Pair(subject, counterpart))
        only_before.remove(subject)
        only_after.remove(counterpart)
    return Matching(tuple(pairs), tuple(only_before), tuple(only_after))


def _partner(one: Entry, ones: Sequence[Entry], others: Sequence[Entry]) -> Entry | None:
    """The one of ``others`` that is the same thing as ``one``; None where there is no such one."""
    for key in (_key, _key_in_folder, _key_in_role):
        rivals = [entry for entry in ones if key(entry) == key(one)]
        fitting = [entry for entry in others if key(entry) == key(one)]
        if len(rivals) == len(fitting) == 1:
            return fitting[0]
    return None


def _artifacts(results: Results) -> list[Entry]:
    return [entry for entry in results.run.entries if entry["bundle"]]


def _only_subject(entries: Sequence[Entry]) -> Entry:
    """The one subject of a run; an empty entry where there is none, or more than one."""
    subjects = [entry for entry in entries if "subject" in entry["roles"]]
    return subjects[0] if len(subjects) == 1 else {}


def _key(entry: Entry) -> tuple[str, ...]:
    bundle, artifact = entry["bundle"], entry["artifact"]
    return (
        bundle["model"]["source"],
        bundle["recipe"],
        entry["target"],
        *(artifact[name] for name in ("path", "precision", "flavour")),
    )


def _key_in_folder(entry: Entry) -> tuple[str, ...]:
    return (*_key(entry), str(entry["bundle"]["folder"]))


def _key_in_role(entry: Entry) -> tuple[str, ...]:
    return (*_key_in_folder(entry), *sorted(entry["roles"]))
