"""Memory of the process and the machine."""

import gc
import sys

import pytest

from kinema.memory import collections_paused, free_memory, memory_in_use, most_memory_in_use, whole_memory


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say it")
def test_what_is_free_and_what_is_used_are_parts_of_what_is_there() -> None:
    whole = whole_memory()
    assert whole > 2**27
    assert 0 < free_memory() <= whole
    assert 2**20 < memory_in_use() <= whole
    assert memory_in_use() < 1.1 * most_memory_in_use()  # the two are not counted at the same moment


def test_garbage_is_looked_for_again_after_a_block_without_collections() -> None:
    with pytest.raises(ImportError, match="gc.isenabled\\(\\)=False"), collections_paused():
        raise ImportError(f"{gc.isenabled()=}")
    assert gc.isenabled()
    gc.disable()
    try:
        with collections_paused():
            pass
        assert not gc.isenabled()  # as the caller has it
    finally:
        gc.enable()
