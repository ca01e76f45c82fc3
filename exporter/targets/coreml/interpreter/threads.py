"""One thread for numpy's products, which are many and small."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """Until it ends, numpy's BLAS library has one thread; then as many as before.

    Its threads wait for each other in a busy loop: where something else has one of the cores, they
    take several times as long together as one alone.
    """
    limits: AbstractContextManager[Any] = _libraries().limit(limits=1)
    return limits


@cache
def _libraries() -> Any:
    return ThreadpoolController().select(internal_api="openblas")
