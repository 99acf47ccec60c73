"""Memory of the process and the machine."""

import sys

import pytest

from kinema.memory import free_memory, memory_in_use, most_memory_in_use, whole_memory


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say it")
def test_what_is_free_and_what_is_used_are_parts_of_what_is_there() -> None:
    whole = whole_memory()
    assert whole > 2**27
    assert 0 < free_memory() <= whole
    assert 2**20 < memory_in_use() <= whole
    assert memory_in_use() < 1.1 * most_memory_in_use()  # the two are not counted at the same moment
