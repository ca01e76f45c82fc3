"""The command line of ``squeezebert-export``."""

import argparse
from pathlib import Path

import exporter
from exporter.argument_parts import (
    add_command,
    add_model_options,
    add_seed,
    comma_counts,
    comma_names,
    positive_count,
)
from exporter.bundle_arguments import add_bundle_commands
from exporter.search_arguments import add_search_options, add_sensitivity

_EPILOG = """\
MODEL is a Hub id (squeezebert/squeezebert-mnli), a folder with config.json, weights and
tokenizer, example:intents or example:nli (small trained models that come with this project), or
random:squeezebert-base and random:bert-base (seeded weights, to measure speed).

exit codes: 0 done, 1 a check said no, 2 the input cannot be used, 130 interrupted
"""

_BUILD_EXAMPLES = """\
examples:
  squeezebert-export build example:intents out/intents
  squeezebert-export build squeezebert/squeezebert-mnli out/mnli --eval-data mnli_dev.tsv.gz
  squeezebert-export build ./my-model out/mine --labels negative,positive --precision fp32,int8
  squeezebert-export build ./my-model out/mine --target onnx,executorch --precision int8
  squeezebert-export build ./my-model out/mine --target coreml --precision fp16,int4 \\
      --flavour optimized,fixed_logits
  squeezebert-export build ./my-model out/mine --target coreml --precision w8a8 \\
      --calibration-data train.tsv
  squeezebert-export build ./my-model out/mine --budget 0.5 --eval-data dev.tsv
  squeezebert-export build ./my-model out/mine --budget 1 --smallest --eval-data dev.tsv \\
      --calibration-data train.txt
  squeezebert-export build ./my-model out/mine --dry-run

Run the same command again to continue after an interruption: finished artifacts are kept. The
evaluation file is tab-separated UTF-8 (.gz allowed) with a header: text and label, or premise,
hypothesis and label.
"""

_FLAVOURS = """\
precisions:
  fp32, fp16    onnx and executorch compute in fp32 (fp16: only weights are stored as fp16); coreml
                and the backends coreml and vulkan compute in fp16
  int8          int8 weights; onnx and executorch quantize activations as they come
  int4          int4 weights in blocks of 32 (coreml: iOS 18; onnx: computed as int8)
  mixed         onnx and executorch: every layer its own way, within a --budget
  palettized6, palettized4
                coreml: 6-bit indices into a table a weight, 4-bit ones into a table for a few rows
                (iOS 18)
  w8a8          coreml: int8 weights, int8 activations with ranges from --calibration-data

flavours:
  optimized   the fastest form (of coreml: laid out for the Neural Engine; texts of 32, 64, 128, 256
              or 512 tokens, or --lengths; the label and the probabilities beside the logits)
  portable    onnx: standard operators only
  buckets     executorch: a method for each of a few fixed lengths
  of coreml, joined with underscores in this order (sequence_fixed_logits):
  sequence    the plain layout (1, S, C), for CPU and GPU
  fixed       texts of 128 tokens, or --lengths N, only (runs on iOS 17)
  ranged      texts of any length up to the model's, or --lengths N (CPU and GPU, iOS 17)
  logits      no label and no probabilities
"""

_BASELINE_EXAMPLES = """\
examples:
  squeezebert-export baseline random:bert-base out/stock-bert
  squeezebert-export baseline example:intents out/stock-intents --target onnx,executorch

A baseline is what a user gets without this project. onnx: torch.onnx.export, then
quantize_dynamic. executorch: torch.export, lowered to XNNPACK, and the int8 recipe of its
documentation. Give it to squeezebert-bench with --baseline.
"""


def command_line() -> argparse.ArgumentParser:
    """The command line of ``squeezebert-export``; ``command`` names the command chosen."""
    parser = argparse.ArgumentParser(
        prog="squeezebert-export",
        description="Takes a SqueezeBERT or BERT checkpoint to verified artifacts for phones.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=exporter.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = add_command(
        commands,
        "build",
        "export a model into a bundle, proved and measured",
        f"{_BUILD_EXAMPLES}\n{_FLAVOURS}\n{_EPILOG}",
    )
    build.add_argument("model", metavar="MODEL", help="what to export, see below")
    build.add_argument("out", metavar="OUT", type=Path, help="folder of the bundle")
    build.add_argument(
        "--target",
        type=comma_names,
        default=("onnx",),
        help="onnx, executorch, coreml, with commas (default: onnx)",
    )
    build.add_argument(
        "--precision",
        type=comma_names,
        default=(),
        help="fp32, fp16, int8, int4, of coreml also palettized6, palettized4, w8a8, with commas: "
        "of every target those that it has (default: fp32,fp16,int8 for onnx, fp32,int8 for "
        "executorch, fp16,int8 for coreml)",
    )
    build.add_argument(
        "--flavour",
        type=comma_names,
        default=("optimized",),
        help="see below; with commas (default: optimized)",
    )
    build.add_argument(
        "--backend",
        type=comma_names,
        default=(),
        help="of executorch: xnnpack (CPU, any phone), coreml (iPhone), vulkan (GPU), with commas "
        "(default: xnnpack)",
    )
    build.add_argument(
        "--lengths",
        type=comma_counts,
        default=(),
        metavar="N,N",
        help="of coreml: the numbers of tokens that its packages take (default: see below)",
    )
    add_model_options(build)
    add_seed(build)
    build.add_argument(
        "--eval-data",
        type=Path,
        metavar="TSV",
        help="labelled data: an artifact that loses accuracy on it is refused",
    )
    build.add_argument(
        "--eval-limit",
        type=positive_count,
        metavar="N",
        help="use the first N examples (default: all)",
    )
    build.add_argument(
        "--calibration-data",
        type=Path,
        metavar="TSV",
        help="typical texts, tab-separated or one a line: w8a8 takes the ranges of its activations "
        "from them, and --budget what smoothing and the correction of 4-bit weights need",
    )
    build.add_argument(
        "--calibration-limit",
        type=positive_count,
        default=128,
        metavar="N",
        help="draw N of them (default: %(default)s)",
    )
    build.add_argument(
        "--calibration-seed",
        type=int,
        default=0,
        metavar="N",
        help="which ones: of the same seed always the same (default: %(default)s)",
    )
    add_search_options(build)
    build.add_argument("--force", action="store_true", help="rebuild what is up to date, too")
    build.add_argument(
        "--dry-run", action="store_true", help="say what would be done, write nothing"
    )

    add_sensitivity(commands, _EPILOG)
    add_bundle_commands(commands)

    baseline = add_command(
        commands,
        "baseline",
        "make a stock export to measure against",
        f"{_BASELINE_EXAMPLES}\n{_EPILOG}",
    )
    baseline.add_argument("model", metavar="MODEL", help="what to export, see below")
    baseline.add_argument("out", metavar="OUT", type=Path, help="folder of the bundle")
    baseline.add_argument(
        "--target",
        type=comma_names,
        default=("onnx",),
        help="onnx, executorch, or both, with commas (default: onnx)",
    )
    add_model_options(baseline)
    add_seed(baseline)
    return parser
