"""Sockets and locks of `weir up`, on real ports and files."""

import os
import socket
import stat
from pathlib import Path

import pytest

from tokenweir.cli import running
from tokenweir.cli.control import frame, pair, send
from tokenweir.cli.listen import ListenError, bind_all, url_of
from tokenweir.core.errors import LedgerError
from tokenweir.gateway.config import GatewayConfig


def test_every_worker_has_a_socket_on_the_same_free_port() -> None:
    sockets, port = bind_all("127.0.0.1", 0, 3)
    assert port > 0
    assert {sock.getsockname() for sock in sockets} == {("127.0.0.1", port)}
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    for sock in sockets:
        sock.close()


def test_a_port_in_use_is_said_even_where_the_kernel_would_share_it() -> None:
    sockets, port = bind_all("127.0.0.1", 0, 1)
    with pytest.raises(
        ListenError, match=rf"port {port} of 127\.0\.0\.1 is in use by another program; choose another"
    ):
        bind_all("127.0.0.1", port, 1)
    sockets[0].close()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ListenError, match="is no address of this machine"):
        bind_all(host, 0, 1)


def test_the_address_is_one_a_client_can_use() -> None:
    assert url_of("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert url_of("::", 80) == url_of("::1", 80) == "http://[::1]:80"
    assert url_of("10.1.2.3", 8787) == "http://10.1.2.3:8787"


def status() -> running.Status:
    return running.Status(pid=7, address="http://x:1", started_us=1, version="0", workers=1, models=2)


def test_a_running_gateway_is_found_while_its_lock_is_held(tmp_path: Path) -> None:
    assert running.find_running(tmp_path) is None
    lock = running.take_lock(tmp_path)
    running.write_status(tmp_path, status())
    assert running.find_running(tmp_path) == status()
    assert stat.S_IMODE((tmp_path / running.STATUS_NAME).stat().st_mode) == 0o600
    with pytest.raises(running.AlreadyRunningError, match=r"already runs on .* \(process 7, http://x:1\)"):
        running.take_lock(tmp_path)
    os.close(lock)
    assert running.find_running(tmp_path) is None  # the file alone says nothing
    os.close(running.take_lock(tmp_path))


def test_a_data_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    running.prepare_data_dir(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"cannot be made: .*; choose another with --data"):
        running.prepare_data_dir(tmp_path / "file")


def test_a_new_configuration_travels_behind_its_length() -> None:
    config = GatewayConfig(upstreams=(), deployments=(), models=(), cors_origins=("*",))
    ours, theirs = pair()
    assert send(ours, config)
    theirs.setblocking(True)
    assert theirs.recv(65_536) == frame(config)
    theirs.close()
    assert not send(ours, config)
    ours.close()
