"""The code with which something is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sealcore.errors import Code, VermilionError


def code_of(call: Callable[[], object]) -> Code:
    """The code with which something is refused."""
    with pytest.raises(VermilionError) as refused:
        call()
    return refused.value.code
