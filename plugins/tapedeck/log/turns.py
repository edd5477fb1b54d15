"""Messages without a sequence as they come from several sources, live: whose are handed out.

What `log.owners` judges with both sides in view is told here from what has come so far: the lowest source
that listens has its messages handed out at once; another's wait until that one has shown a time past them,
and are copies, or is known not to have listened, and then they are handed out. So while one that is lower
stands still the others' wait too, for as long as it may still have them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tapedeck.log.owners import pause_of
from tapedeck.log.signs import NO_BEAT
from tapedeck.message import Message

SPANS = 1000
"""So many times of listening are remembered of a source."""


@dataclass(slots=True)
class _Heard:
    """One source: since when it listens without a break, until when that is known, of which life."""

    since: int
    until: int
    life: int
    listens: bool


@dataclass(slots=True)
class Turns:
    """One partition. `margin` is the vendor's, ns; `most`: so many messages wait at most."""

    margin: int
    most: int
    newest: int = 0
    """The greatest time that any source has shown, UTC ns."""
    heard: dict[int, deque[_Heard]] = field(default_factory=dict)
    """By source, when it listened; the last may go on."""
    spoke: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    """By kind and symbol, when each source had a message last."""
    waiting: deque[tuple[str, Message]] = field(default_factory=deque)

    def sign(self, src: int, time: int, since: int, connected: bool, closing: bool) -> None:
        """A heartbeat or a change of the connection (`log.signs`)."""
        self.newest = max(self.newest, time)
        spans = self.heard.setdefault(src, deque(maxlen=SPANS))
        known = spans[-1] if spans else None
        if known is not None and time <= known.until:
            return  # it came before
        if since == NO_BEAT and connected:  # whatever was before, it was not connected
            if known is not None:
                known.listens = False
            spans.append(_Heard(time, time, NO_BEAT, True))
            return
        goes_on = known is not None and known.listens and time - known.until <= pause_of(self.margin)
        if known is None or not goes_on or not self._is_same_life(known, since):
            if known is not None:
                known.listens = False
            spans.append(_Heard(time, time, since, connected and not closing))
            return
        known.until = max(known.until, time)
        known.life = since if since != NO_BEAT else known.life
        known.listens = connected and not closing

    @staticmethod
    def _is_same_life(known: _Heard, since: int) -> bool:
        if since == NO_BEAT:
            return True
        return since == known.life if known.life != NO_BEAT else since <= known.since

    def message(self, kind: str, one: Message) -> Iterator[Message]:
        """A message without seq; gives those that are handed out now, itself where it is its turn."""
        self.newest = max(self.newest, one.ts_recv)
        self.spoke.setdefault((kind, one.symbol), {})[one.src] = one.ts_recv
        if not any(src < one.src and self._may_own(src, one) for src in self.heard):
            yield one
            return
        self.waiting.append((kind, one))
        if len(self.waiting) > self.most:
            yield self.waiting.popleft()[1]

    def due(self) -> Iterator[Message]:
        """Those of the waiting whose turn it has turned out to be; copies are let go."""
        while self.waiting:
            kind, one = self.waiting[0]
            lower = [src for src in self.heard if src < one.src]
            if any(self._owns(src, kind, one) for src in lower):
                self.waiting.popleft()
            elif any(self._may_yet_own(src, one) for src in lower):
                return
            else:
                yield self.waiting.popleft()[1]

    def _may_own(self, src: int, one: Message) -> bool:
        """Whether a source listened when a message came, by what is known, or may yet show that it did."""
        return self._listened(src, one.ts_recv) or self._may_yet_own(src, one)

    def _may_yet_own(self, src: int, one: Message) -> bool:
        known = self.heard[src][-1]
        return (
            known.listens and known.until < one.ts_recv and self.newest - known.until <= pause_of(self.margin)
        )

    def _listened(self, src: int, time: int) -> bool:
        return any(known.since <= time <= known.until for known in reversed(self.heard[src]))

    def _owns(self, src: int, kind: str, one: Message) -> bool:
        """Whether a source listened when a message came, and has messages of its symbol and kind."""
        spoke = self.spoke.get((kind, one.symbol), {}).get(src, -self.margin)
        return spoke >= one.ts_recv - self.margin and self._listened(src, one.ts_recv)
