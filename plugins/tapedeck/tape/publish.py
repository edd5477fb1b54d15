"""The publisher: raw tape to Kafka, resuming where Kafka has acknowledged (DESIGN §6)."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import structs

from tapedeck import metrics, vendors
from tapedeck.clock import Clock
from tapedeck.errors import Mismatch, Unavailable
from tapedeck.log import client, meta, quarantine, topics
from tapedeck.log.meta import Life, TopicPin
from tapedeck.log.produce import Outbox, Target, value_limits
from tapedeck.log.watching import Identity, MetaChanges
from tapedeck.metrics import Show, unheard
from tapedeck.settings import Settings
from tapedeck.slices import format_time
from tapedeck.tape import alone, lock, meeting, moving, position, retention
from tapedeck.tape.canonical import Canonical
from tapedeck.tape.ending import Ending
from tapedeck.tape.follow import Chunk, Follower
from tapedeck.tape.latency import Latency
from tapedeck.tape.lines import Lines
from tapedeck.tape.position import Lane, Ledger, Meeting, Position
from tapedeck.tape.segment import Place, heartbeat_of, segments, stamp_of
from tapedeck.tape.share import Share
from tapedeck.tape.skew import Skew

AHEAD = 50 * 60 * 10**9
"""Lines stamped further ahead of the wall clock are held: Kafka refuses an hour, and the batch with it."""
SAVE_SECONDS = 1.0
IDENTITY_SECONDS = 5.0
PRUNE_SECONDS = 60.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.004
RETRY_SECONDS = (0.5, 10.0)
LOCK_SECONDS = 30.0
"""How long a publisher waits for one before it that is just ending, which takes at most half of that."""
ALARM_SECONDS = 60.0
LOOK_SECONDS, LONG_SECONDS = 0.1, 15.0
"""Between two looks whether another publisher of this tape is as far as this one needs it, and until it is
told that it is not."""
MOST_ALONE = 64
"""So many lines are read by themselves, where the compiled reader knows none, before it is asked again."""

Say = Callable[[str], None]


class _GaveUp(Exception):
    """It was time to end and Kafka still did not take the rest."""


class _Moved(Exception):
    """The vendor has grown: publishing goes on in another topic."""


def publish(
    settings: Settings,
    vendor: str,
    src: int,
    ending: Ending,
    warn: Say,
    clock: Clock | None = None,
    show: Show = unheard,
    part: int = 0,
) -> None:
    """Publish the collector's tape from where Kafka has acknowledged it, until `ending` and the tape's end;
    of several publishers (`vendors.V.publishers`) the share of this `part`.

    While Kafka is away it waits: the tape grows, memory does not. `show` is told each second how it is.
    Raises Mismatch for topics or a tape that are not the expected ones, BadInput where another
    publisher works on this tape, or one of this number elsewhere.
    """
    folder, share = settings.tape_dir(vendor, src), Share(part, settings.vendor(vendor).publishers)
    with lock.held(folder, share.role, LOCK_SECONDS):
        pause, held = RETRY_SECONDS[0], "it has not reached Kafka yet"
        while True:
            began = time.monotonic()
            show(held, {})
            try:
                session = _Session(settings, vendor, src, share, ending, warn, clock or Clock(), show)
                try:
                    session.run()
                finally:
                    session.close()
                return
            except Unavailable as e:
                held = str(e)
                warn(held)
                show(held, {})
            except _GaveUp:
                pass
            except _Moved:
                continue
            if ending.asked():
                _tell_rest(settings, vendor, src, warn)
                return
            pause = RETRY_SECONDS[0] if time.monotonic() - began > RETRY_SECONDS[1] else pause
            ending.sleep(pause)
            pause = min(pause * 2, RETRY_SECONDS[1])


def _tell_rest(settings: Settings, vendor: str, src: int, warn: Say) -> None:
    stamp = position.last_stamp(settings.tape_dir(vendor, src))
    since = f"what was received after {format_time(stamp)}" if stamp else "all that was received"
    warn(
        f"Kafka has not acknowledged everything: {since} remains on the tape "
        f"{settings.tape_dir(vendor, src)}, and the next collector publishes it first"
    )


class _Session:
    """One producer's time: from the position on file until it ends or something fails."""

    def __init__(
        self,
        settings: Settings,
        vendor: str,
        src: int,
        share: Share,
        ending: Ending,
        warn: Say,
        clock: Clock,
        show: Show,
    ) -> None:
        self._settings, self._vendor, self._src, self._share = settings, vendor, src, share
        self._folder = settings.tape_dir(vendor, src)
        self._ending, self._warn, self._clock, self._show = ending, warn, clock, show
        self._latency, self._holds, self._held = Latency(), 0, ""
        self._skew = Skew(vendors.get(vendor))
        known = topics.ensure(settings, vendor)
        self._changes = MetaChanges(settings)
        self._know(meta.read(settings))
        found = position.load(self._folder)
        where = f"{self._folder / position.FILE}{self._beside}"
        self._pin = moving.begun_in(known.live, self._own, found, where)
        mine = share.mine(self._pin)
        served = self._served(found)
        first = min(
            (lane for lane, own in zip(served, mine, strict=True) if own), key=lambda lane: lane.place
        )
        self._lives = self._here()
        for pin in known.live:
            alone.check(settings, pin, [life for life in self._own if life.topic_id == pin.id], self._folder)
        limits = value_limits(settings, [self._pin.name, known.quarantine.name])
        targets = [Target(self._pin.name, p) for p in range(self._pin.partitions)]
        targets.append(Target(known.quarantine.name, quarantine.lane_of(known.quarantine, src)))
        self._identity = Identity(settings, self._pin.name, self._pin.id)
        self._outbox = Outbox(settings, targets, self._wait)
        self._ledger = Ledger(served, first.stamp, mine)
        self._lines = Lines(
            vendors.get(vendor), src, served,
            (limits[self._pin.name], limits[known.quarantine.name]), first.stamp, mine,
        )  # fmt: skip
        self._canonical: Canonical | None = None
        if reader := vendors.get(vendor).compiled:
            self._canonical = Canonical(reader, self._lines, src, limits[self._pin.name])
        self._follower = Follower(self._folder, first.place)
        self._limit = 0
        now = time.monotonic()
        self._next_save = now + SAVE_SECONDS
        self._next_identity = now + IDENTITY_SECONDS
        self._next_prune = now + PRUNE_SECONDS
        self._next_alarm = now
        self._saved: Position | None = None
        self._moved = False
        self._meeting: Meeting | None = None

    def run(self) -> None:
        """Publish until it is time to end and the tape has no more, and all is acknowledged."""
        pause = SHORTEST_PAUSE
        while True:
            chunk = self._follower.read()
            if chunk is not None:
                pause = SHORTEST_PAUSE
                self._publish(chunk)
                if self._share.leads:
                    self._skew.look(chunk)
                self._outbox.poll(0)
            elif not self._ending.asked():
                self._outbox.poll(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._follower.look_again()
                chunk = self._follower.read()
                if chunk is None:
                    break
                self._publish(chunk)
            self._housekeeping()
            if self._ending.overdue():
                raise _GaveUp
        self._outbox.drain()

    def close(self) -> None:
        """Keep what Kafka has acknowledged and let go of it."""
        try:
            self._save()
        finally:
            self._outbox.close()
            self._follower.close()

    def _know(self, said: meta.Meta) -> None:
        """Take in what md.meta says of the vendor's topics and this source's lives."""
        self._live = said.topics(self._vendor).live
        self._own = [life for life in said.lives if (life.vendor, life.src) == (self._vendor, self._src)]

    def _here(self) -> dict[int, Life]:
        """This collector's lives in the topic, by the first stamp of their taper."""
        return {life.taper: life for life in self._own if life.topic_id == self._pin.id}

    def _served(self, found: Position | None) -> list[Lane]:
        first = next(iter(segments(self._folder)), None)
        if found is None:
            if back := moving.rejoined(self._folder, self._pin, self._own):
                life, lane = back
                self._warn(
                    f"no position tells how far {self._folder} is published: it goes on in {self._pin.name} "
                    f"from {format_time(life.since)} on, when this collector moved there; what it has of "
                    "before came into another topic"
                )
                return [lane] * (self._pin.partitions + 1)
            name = first.name if first else ""
            return [Lane(name, 0, 0)] * (self._pin.partitions + 1)
        return found.lanes

    @property
    def _beside(self) -> str:
        return "" if self._share.parts == 1 else " (and position-*.json beside it)"

    def _publish(self, chunk: Chunk) -> None:
        """Every line of a chunk, in order."""
        lines, (segment, offset) = self._lines, chunk.start
        if segment.life != lines.life:
            lines.begin(segment.life, self._register(segment.life))
        self._limit = self._clock.wall() + AHEAD
        if self._canonical is not None:
            self._publish_canonical(self._canonical, chunk)
            return
        every, i = chunk.data.split(b"\n"), 0
        every.pop()
        while i < len(every):
            last = lines.ordinary(every, i, self._limit)
            offset += sum(map(len, every[i:last])) + last - i
            i = last
            if i < len(every):
                self._publish_one(every[i], Place(segment, offset))
                offset += len(every[i]) + 1
                i += 1
        self._mark(Place(segment, offset))

    def _publish_canonical(self, canonical: Canonical, chunk: Chunk) -> None:
        """As `_publish`, with the vendor's compiled reader for what it knows."""
        data, (segment, offset), at, by_itself = chunk.data, chunk.start, 0, 1
        while at < len(data):
            if not self._lines.catching_up:
                begin = at
                at, batch = canonical.read(data, begin, self._limit)
                if len(batch.lanes):
                    self._leave()
                    self._outbox.send_packed(*batch)
                by_itself = 1 if at > begin else min(2 * by_itself, MOST_ALONE)
            for _ in range(by_itself):
                if (feed := data.find(b"\n", at)) < 0:
                    break
                self._publish_one(data[at:feed], Place(segment, offset + at))
                at = feed + 1
        self._mark(chunk.end)

    def _publish_one(self, line: bytes, place: Place) -> None:
        """A line that must be looked at by itself."""
        lines = self._lines
        if lines.catching_up:
            lines.serve_from(place)
        head, _, payload = line.partition(b" ")
        if head.isdigit() and len(head) < 20:
            recv_ns = int(head)
            if recv_ns > self._limit:
                self._hold(recv_ns, place)
            lines.message(recv_ns, payload)
        elif head[:1] == b"!":
            if (stamp_of(line) or 0) > self._limit:
                self._hold(stamp_of(line) or 0, place)
            if self._pin.id != self._live[-1].id and not lines.catching_up:
                self._move_at(line, place)
            if lines.own(line, place.offset):
                self._close_life(lines.stamp, Place(place.segment, place.offset + len(line) + 1))
        else:
            lines.damaged(line, place.offset)

    def _leave(self) -> None:
        """Hand what the lines said so far to Kafka's client."""
        out = self._lines.taken()
        if out.lanes:
            self._outbox.send_many(out.lanes, out.values, out.keys, out.times_ms)

    def _mark(self, place: Place) -> None:
        self._leave()
        self._ledger.mark(self._outbox.produced, place, self._lines.sent, self._lines.stamp)
        self._latency.mark(self._outbox.produced, self._lines.stamp)

    def _wait(self) -> None:
        """Called while Kafka keeps the publisher waiting."""
        self._housekeeping()
        if self._ending.overdue():
            raise _GaveUp

    def _hold(self, recv_ns: int, place: Place) -> None:
        """Wait until a line is no longer too far ahead of the wall clock."""
        self._mark(place)
        self._holds += 1
        while recv_ns > (now := self._clock.wall()) + AHEAD:
            self._held = (
                f"the tape's next line is stamped {format_time(recv_ns)}, over 50 minutes ahead of this "
                f"machine's clock ({format_time(now)}), and Kafka would refuse it: publishing waits; correct "
                "the clock"
            )
            self._alarm(self._held)
            self._outbox.poll(0.05)
            self._housekeeping()
            if self._ending.asked():
                raise _GaveUp
        self._limit, self._held = now + AHEAD, ""

    def _register(self, life: int) -> int:
        """Enter a taper's life in md.meta before the first record of it, and give since when it is here; who
        does not lead waits for who does."""

        def registered() -> bool:
            if life not in self._lives:
                self._know(meta.read(self._settings))
                self._lives = self._here()
            return life in self._lives

        if not self._share.leads:
            self._await(
                registered, f"the first publisher has not come to the life of {format_time(life)} yet"
            )
        if life not in self._lives:
            self._lives[life] = Life(vendor=self._vendor, src=self._src, since=life, topic_id=self._pin.id)
            meta.put(self._settings, self._lives[life])
        elif moving.cut_short(self._lives[life], self._live, self._own):
            self._lives[life] = structs.replace(self._lives[life], closed=None, closing={})
            meta.put(self._settings, self._lives[life])
        return self._lives[life].since

    def _move_at(self, line: bytes, place: Place) -> None:
        """Go on in the newest topic from this line on, if it is a heartbeat (see `tape.moving`)."""
        beat, lines = heartbeat_of(line), self._lines
        if beat is None:
            return
        stamp, connected = beat
        there = self._goes_on(stamp, place)
        if there is None:
            return
        pin, since = there[0], there[1] or stamp
        self._mark(place)
        self._outbox.drain()
        before = self._save()
        if not there[1]:
            life = Life(vendor=self._vendor, src=self._src, since=since, topic_id=pin.id, moved=lines.life)
            meta.put(self._settings, life)
        if not self._share.leads or self._lives[lines.life].closed is None:
            lines.beat(since, closing=True, connected=connected)
            self._close_life(since, place, Meeting(pin.id, since, left=True))
        if self._share.leads:
            self._moved = True
            position.save(self._folder, moving.moved(before, pin, place))
        else:
            self._await(
                lambda: meeting.has_moved(self._folder, pin), f"the first publisher is not in {pin.name} yet"
            )
            self._moved = True
        if self._share.leads:
            self._warn(
                f"{self._vendor} has grown: publishing goes on in {pin.name}, from {format_time(since)} on"
            )
        raise _Moved

    def _goes_on(self, stamp: int, place: Place) -> tuple[TopicPin, int] | None:
        """Where publishing goes on from the heartbeat of that stamp and place on, and the stamp of the move,
        0 where none is entered yet; None: it stays. Several publishers wait for each other (`tape.meeting`).
        """
        there = self._destination()
        if self._share.leads:
            if there is None or stamp < there[1] or not (there[1] or self._all_leave(there[0], stamp, place)):
                return None
            return there
        while there is not None and not there[1]:
            if meeting.excused(self._folder, self._pin, there[0], stamp):
                return None
            self._stand(there[0], stamp, place)
            there = self._destination()
        return there if there is not None and stamp >= there[1] else None

    def _destination(self) -> tuple[TopicPin, int] | None:
        return moving.destination(self._live, self._own, self._pin, self._lines.life)

    def _all_leave(self, to: TopicPin, stamp: int, place: Place) -> bool:
        """Whether all publishers of the tape can leave the topic at this heartbeat; the one that leads waits
        for those that have yet to come, and passes it by where one is further."""
        if self._meeting is not None and self._meeting.towards == to.id and stamp < self._meeting.at:
            return False
        self._mark(place)
        called: int | None = stamp

        def come() -> bool:
            nonlocal called
            called = meeting.called_for(self._folder, self._share, self._pin, to, stamp, place)
            return called is not None or self._destination() != (to, 0)

        where = f"{format_time(stamp)}, where all move to {to.name}"
        self._await(come, f"another publisher has not come to {where}, yet")
        if called == stamp:
            return True
        if called is not None:
            self._meeting = Meeting(to.id, called)
            self._save()
        return False

    def _stand(self, to: TopicPin, stamp: int, place: Place) -> None:
        """Wait at a heartbeat until who leads has said where all leave, or that nobody need stand there."""
        self._mark(place)
        self._outbox.drain()
        self._meeting = Meeting(to.id, stamp)
        self._save()
        self._await(
            lambda: self._destination() != (to, 0) or meeting.excused(self._folder, self._pin, to, stamp),
            f"the first publisher has not said yet whether all move to {to.name} at {format_time(stamp)}",
        )

    def _close_life(self, stamp: int, behind: Place, left: Meeting | None = None) -> None:
        """Enter the end of a life in md.meta once its closing heartbeat, which ends at the place `behind`, is
        acknowledged everywhere: who leads waits for the others' positions to be there, or where it ends by a
        move for their word that they have `left`.

        The tape's position does not pass the closing heartbeat before that.
        """
        self._leave()
        self._outbox.drain()
        if not self._share.leads:
            self._mark(behind)
            self._meeting = left or self._meeting
            self._save()
            return

        def said() -> bool:
            if left is None:
                return self._all_at(behind)
            return meeting.all_have_left(self._folder, self._share, self._pin, left)

        self._await(said, f"another publisher has not published the goodbye of {format_time(stamp)} yet")
        closing = {}
        with client.consumer(self._settings) as consumer:
            for p in range(self._pin.partitions):
                closing[p] = client.watermarks(self._settings, consumer, self._pin.name, p)[1]
        life = self._lives[self._lines.life]
        if life.closed is None:
            self._lives[life.taper] = structs.replace(life, closed=stamp, closing=closing)
            meta.put(self._settings, self._lives[life.taper])

    def _await(self, done: Callable[[], bool], held: str) -> None:
        """Wait for another publisher of this tape; where it takes long, `held` is told."""
        began = time.monotonic()
        while not done():
            if time.monotonic() - began > LONG_SECONDS:
                self._held = held
                self._alarm(f"{held}: publishing of {self._vendor} waits for it; see what it says")
            self._outbox.poll(LOOK_SECONDS)
            self._wait()
        self._held = ""

    def _all_at(self, place: Place) -> bool:
        """Whether the publishers beside this one have dealt with all before a place."""
        if self._share.parts == 1:
            return True
        found = position.load(self._folder)
        others = [lane for lane, own in enumerate(self._lines.mine) if not own]
        return found is not None and all(found.lanes[lane].place >= place for lane in others)

    def _housekeeping(self) -> None:
        """Each second the position, each few seconds a look whether the topic is still the same."""
        self._latency.take(self._outbox.acknowledged, self._clock.wall())
        now = time.monotonic()
        if now >= self._next_save:
            self._next_save = now + SAVE_SECONDS
            self._save()
            if self._changes.seen():
                self._know(meta.read(self._settings))
            self._tell()
            if self._outbox.trouble and self._outbox.pending:
                self._alarm(
                    f"Kafka takes nothing ({self._outbox.trouble}): {self._vendor} waits on the tape "
                    f"{self._folder} and is published when Kafka is back"
                )
            self._outbox.trouble = ""
        if now >= self._next_prune:
            self._next_prune = now + PRUNE_SECONDS
            if self._share.leads:
                self._prune()
        if now >= self._next_identity:
            self._next_identity = now + IDENTITY_SECONDS
            self._check_identity()

    def _prune(self) -> None:
        """Remove what of the tape is past its time."""
        try:
            retention.prune(self._folder, self._settings.tape)
        except OSError as e:
            self._alarm(f"old segments of the tape {self._folder} can't be removed ({e.strerror})")

    def _check_identity(self) -> None:
        if (found := self._identity.found()) != self._pin.id:
            raise Mismatch(
                f"the topic {self._pin.name} was deleted or made again (id {found}, pinned {self._pin.id}), "
                f"with what it held: give it up with `tapedeck topics forget {self._vendor} "
                f"{self._pin.name}` and remove {self._folder / position.FILE}, and the whole tape is "
                "published into the topic that is made in its place"
            )

    def _save(self) -> Position:
        """Keep what Kafka has acknowledged; gives it."""
        lanes = self._ledger.lanes(self._outbox.acknowledged)
        counts = {**self._lines.counts, "times Kafka's queue was full": self._outbox.times_full}
        new = Position(
            topic_id=self._pin.id, lanes=lanes, stamp=self._ledger.stamp, counts=counts, meeting=self._meeting
        )  # fmt: skip
        if new != self._saved and not self._moved:
            position.save(self._folder, new, self._share.part)
            if self._saved is None and self._share.leads:
                position.forget(self._folder, self._share.parts)
            self._saved = new
        return new

    def _tell(self) -> None:
        """Say how it is, with what was counted anyway."""
        trouble = self._outbox.trouble if self._outbox.pending else ""
        chatter = {
            name.removeprefix("chatter "): float(count)
            for name, count in self._lines.counts.items()
            if name.startswith("chatter ")
        }
        self._show(
            self._held or (f"Kafka takes nothing ({trouble})" if trouble else ""),
            {
                **({} if self._skew.seconds is None else {metrics.VENDOR_SKEW: self._skew.seconds}),
                metrics.PUBLISHED: sum(self._outbox.produced),
                metrics.ACKNOWLEDGED: sum(self._outbox.acknowledged),
                metrics.QUEUE_FULL: self._outbox.times_full,
                metrics.QUARANTINED: self._lines.refused,
                metrics.CHATTER: chatter,
                metrics.HOLDS: self._holds,
                metrics.LATENCY: self._latency.buckets,
            },
        )

    def _alarm(self, sentence: str) -> None:
        now = time.monotonic()
        if now >= self._next_alarm:
            self._next_alarm = now + ALARM_SECONDS
            self._warn(sentence)
