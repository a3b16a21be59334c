"""The embedded Valkey: kept writes, a port that stays, a password, and none of it where REDIS_URL is set."""

import os
import signal
import socket
import stat
import time
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.demo.supervisor import Supervisor
from config.demo.valkey import embedded_valkey, running_valkey
from config.demo.watch import CannotStart

NO_RETRY = Retry(NoBackoff(), 0)


@pytest.fixture(autouse=True)
def _no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


def test_a_running_valkey_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.ping() is True
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(url, retry=NO_RETRY) as client:
        client.ping()


def test_what_was_written_survives_a_stop_and_a_start(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.rpush("inspect", "part 7")
    with running_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.lrange("inspect", 0, -1) == [b"part 7"]


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    valkey = embedded_valkey(tmp_path)
    assert valkey is not None
    with Supervisor(data_dir=tmp_path, processes=[valkey.process()], say=print) as supervisor:
        with redis.Redis.from_url(valkey.url) as client:
            client.rpush("inspect", *range(1000))
            time.sleep(1.5)  # everysec: what is older than a second is on disk
        os.kill(supervisor.pids()["valkey"], signal.SIGKILL)
        give_up_at = time.monotonic() + 10
        while not valkey.answers() and time.monotonic() < give_up_at:
            time.sleep(0.02)
        with redis.Redis.from_url(valkey.url) as client:
            assert client.llen("inspect") == 1000
        assert supervisor.restarts() == {"valkey": 1}


def test_the_address_of_the_last_start_is_used_again(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as first:
        pass
    with running_valkey(tmp_path) as second:
        assert second == first
        assert (tmp_path / "valkey.url").read_text().strip() == second


def test_a_port_that_somebody_else_took_is_replaced(tmp_path: Path) -> None:
    before = embedded_valkey(tmp_path)
    assert before is not None
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", before.port))
        stranger.listen()
        after = embedded_valkey(tmp_path)
    assert after is not None
    assert after.port != before.port
    assert after.password == before.password


@pytest.mark.parametrize(
    "spoiled", ["", "redis://", "redis://:secret@127.0.0.1:none/0", "\x00\x01", "redis://127.0.0.1:6379"]
)
def test_a_spoiled_address_file_is_a_first_start(tmp_path: Path, spoiled: str) -> None:
    (tmp_path / "valkey.url").write_text(spoiled)
    valkey = embedded_valkey(tmp_path)
    assert valkey is not None
    assert len(valkey.password) > 20
    assert (tmp_path / "valkey.url").read_text().strip() == valkey.url


def test_nobody_gets_in_without_the_password(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as url:
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        with pytest.raises(redis.AuthenticationError), redis.Redis(port=port, retry=NO_RETRY) as client:
            client.ping()
    for name in ("valkey.url", "valkey/valkey.conf"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_server_with_another_password_does_not_count_as_ready(tmp_path: Path) -> None:
    with running_valkey(tmp_path / "one") as url:
        other = embedded_valkey(tmp_path / "two")
        assert other is not None
        impostor = type(other)(
            folder=other.folder, port=int(url.rsplit(":", 1)[1].split("/")[0]), password="wrong"
        )
        assert impostor.answers() is False


def test_a_folder_with_blanks_in_its_name_works(tmp_path: Path) -> None:
    with running_valkey(tmp_path / "plant one") as url, redis.Redis.from_url(url) as client:
        assert client.ping() is True


def test_with_redis_url_set_no_server_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert embedded_valkey(tmp_path) is None
    with running_valkey(tmp_path) as url:
        assert url == "redis://127.0.0.1:1/0"
    assert list(tmp_path.iterdir()) == []


def test_a_second_start_on_the_same_folder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as url:
        (tmp_path / "run" / "lock").write_text("1\n")  # as if another process, one that lives, had it
        with pytest.raises(CannotStart, match="in use by another start"), running_valkey(tmp_path):
            pass
        assert (tmp_path / "valkey.url").read_text().strip() == url
