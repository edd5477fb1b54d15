"""Settings: one file, the environment over it, and a sentence for everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck import buses, vendors
from tapedeck.errors import BadInput
from tapedeck.settings import load, load_with_origins, where


def write(folder: Path, text: str) -> Path:
    (folder / "tapedeck.toml").write_text(text)
    return folder


def test_without_a_file_the_defaults_are_in_force(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert sorted(settings.vendors) == vendors.names()
    for name, vendor in settings.vendors.items():
        buses.check(vendor.bus, vendors.get(name), vendor.symbols)
    assert settings.kafka.partitions == 16
    assert settings.vendor("binance_usdm").window_seconds("trade") == 600
    assert settings.live_topic("binance_usdm") == "md.binance_usdm"


def test_the_environment_overrides_the_file_and_each_origin_is_told(tmp_path: Path) -> None:
    write(tmp_path, '[kafka]\nport = 1\n[vendors.acme]\nbus = "zmq:tcp://127.0.0.1:1"\n')
    environ = {"TAPEDECK_KAFKA__PORT": "2", "TAPEDECK_VENDORS__ACME__SYMBOLS": '["A"]'}
    settings, origins = load_with_origins(environ, tmp_path)
    assert settings.kafka.port == 2
    assert list(settings.vendors) == ["acme"]
    assert settings.vendor("acme").symbols == ["A"]
    source = {o.name: o.source for o in origins}
    assert source["kafka.port"] == "environment TAPEDECK_KAFKA__PORT"
    assert source["vendors.acme.bus"].endswith("tapedeck.toml line 4")
    assert source["mongo.port"] == "default"


def test_a_file_above_is_found(tmp_path: Path) -> None:
    write(tmp_path, "[kafka]\nport = 7\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = load({}, below)
    assert settings.kafka.port == 7
    assert settings.state == tmp_path / ".tapedeck"
    assert load({"TAPEDECK_STATE_DIR": "here"}, below).state == Path.cwd() / "here"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[kafka]\nbotstrap = 'x'\n", r"no setting 'kafka.botstrap' \(did you mean 'bootstrap'\?\).*line 2"),
        ("[vendors.acme]\nmargn = '1s'\n", r"did you mean 'margin'\?.*line 2"),
        ("[kafka]\nport = 'no'\n", r"kafka.port is wrong .*line 2"),
        ("[kafka]\nport = 0\n", r"kafka.port is wrong"),
        ("[kafka]\nretention = '7'\n", r"kafka.retention: '7' is no duration"),
        ("[vendors.acme]\nwindow = {trades = 60}\n", r"the kinds are trade, quote"),
        ("[vendors.'a b']\nbus = ''\n", r"vendor name 'a b'"),
        ("[vendors.a]\nwindow = {trades = 60}\n", r"the kinds are .*line 2"),
        ("\n[vendors.'a b']\nbus = ''\n", r"vendor name 'a b'.*tapedeck\.toml"),
        ("[vendors.a]\nbus = ''\nsymbols = ['']\n", r"the symbol '' .*line 3"),
        ("[vendors.a]\nsilence = '6'\n", r"vendors.a.silence.*line 2"),
        ("[tape]\nfree_stop = 0\n", r"tape.free_stop is wrong .*line 2"),
        ("[kafka\n", r"is not valid TOML .*line 1"),
        ("[vendors]\nacme = 3\n", r"vendors.acme is wrong"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        load({}, write(tmp_path, text))


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TAPEDECK_KAFKA__PORTT"):
        load({"TAPEDECK_KAFKA__PORTT": "1"}, tmp_path)
    with pytest.raises(BadInput, match="TAPEDECK_SETTINGS names"):
        load({"TAPEDECK_SETTINGS": str(tmp_path / "none.toml")}, tmp_path)


def test_a_wrong_value_of_a_variable_is_named_with_the_variable(tmp_path: Path) -> None:
    folder = write(tmp_path, "[vendors.a]\nmargin = '1s'\n")
    with pytest.raises(BadInput, match=r"vendors.a.margin.*environment TAPEDECK_VENDORS__A__MARGIN"):
        load({"TAPEDECK_VENDORS__A__MARGIN": "1"}, folder)


def test_it_is_told_what_sets_a_setting(tmp_path: Path) -> None:
    folder = write(tmp_path, "[vendors.a]\nbus = 'zmq'\n")
    assert where("vendors.a.bus", {}, folder).endswith("tapedeck.toml line 2")
    assert where("kafka.port", {}, folder) == "the defaults"
    assert where("kafka.port", {"TAPEDECK_KAFKA__PORT": "1"}, folder) == "environment TAPEDECK_KAFKA__PORT"


def test_an_unknown_vendor_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no vendor 'binance_usd'.*did you mean 'binance_usdm'"):
        load({}, tmp_path).vendor("binance_usd")


def test_secrets_are_masked(tmp_path: Path) -> None:
    environ = {
        "TAPEDECK_AIRFLOW__PASSWORD": "hunter2",
        "TAPEDECK_MONGO__URI": "mongodb://u:hunter2@h/?replicaSet=r",
        "TAPEDECK_KAFKA__CLIENT": '{"sasl.password": "hunter2"}',
    }
    _, origins = load_with_origins(environ, tmp_path)
    assert "hunter2" not in repr(origins)


def test_each_setting_is_named_with_the_line_where_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "tapedeck.toml"
    file.write_text('[vendors.a]\nbus = "x"\n\n[vendors.b]\nbus = "y"\nmargin = "1"\n')
    with pytest.raises(BadInput, match=r"margin.*line 6|line 6"):
        load({"TAPEDECK_SETTINGS": str(file)})
    file.write_text('[vendors.a]\nbus = "x"\n\n[vendors.b]\nbuss = "y"\n')
    with pytest.raises(BadInput, match="line 5"):
        load({"TAPEDECK_SETTINGS": str(file)})
