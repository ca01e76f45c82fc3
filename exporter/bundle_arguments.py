"""The arguments of the commands that read a bundle: verify, evaluate, predict and inspect."""

from pathlib import Path
from typing import Any

from exporter.argument_parts import add_command, add_source, positive_count

_VERIFY_EXAMPLES = """\
examples:
  squeezebert-export verify out/intents
  squeezebert-export verify out/mine --source ./my-model
  squeezebert-export verify out/mine --calibration-data train.tsv

exit codes: 0 all is proved, 1 a proof failed, 2 an input is missing or cannot be used
"""

_EVALUATE_EXAMPLES = """\
examples:
  squeezebert-export evaluate out/intents --data clinc_test.tsv.gz
  squeezebert-export evaluate out/mnli --data dev_matched.tsv --processes 4
  squeezebert-export evaluate out/intents --data clinc_test.tsv.gz --limit 500 \\
      --artifact onnx/model_int8.onnx

The file is tab-separated UTF-8 (.gz allowed) with a header that names its columns, in any order:
text and label, or premise, hypothesis and label; also as GLUE ships MNLI (sentence1, sentence2,
gold_label; lines with the label - are skipped). Labels are the model's names.

What was measured on the whole file goes into the bundle's manifest and model card. After an
interruption, run the same command again: finished parts are kept in BUNDLE.evaluation until then.

int8 artifacts run one example at a time, as on a phone: in ONNX their activations take their range
from the whole batch, so that an example's answer would depend on its neighbours.
"""

_PREDICT_EXAMPLES = """\
examples:
  squeezebert-export predict out/intents --text "wake me at six"
  squeezebert-export predict out/mnli --text "A man sleeps." --text-pair "Nobody is awake."
  squeezebert-export predict out/qa --text "Who wrote it?" --text-pair "Ann wrote the book."
  squeezebert-export predict out/mlm --text "Paris is the [MASK] of France."
  squeezebert-export predict out/mnli/coreml/model_fp16.mlpackage --text "wake me at six"
  squeezebert-export predict model_int8.mlpackage --tokenizer ./my-model --text "wake me at six"
"""

_INSPECT_EXAMPLES = """\
examples:
  squeezebert-export inspect out/intents
  squeezebert-export inspect out/intents/onnx/model_int8.onnx
"""


def add_bundle_commands(commands: Any) -> None:
    """Add them to the subparsers ``commands``."""
    verify = add_command(commands, "verify", "prove again what is in a bundle", _VERIFY_EXAMPLES)
    verify.add_argument("bundle", metavar="BUNDLE", type=Path)
    add_source(verify)
    verify.add_argument(
        "--calibration-data",
        type=Path,
        metavar="TSV",
        help="the texts that w8a8 was calibrated on",
    )

    evaluate = add_command(
        commands, "evaluate", "measure accuracy on labelled data", _EVALUATE_EXAMPLES
    )
    evaluate.add_argument("bundle", metavar="BUNDLE", type=Path)
    evaluate.add_argument("--data", type=Path, required=True, metavar="TSV", help="labelled data")
    evaluate.add_argument(
        "--limit", type=positive_count, metavar="N", help="use the first N examples (not saved)"
    )
    evaluate.add_argument(
        "--artifact", metavar="PATH", help="only this one, such as onnx/model.onnx"
    )
    evaluate.add_argument(
        "--processes",
        type=positive_count,
        metavar="N",
        help="share the examples out among N processes (default: the cores there are); the numbers "
        "are the same for every N",
    )
    evaluate.add_argument(
        "--batch-size",
        type=positive_count,
        metavar="N",
        help="examples in one run (default: 16 for fp32 and fp16, otherwise 1; others are not "
        "saved)",
    )
    evaluate.add_argument(
        "--no-save",
        action="store_true",
        help="leave the bundle as it is: do not write the results into its manifest and card",
    )
    add_source(evaluate)

    predict = add_command(commands, "predict", "run a text through it", _PREDICT_EXAMPLES)
    predict.add_argument("bundle", metavar="BUNDLE|ARTIFACT", type=Path)
    predict.add_argument("--text", required=True, help="the text (the question, the premise)")
    predict.add_argument("--text-pair", help="the second text (the context, the hypothesis)")
    predict.add_argument(
        "--artifact", metavar="PATH", help="such as onnx/model_int8.onnx (default: the first)"
    )
    predict.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FOLDER",
        help="of an artifact alone: the folder of the model's tokenizer",
    )
    predict.add_argument(
        "--ranges",
        action="store_true",
        help="of a CoreML package: how far the values on the way are from the end of fp16",
    )

    inspect = add_command(
        commands, "inspect", "say what a bundle or an artifact holds", _INSPECT_EXAMPLES
    )
    inspect.add_argument("path", metavar="BUNDLE|FILE", type=Path)
