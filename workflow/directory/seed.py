"""``python -m workflow.directory.seed --config FILE --seed seed.json``: the first units, people, clients and policies of an office.

The seed is ``{"units": [{code, name}], "people": [{id, name, unit, roles, public_key}], "clients": [{id, name, uri, unit}],
"policies": [{id, version, quorum, seal, action}]}``, each list and each optional member as in REST. What is there already stays as
it is, so the same seed may come again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, Engine

from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform import config, log
from sealcore.platform.db import write
from workflow.app import open_database
from workflow.delivery import events
from workflow.directory import schemas
from workflow.directory import store as directory_store
from workflow.directory.use_cases import check_key
from workflow.policies import schemas as policy_schemas
from workflow.policies import store as policy_store
from workflow.settings import WorkflowSettings
from workflow.web.fields import bytes_of

BY = "seed"


class Seed(BaseModel):
    """The file's content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    units: tuple[schemas.Unit, ...] = ()
    people: tuple[schemas.NewPerson, ...] = ()
    clients: tuple[schemas.NewClient, ...] = ()
    policies: tuple[policy_schemas.Policy, ...] = ()


def load(path: Path) -> Seed:
    """Reads a seed; raises CONFIGURATION_INVALID naming the member."""
    try:
        return Seed.model_validate_json(path.read_bytes())
    except OSError:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the seed {path.name} cannot be read") from None
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name}: {where}: {first['msg']}") from None


def plant(engine: Engine, seed: Seed, *, office_unit: str, clock: Clock) -> dict[str, int]:
    """Adds what is missing, all in one transaction; returns how many of each were added.

    Nothing is left out in silence: whatever cannot be added is named, all of it at once, and then nothing is (CONFIGURATION_INVALID).
    """
    now = int(clock.now().timestamp())
    faults: list[str] = []
    with write(engine) as connection:

        def put(event: str, subject: str, known: bool, add: Callable[[], None]) -> bool:
            if known:
                return False
            try:
                add()
            except VermilionError as fault:
                faults.append(f"{subject}: {fault.reason}")
                return False
            who = subject if event == "person.added" else ""
            events.record(connection, events.AUDIT, event, now, person=who, subject=subject, by=BY)
            return True

        def person(new: schemas.NewPerson) -> None:
            one = new.to_domain(office_unit)
            check_key(one.public_key)
            directory_store.add_person(connection, one)

        planted = {
            "units": sum(
                put("unit.added", one.code, directory_store.unit_exists(connection, one.code), partial(_unit, connection, one))
                for one in seed.units
            ),
            "people": sum(
                put("person.added", one.id or one.name, _is_person(connection, one), partial(person, one)) for one in seed.people
            ),
            "clients": sum(
                put("client.added", one.id or one.name, _is_client(connection, one), partial(_client, connection, one, office_unit))
                for one in seed.clients
            ),
            "policies": sum(
                put(
                    "policy.added",
                    f"{one.id}@{one.version}",
                    one.to_domain() in policy_store.policies(connection),
                    partial(_policy, connection, one),
                )
                for one in seed.policies
            ),
        }
        if faults:
            raise VermilionError(Code.CONFIGURATION_INVALID, f"the seed cannot be planted: {'; '.join(faults)}")
    return planted


def _unit(connection: Connection, new: schemas.Unit) -> None:
    directory_store.add_unit(connection, new.to_domain())


def _client(connection: Connection, new: schemas.NewClient, office_unit: str) -> None:
    directory_store.add_client(connection, new.to_domain(office_unit))


def _policy(connection: Connection, new: policy_schemas.Policy) -> None:
    policy_store.add(connection, new.to_domain())


def _is_person(connection: Connection, new: schemas.NewPerson) -> bool:
    """Whether the person is there: by the id or, where the seed leaves that to us, by the key."""
    if new.id is not None:
        return directory_store.find_person(connection, new.id) is not None
    return directory_store.holds_key(connection, bytes_of(new.public_key))


def _is_client(connection: Connection, new: schemas.NewClient) -> bool:
    """Whether the client is there: by the id or, where the seed leaves that to us, by the URI."""
    if new.id is not None:
        return directory_store.find_client(connection, new.id) is not None
    return new.uri is not None and directory_store.client_by_uri(connection, new.uri) is not None


def main(arguments: list[str] | None = None) -> int:
    """Prints the counts as JSON; exit code 1 with a logged reason when the seed cannot be planted."""
    parser = argparse.ArgumentParser(prog="python -m workflow.directory.seed", description="Puts the first units, people and clients in.")
    parser.add_argument("--config", required=True, type=Path, help="the workflow's TOML file")
    parser.add_argument("--seed", required=True, type=Path, help="the seed, JSON")
    given = parser.parse_args(arguments)
    log.configure("workflow-seed")
    try:
        settings = config.load(given.config, WorkflowSettings)
        engine = open_database(settings)
        counts = plant(engine, load(given.seed), office_unit=settings.office_unit, clock=SystemClock())
        engine.dispose()
    except VermilionError as fault:
        log.get("seed").error("cannot plant the seed", **fault.as_dict())
        return 1
    print(json.dumps(counts))  # noqa: T201  (the answer to the launcher)
    return 0


if __name__ == "__main__":
    sys.exit(main())
