"""Replay on a Mac: the same inputs in Core ML, compared with what the interpreter computed.

Beside the packages go golden inputs and outputs (``write_golden``) and the scripts that replay them
(``write_scripts``): ``python check_on_mac.py`` there is all that a Mac's owner has to do. The
scripts are files of this package, and import nothing of it.
"""

from exporter.targets.coreml.replay.golden import golden_cases, golden_path, write_golden
from exporter.targets.coreml.replay.scripts import SCRIPTS, write_scripts

__all__ = ["SCRIPTS", "golden_cases", "golden_path", "write_golden", "write_scripts"]
