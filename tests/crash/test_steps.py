"""Every step of a document's way, once: what the next request finds when the processes ended just there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from sealcore.errors import VermilionError
from tests.crash.failpoints import Act
from tests.crash.harness import WORKER_STEPS
from tests.crash.scene import House, Scene
from tests.signer.batches import COUNT, batch, everything_sealed_once
from tests.support.waiting import until

BEFORE_INTEND, AFTER_COMMIT = {"gated", "intend: rows written"}, {"committed", "answered"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def scene(request: pytest.FixtureRequest, house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A signer that the tests of this module share; each leaves it running."""
    folder = tmp_path_factory.mktemp("scene")
    url = (
        f"sqlite:///{folder / 'signer.db'}" if request.param == "sqlite" else request.getfixturevalue("postgresql_server").create_database()
    )
    made = Scene(folder / "scene", house, url)
    made.open_signer()
    yield made
    made.close()


def expected_attempts(step: str) -> int:
    """The attempt under which the use is sealed in the end."""
    return 1 if step in BEFORE_INTEND | AFTER_COMMIT else 2


@pytest.mark.parametrize("step", WORKER_STEPS)
def test_a_crash_after_any_step_and_the_same_request_again_seal_each_document_once(scene: Scene, step: str) -> None:
    station, approved = scene.station, batch(scene.office)
    scene.points.arm("signer", "worker", step, act=Act.KILL_ALL)
    with contextlib.suppress(VermilionError):  # at the last step the answers may be out already
        results = station.stream(approved.token, approved.items, a_message=COUNT)
        assert step == "answered", results.refused
    assert station.died() == -9
    station.forget_channels()
    scene.start()
    again = station.stream(approved.token, approved.items)
    everything_sealed_once(station, approved, again)
    assert {sealed.repeated for sealed in again.sealed.values()} == {step in AFTER_COMMIT}
    assert {sealed.attempts for sealed in again.sealed.values()} == {expected_attempts(step)}


@pytest.mark.parametrize("step", WORKER_STEPS)
def test_a_worker_that_dies_after_any_step_is_replaced_and_nobody_notices(scene: Scene, step: str) -> None:
    """The front hands its documents to another worker, which takes the uses over at once."""
    approved = batch(scene.office)
    scene.points.arm("signer", "worker", step)
    results = scene.station.stream(approved.token, approved.items, a_message=COUNT)
    until(lambda: scene.points.fired("signer") is not None)  # at the last step the answers are out already
    assert scene.was_killed(scene.points.fired("signer") or 0)
    everything_sealed_once(scene.station, approved, results)
    assert {sealed.attempts for sealed in results.sealed.values()} == {expected_attempts(step)}
