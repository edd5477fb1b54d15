"""How far a part of a job has come, kept where whoever is started in its place finds it."""

from __future__ import annotations


class Checkpoint:
    """Keeps nothing: the part is begun anew. That of `tapedeck.airflow.checkpoint` outlives a killed task.

    A part that is lost with its checkpoint is only done again, so keeping one never fails a job.
    """

    def load(self) -> bytes:
        """What was saved last, empty where nothing was."""
        return b""

    def save(self, state: bytes) -> None:
        """Keep this in place of what was saved before."""

    def clear(self) -> None:
        """The part is done: forget it, so that one who does it again looks at all of it."""
