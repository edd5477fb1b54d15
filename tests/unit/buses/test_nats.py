"""The NATS bus against a real nats-server on this machine."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import nats
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tapedeck import buses, vendors
from tapedeck.buses import QUEUE, Change
from tapedeck.buses.nats import NatsBus
from tapedeck.errors import BadInput
from tests.servers import free_port, is_free
from tests.tapes import until
from tests.unit.buses.hearing import hear, hear_all, hear_changes

pytestmark = pytest.mark.skipif(
    shutil.which("nats-server") is None, reason="nats-server is not on this machine (apt install it)"
)


@contextmanager
def server(port: int, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A nats-server on that port, answering; killed at the end if it is still there."""
    process = subprocess.Popen(
        ["nats-server", "-a", "127.0.0.1", "-p", str(port), *words], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                publish(port, "hello", [b""], *words)
                break
            except (OSError, nats.errors.Error):
                assert time.monotonic() < deadline, "nats-server does not answer"
                time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def publish(port: int, subject: str, payloads: Sequence[bytes], *words: str) -> None:
    user = "user:secret@" if "--user" in words else "s3cret@" if "--auth" in words else ""

    async def send() -> None:
        client = nats.aio.client.Client()
        await client.connect(
            f"nats://{user}127.0.0.1:{port}",
            allow_reconnect=False,
            reconnect_time_wait=0,
            error_cb=_quiet,
            max_reconnect_attempts=1,
        )
        for payload in payloads:
            await client.publish(subject, payload)
        await client.flush()
        await client.close()

    asyncio.run(send())


async def _quiet(_: Exception) -> None:
    return


@contextmanager
def hearing(port: int, subject: str = "ticks.>", user: str = "", queue: int = QUEUE) -> Iterator[NatsBus]:
    bus = NatsBus(f"nats://{user}127.0.0.1:{port}/{subject}", first=0.01, longest=0.2, queue=queue)
    try:
        yield bus
    finally:
        bus.close()
        bus.close()


def test_payloads_of_a_wildcard_come_byte_for_byte_in_order_whatever_they_hold() -> None:
    port = free_port()
    sent = [b"", b"\r\n", b"MSG x 1 1\r\n", bytes(range(256)), *(b'{"n":%d}' % n for n in range(20_000))]
    with server(port), hearing(port) as bus:
        assert hear_changes(bus, 1) == [Change(True, f"nats://127.0.0.1:{port}/ticks.>")]
        publish(port, "other.BTC", [b"not asked for"])
        publish(port, "ticks.BTC.trade", sent)
        assert hear(bus, len(sent)) == sent
        assert not bus.wait(50)


def test_a_server_that_goes_stands_between_what_it_sent_before_and_after() -> None:
    port = free_port()
    with hearing(port) as bus:
        (away,) = hear_changes(bus, 1)
        assert not away.connected
        for turn in (b"first", b"second"):
            with server(port) as process:
                while not hear_changes(bus, 1)[-1].connected:  # other words of why it was away
                    pass
                publish(port, "ticks.a", [turn] * 1000)
                until(lambda: len(bus._inbox) >= 1000)  # a server that ends may still keep what it has
                process.send_signal(signal.SIGTERM)
                heard = hear_all(bus, changes=1)
            assert [item for item in heard if isinstance(item, bytes)] == [turn] * 1000
            assert isinstance(heard[-1], Change)
            assert not heard[-1].connected


def test_a_reader_that_is_too_slow_is_cut_off_by_the_server_and_that_is_told(tmp_path: Path) -> None:
    """Nothing is dropped without a word: what came before the cut is whole, then the connection is lost."""
    port, config = free_port(2), tmp_path / "nats.conf"
    config.write_text('max_pending: 1048576\nwrite_deadline: "500ms"\n')
    payload = b"x" * 4000
    with server(port, "-c", str(config), "-m", str(port + 1)), hearing(port, queue=10) as bus:
        assert [change.connected for change in hear_changes(bus, 1)] == [True]
        publish(port, "ticks.a", [b"%d " % n + payload for n in range(20_000)])
        until(lambda: cut_off(port + 1) > 0, 60)
        heard = hear_all(bus, changes=1)
    assert isinstance(heard[-1], Change)
    assert not heard[-1].connected
    assert heard[-1].why
    came = [int(item.partition(b" ")[0]) for item in heard if isinstance(item, bytes)]
    assert came == list(range(len(came)))
    assert 10 <= len(came) < 20_000


def cut_off(monitor: int) -> int:
    """How many slow readers the server has cut off, as it says itself."""
    with urlopen(f"http://127.0.0.1:{monitor}/varz", timeout=10) as answer:
        return int(json.loads(answer.read())["slow_consumers"])


@pytest.mark.parametrize(
    ("words", "who"),
    [(("--user", "user", "--pass", "secret"), "user:secret@"), (("--auth", "s3cret"), "s3cret@")],
)
def test_a_password_or_token_opens_and_is_shown_to_nobody(words: tuple[str, ...], who: str) -> None:
    port = free_port()
    with server(port, *words):
        with hearing(port) as stranger:
            (refused,) = hear_changes(stranger, 1)
        assert not refused.connected
        assert "uthorization" in refused.why or "losed" in refused.why
        with hearing(port, user=who) as bus:
            (told,) = hear_changes(bus, 1)
            assert told.connected
            assert not any(part in told.why + bus.address for part in ("secret", "s3cret"))


def test_an_address_opens_it() -> None:
    port = free_port()
    with server(port):
        bus = buses.open(f"nats:nats://127.0.0.1:{port}/a.b", vendors.get("okx"), [])
        try:
            assert hear_changes(bus, 1)[0].connected
            publish(port, "a.b", [b"x"])
            assert hear(bus, 1) == [b"x"]
        finally:
            bus.close()


def key(kind: int) -> tuple[Ed25519PrivateKey, str, str]:
    """A new key of NATS's: itself, what is shown of it and its seed, by https://docs.nats.io, "NKeys"."""
    made = Ed25519PrivateKey.generate()

    def text(raw: bytes) -> str:
        return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")

    seed = bytes([18 << 3 | kind >> 5, (kind & 31) << 3]) + made.private_bytes_raw()
    return made, text(bytes([kind]) + made.public_key().public_bytes_raw()), text(seed)


def jwt(signer: Ed25519PrivateKey, issuer: str, subject: str, name: str, nats: dict[str, object]) -> str:
    """Claims as NATS's tools write them, signed."""

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    claims = {
        "jti": name, "iat": int(time.time()), "iss": issuer, "name": name, "sub": subject,
        "nats": {**nats, "version": 2},
    }  # fmt: skip
    body = ".".join(part(json.dumps(one).encode()) for one in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims))
    return f"{body}.{part(signer.sign(body.encode()))}"


