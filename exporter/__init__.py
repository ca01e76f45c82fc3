"""Takes a SqueezeBERT or BERT checkpoint to verified artifacts for phones."""

__version__ = "0.1.0"
