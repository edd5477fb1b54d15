"""The Dockerfile's own lines, carried out one by one in a folder that stands for the image's root."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.compose import DOCKER
from tests.servers import ROOT

_HIDDEN = shutil.ignore_patterns("__pycache__", "_tape.so")


@dataclass
class Image:
    """What the build left: files under `root`, the variables that its containers get, its entry point."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)

    def inside(self, text: str) -> str:
        """A text that names places of the image, with the folder put before them."""
        return re.sub(r"(?<![\w/.])/(opt/tapedeck|var/lib/tapedeck|src)\b", rf"{self.root}/\1", text)


def build(root: Path) -> Image:
    """Carry out every COPY, ENV and ENTRYPOINT, and each RUN of docker/build.sh; system packages and users
    are this machine's."""
    image, context, stage = Image(root), _context(root / "context"), 0
    for line in _instructions((DOCKER / "Dockerfile").read_text()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stage += 1
        elif word == "COPY" and "--from" not in rest:
            *sources, to = rest.split()
            _copy(
                [context / one for one in sources],
                Path(image.inside(to if to[0] == "/" else f"/src/{to}")),
                to,
            )
        elif word == "RUN" and rest.startswith("docker/build.sh"):
            done = subprocess.run(
                shlex.split(image.inside(rest)), cwd=root / "src", env=_bare(),
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
        elif word == "ENV":
            for one in shlex.split(rest):
                name, _, value = one.partition("=")
                image.environ[name] = image.inside(value).replace("$PATH", os.environ["PATH"])
        elif word == "ENTRYPOINT":
            image.entrypoint = [image.inside(one) for one in re.findall(r'"([^"]+)"', rest)]
    assert stage == 2
    return image


def _context(place: Path) -> Path:
    """The files that Dockerfile.dockerignore lets into the build."""
    for line in (DOCKER / "Dockerfile.dockerignore").read_text().split():
        if line.startswith("!"):
            source, to = ROOT / line[1:], place / line[1:]
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, to, ignore=_HIDDEN) if source.is_dir() else shutil.copy(source, to)
    return place


def _copy(sources: list[Path], to: Path, as_written: str) -> None:
    for source in sources:
        if source.is_dir():  # its contents
            shutil.copytree(source, to, dirs_exist_ok=True)
        else:
            into = to / source.name if as_written.endswith("/") else to
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, into)


def _instructions(text: str) -> list[str]:
    """One a line, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [" ".join(line.split()) for line in lines.replace("\\\n", " ").splitlines() if line.strip()]


def _bare() -> dict[str, str]:
    """An environment that knows nothing of this checkout's."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TAPEDECK", "VIRTUAL_ENV"))
    }
    return {
        **kept,
        "PATH": os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if ".venv" not in p),
    }
