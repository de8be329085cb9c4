"""The suite itself: tests that share something dear, or would disturb each other, run on one worker."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("kept together")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    """pytest-xdist names the group at the end of a test's id; where another pytest hides it, each test goes anywhere."""
    assert ("PYTEST_XDIST_WORKER" in os.environ) == request.node.nodeid.endswith("@kept together")
