"""Helpers live in processes of their own, and none outlives its parent's use."""

from __future__ import annotations

import os

import psutil
import pytest

from benchmarks.remote import Remote, RemoteError
from tests.benchmarks.helpers import Echo


def test_a_helper_answers_from_another_process_and_ends_when_closed() -> None:
    with Remote(Echo, "ha") as echo:
        assert echo.call("say", 3) == "hahaha"
        pid = echo.call("pid")
        assert pid == echo.pid != os.getpid()
    assert not psutil.pid_exists(pid)


def test_a_failure_comes_back_with_its_own_words_and_the_helper_goes_on() -> None:
    with Remote(Echo, "ha") as echo:
        with pytest.raises(RemoteError, match="ValueError: as asked"):
            echo.call("fail")
        assert echo.call("say", 1) == "ha"


def test_a_helper_that_cannot_begin_says_why() -> None:
    with pytest.raises(RemoteError, match="no such thing"):
        Remote(Echo, "refuse")


def test_a_helper_that_vanishes_is_noticed() -> None:
    with Remote(Echo, "ha") as echo, pytest.raises(RemoteError, match="ended by itself"):
        echo.call("vanish")