def creds(path: Path, token: str, seed: str) -> Path:
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\nIMPORTANT: keep it.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
    return path


@contextmanager
def configured(port: int, config: Path) -> Iterator[None]:
    """A server that lets in whom its configuration names."""
    process = subprocess.Popen(
        ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-c", str(config)], stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: not is_free(port), 60)
        yield
    finally:
        process.kill()
        process.wait()


def test_a_users_credentials_open_a_server_that_knows_its_account_and_no_others_do(tmp_path: Path) -> None:
    operator, its_operator, _ = key(14 << 3)
    account, its_account, _ = key(0)
    limits = {"subs": -1, "data": -1, "payload": -1}
    more = {"imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
    of_account: dict[str, object] = {"type": "account", "limits": limits | more}
    (tmp_path / "nats.conf").write_text(
        f"operator: {jwt(operator, its_operator, its_operator, 'op', {'type': 'operator'})}\n"
        "resolver: MEMORY\nresolver_preload: {\n"
        f"  {its_account}: {jwt(operator, its_operator, its_account, 'acc', of_account)}\n"
        "}\n"
    )
    files = []
    for name, signer in (("user", account), ("stranger", Ed25519PrivateKey.generate())):
        _, user, seed = key(20 << 3)
        token = jwt(signer, its_account, user, name, {"type": "user", **limits})
        files.append(creds(tmp_path / f"{name}.creds", token, seed))
    port = free_port()
    with configured(port, tmp_path / "nats.conf"):
        with hearing(port, f"ticks.>?credentials={files[1]}") as stranger:
            refused = hear_changes(stranger, 1)[0]
        assert not refused.connected
        with hearing(port, f"ticks.>?credentials={files[0]}") as bus:
            assert hear_changes(bus, 1)[-1].connected


def test_a_seed_alone_opens_a_server_that_knows_its_key_and_no_other_does(tmp_path: Path) -> None:
    made = [key(20 << 3) for _ in range(2)]
    for name, (_, _, seed) in zip(("user", "stranger"), made, strict=True):
        (tmp_path / f"{name}.nk").write_text(f"{seed}\n")
    config = tmp_path / "nats.conf"
    config.write_text(f"authorization: {{users: [{{nkey: {made[0][1]}}}]}}\n")
    port = free_port()
    with configured(port, config):
        with hearing(port, f"ticks.>?credentials={tmp_path / 'stranger.nk'}") as stranger:
            assert not hear_changes(stranger, 1)[0].connected
        with hearing(port, f"ticks.>?credentials={tmp_path / 'user.nk'}") as bus:
            assert hear_changes(bus, 1)[-1].connected


@pytest.mark.parametrize("text", ["", "rubbish", "\xff", "SEED"])
def test_what_are_no_credentials_is_bad_input_that_quotes_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "user.creds"
    path.write_bytes(text.encode("latin-1"))
    if text == "SEED":
        creds(path, "token", key(0)[2])  # an account's
    usdm = vendors.get("binance_usdm")
    with pytest.raises(BadInput, match=r"user\.creds are no \.creds file of a user .* `nsc generate creds`"):
        buses.open(f"nats:nats://127.0.0.1:1/a?credentials={path}", usdm, [])
    with pytest.raises(BadInput, match="can't be read"):
        buses.open(f"nats:nats://127.0.0.1:1/a?credentials={path}.gone", usdm, [])
    with pytest.raises(BadInput, match="no address of a NATS bus"):
        buses.open(f"nats:nats://127.0.0.1:1/a?creds={path}", usdm, [])
