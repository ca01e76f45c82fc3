"""``squeezebert-export``: the commands. Each is thin around a function of the Python API."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from exporter import rendering
from exporter.arguments import command_line
from exporter.errors import ExportError
from exporter.filesystem import explain_os_error
from exporter.progress import ConsoleProgress
from exporter.rendering_evaluation import show_evaluation

if TYPE_CHECKING:
    from exporter.mixing import Budget

INTERRUPTED = 130
_CHECK_FAILED = 1
_NOT_CHECKED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Errors are one line on standard error."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = command_line().parse_args(words)
    # The stream of now: what is silenced around a step must not silence the step's own line.
    errors = Console(file=sys.stderr)
    try:
        outcome = _COMMANDS[options.command](options, words, errors)
    except ExportError as error:
        return _fail(options, errors, error)
    except OSError as error:
        return _fail(options, errors, explain_os_error(error))
    except KeyboardInterrupt:
        _print(errors, "Interrupted. What was finished is kept: run the same command to continue.")
        return INTERRUPTED
    return outcome


def _fail(options: argparse.Namespace, errors: Console, error: ExportError) -> int:
    _print(errors, f"error: {error}")
    if options.json:
        details = {"message": error.message, "next_step": error.next_step}
        _print_json({"error": {**details, "exit_code": error.exit_code}})
    return error.exit_code


def _build(options: argparse.Namespace, words: list[str], errors: Console) -> int:
    from exporter.bundle import build

    result = build(
        options.model,
        options.out,
        targets=options.target,
        precisions=options.precision,
        flavours=options.flavour,
        backends=options.backend,
        lengths=options.lengths,
        task=options.task,
        labels=options.labels,
        eval_data=options.eval_data,
        eval_limit=options.eval_limit,
        calibration_data=options.calibration_data,
        calibration_limit=options.calibration_limit,
        calibration_seed=options.calibration_seed,
        budget=_budget(options),
        seed=options.seed,
        force=options.force,
        dry_run=options.dry_run,
        command=words,
        progress=ConsoleProgress(errors),
    )
    _show(options, result.as_dict(), lambda console: rendering.show_build(console, result))
    for path, checks in result.refused.items():
        for check in checks:
            _print(errors, f"error: {path} {check.failure}")
    return _CHECK_FAILED if result.refused else 0


def _budget(options: argparse.Namespace) -> "Budget | None":
    from exporter.errors import UserError
    from exporter.mixing import Budget

    if options.budget is None:
        if options.smallest or options.search_minutes is not None:
            option = "--smallest" if options.smallest else "--search-minutes"
            raise UserError(f"{option} needs a budget.", "Say how much may be lost: --budget 0.5")
        return None
    minutes = options.search_minutes
    if minutes is None:
        return Budget(options.budget, options.smallest)
    return Budget(options.budget, options.smallest, minutes)


def _verify(options: argparse.Namespace, _: list[str], errors: Console) -> int:
    from exporter.recheck import verify

    result = verify(
        options.bundle,
        source=options.source,
        calibration_data=options.calibration_data,
        progress=ConsoleProgress(errors),
    )
    _show(options, result.as_dict(), lambda console: rendering.show_verification(console, result))
    for path, report in result.reports.items():
        for check in report.failures:
            _print(errors, f"error: {path} {check.failure}")
    for path, cause in result.not_checked.items():
        _print(errors, f"error: {path} was not proved. {cause}")
    if result.failed:
        return _CHECK_FAILED
    return _NOT_CHECKED if result.not_checked else 0


def _evaluate(options: argparse.Namespace, _: list[str], errors: Console) -> int:
    from exporter.evaluation import evaluate

    result = evaluate(
        options.bundle,
        options.data,
        limit=options.limit,
        artifact=options.artifact,
        source=options.source,
        batch_size=options.batch_size,
        processes=options.processes or len(os.sched_getaffinity(0)),
        save=not options.no_save,
        progress=ConsoleProgress(errors),
    )
    _show(options, result.as_dict(), lambda console: show_evaluation(console, result))
    for path, check in result.checks.items():
        if not check.passed:
            _print(errors, f"error: {path} {check.failure}")
    return 0 if result.passed else _CHECK_FAILED


def _sensitivity(options: argparse.Namespace, _: list[str], errors: Console) -> int:
    from exporter.search.commands import sensitivity

    result = sensitivity(
        options.model,
        options.data,
        options.out,
        target=options.target,
        task=options.task,
        labels=options.labels,
        limit=options.limit,
        minutes=options.minutes,
        progress=ConsoleProgress(errors),
    )
    _show(options, result.document(), lambda console: _print(console, result.text()))
    return 0


def _predict(options: argparse.Namespace, _: list[str], __: Console) -> int:
    from exporter.prediction import predict

    result = predict(
        options.bundle,
        options.text,
        options.text_pair,
        artifact=options.artifact,
        tokenizer=options.tokenizer,
        ranges=options.ranges,
    )
    _show(options, result.as_dict(), lambda console: rendering.show_prediction(console, result))
    return 0


def _inspect(options: argparse.Namespace, _: list[str], __: Console) -> int:
    from exporter.inspection import inspect

    found = inspect(options.path)
    _show(options, found, lambda console: rendering.show_inspection(console, found))
    return 0


def _baseline(options: argparse.Namespace, words: list[str], errors: Console) -> int:
    from exporter.baselines import build_baseline
    from exporter.manifest_file import as_document

    manifest = build_baseline(
        options.model,
        options.out,
        targets=options.target,
        task=options.task,
        labels=options.labels,
        seed=options.seed,
        command=words,
        progress=ConsoleProgress(errors),
    )
    found = as_document(manifest)
    _show(options, found, lambda console: rendering.show_inspection(console, found))
    return 0


_COMMANDS: Mapping[str, Callable[[argparse.Namespace, list[str], Console], int]] = {
    "build": _build,
    "verify": _verify,
    "evaluate": _evaluate,
    "sensitivity": _sensitivity,
    "predict": _predict,
    "inspect": _inspect,
    "baseline": _baseline,
}


def _show(
    options: argparse.Namespace, document: dict[str, Any], draw: Callable[[Console], None]
) -> None:
    if options.json:
        _print_json(document)
    else:
        draw(Console())


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
