"""``python -m runtime_bench``: the same as ``squeezebert-bench``."""

from runtime_bench.entry import main

if __name__ == "__main__":
    raise SystemExit(main())
