"""Fixtures for the whole suite: real databases, free ports, where the documents are.

PostgreSQL runs from a folder of this test session, reachable by a Unix socket only, and ends with it.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import settings

from tests.support import order, ports, programs

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = REPOSITORY / "examples" / "documents"
CORPUS = REPOSITORY.parent / "shared" / "corpus"
settings.register_profile("suite", deadline=None)  # how long an example takes says how loaded the machine is
settings.load_profile("suite")
_SAID = "said"


class Failures:
    """Names each test that fails at once; why it does stands at the end of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._config.get_terminal_writer().line(f"\n{report.nodeid}: {report.when} failed")


def pytest_configure(config: pytest.Config) -> None:
    """A run in the background ignores SIGINT, and what it starts would too; the tests press Ctrl-C."""
    if "PYTEST_XDIST_WORKER" not in os.environ:  # the one process that hears of all tests
        config.pluginmanager.register(Failures(config))
        programs.lead()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # what collection makes stays: looking through it again and again for waste takes a quarter of its time


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before pytest-xdist hands them out."""
    order.arrange(items)


def pytest_collection_finish() -> None:
    """From here on there is waste again. The modules and items are none, and need not be looked through."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_report_header() -> list[str]:
    """Says over which documents this run goes."""
    corpus = f"{CORPUS.name}: {len(list(CORPUS.glob('*.pdf')))} documents" if CORPUS.is_dir() else "corpus: not here, examples alone"
    return [f"documents: examples: {len(list(EXAMPLES.glob('*.pdf')))}; {corpus}"]


@pytest.fixture
def passable() -> Iterator[Path]:
    """A folder that other accounts may pass through. pytest's own are not, and a second run of pytest closes them again."""
    with tempfile.TemporaryDirectory(prefix="vermilion-accounts-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """A function that prints text at the end of the run, in whichever process the test runs: what was counted, what was measured."""
    return lambda text: record_property(_SAID, text)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints what tests have said."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == _SAID:
                terminalreporter.write_line(f"{report.nodeid}\n{text}")


@pytest.fixture(scope="session")
def documents_folder() -> Path:
    """The folder that tests over many documents run on: the shared corpus where it is there, else our own examples."""
    return CORPUS if CORPUS.is_dir() else EXAMPLES


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that gives a port nobody listens on."""
    return ports.free_port


class PostgresqlServer:
    """One PostgreSQL server of this worker, with durable commits, on a Unix socket in its own folder."""

    def __init__(self) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        assert binaries, "PostgreSQL is not installed: run `make setup-test`"
        self._bin = binaries[-1].parent
        self.folder = Path(tempfile.mkdtemp(prefix="vmpg-", dir="/tmp"))
        self._given_back: list[str] = []
        # initdb refuses root: the server runs as the account that Debian's package made for it
        self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(self.folder, "postgres", "postgres")
        data = self.folder / "data"
        command: list[str | Path] = [*self._as_user, self._bin / "initdb", "-D", data, "--username=vermilion", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd="/tmp")
        self.start()

    def start(self) -> None:
        """Starts the server, at first or after ``halt``; returns when it answers."""
        self._process = subprocess.Popen(
            [
                *self._as_user,
                "setpriv",
                "--pdeathsig=INT",
                self._bin / "postgres",
                "-D",
                self.folder / "data",
                "-k",
                self.folder,
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=on",
                "-c",
                "synchronous_commit=on",
                "-c",
                "max_connections=200",
                # no checkpoints: they would write out, and wait for, databases of which nobody asks any more
                "-c",
                "checkpoint_timeout=1d",
                "-c",
                "max_wal_size=16GB",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/tmp",
        )
        self._wait()

    def url(self, database: str) -> str:
        """SQLAlchemy URL of a database here."""
        return f"postgresql+psycopg://vermilion@/{database}?host={self.folder}"

    def create_database(self) -> str:
        """A fresh, empty database's URL."""
        name = f"t{uuid.uuid4().hex}"
        with self._connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def take(self) -> str:
        """The URL of an empty database, which may have served before: emptying one takes a quarter of what making one takes."""
        with self._connect() as connection:
            unused = connection.execute(
                "SELECT datname FROM pg_database WHERE datallowconn AND datname NOT IN (SELECT datname FROM pg_stat_activity WHERE datname IS NOT NULL)"
            )
            names = {name for (name,) in unused}
        free = next((name for name in self._given_back if name in names), None)
        if free is None:
            return self.create_database()
        self._given_back.remove(free)
        with self._connect(free) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        return self.url(free)

    def give_back(self, url: str) -> None:
        """This database may be taken again, once nobody is connected to it any more."""
        self._given_back.append(urlsplit(url).path.removeprefix("/"))

    def halt(self) -> None:
        """Ends the server as a crash does: connections break, and what was not committed is gone."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def stop(self) -> None:
        """Ends the server and removes its folder. Nobody reads it again, so that it need not write everything out first."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.folder), user="vermilion", dbname=database, autocommit=True)

    def _wait(self) -> None:
        for _ in range(200):
            try:
                self._connect().close()
            except psycopg.OperationalError:
                try:
                    self._process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
                raise AssertionError("the PostgreSQL server ended at its start") from None
            else:
                return
        raise AssertionError("the PostgreSQL server did not come up")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server for this test worker."""
    server = PostgresqlServer()
    yield server
    server.stop()


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    url = postgresql_server.take()
    yield url
    postgresql_server.give_back(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a fresh database; a test that takes it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url
