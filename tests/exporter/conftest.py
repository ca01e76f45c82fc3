"""What the tests of all rooms share; puts this folder (``small_models``) on the import path."""

import gc
from collections.abc import Iterator

import pytest
import torch
from small_programs import Programs, remembered_programs


@pytest.fixture(scope="session")
def quick() -> Iterator[None]:
    """One thread, because more only wait for each other on tiny models; and collections of garbage
    (the gate asks for one) that pass over everything imported so far."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Small ExecuTorch artifacts: lowering one takes seconds, so tests share them."""
    return remembered_programs(lambda: tmp_path_factory.mktemp("program"))
