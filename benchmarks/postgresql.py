"""A PostgreSQL cluster of this run: its own folder, reachable by a Unix socket only, durable, gone at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

START_S, STOP_S = 30.0, 30.0
SETTINGS = ("listen_addresses=", "fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_connections=100")


class Cluster:
    """Use it as a context manager. PostgreSQL refuses root: the server then runs as the account of Debian's package."""

    def __enter__(self) -> Cluster:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not programs:
            raise FileNotFoundError("PostgreSQL is not installed: run `make bench`, whose setup installs it")
        self._programs = programs[-1].parent
        self._folder = Path(tempfile.mkdtemp(prefix="vermilion-bench-pg-"))  # a socket's path must be short
        self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if self._user:
            shutil.chown(self._folder, "postgres", "postgres")
        try:
            self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_fault: object) -> None:
        self._process.send_signal(signal.SIGINT)  # "fast shutdown"
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def database(self, name: str) -> str:
        """Makes an empty database; its SQLAlchemy URL."""
        with self._connect() as connection:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
        return f"postgresql+psycopg://vermilion@/{name}?host={self._folder}"

    def _start(self) -> None:
        data = self._folder / "data"
        initdb: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            data,
            "--username=vermilion",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]
        subprocess.run([*self._user, *initdb], check=True, capture_output=True, cwd="/")
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        server: list[str | Path] = ["setpriv", "--pdeathsig=INT", self._programs / "postgres", "-D", data, "-k", self._folder, *settings]
        self._process = subprocess.Popen(
            [*self._user, *server], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True
        )
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)
            else:
                return

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self._folder), user="vermilion", dbname="postgres", autocommit=True)
