"""Servers that never end, claim too much, trickle, lead elsewhere or send garbage; and secrets in addresses."""

import base64
import logging
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from kinema.checkpoints import receiving
from kinema.checkpoints.connections import said, shown_address
from kinema.checkpoints.downloads import fetch
from kinema.errors import CheckpointError

Answer = Callable[[socket.socket, bytes], None]


class RawServer:
    """Lets `answer(connection, request)` say what it likes, once a connection."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if self.ended.is_set():
                connection.close()
                return
            with connection, suppress(OSError):
                request = connection.recv(65536)
                self.requests.append(request)
                self._answer(connection, request)

    def stop(self) -> None:
        self.ended.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            pass
        self._thread.join()
        self._socket.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Answer], RawServer]]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(receiving, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(receiving, "RETRIES", 1)
    servers: list[RawServer] = []

    def start(answer: Answer) -> RawServer:
        servers.append(RawServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.0 {status}", *lines, "", ""]).encode("latin-1")


def endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(head())
    while True:
        connection.sendall(bytes(1 << 16))


def test_a_server_that_never_ends_is_left_at_the_limit(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "MOST_BYTES", 3_000_000)
    server = serve(endless)
    with pytest.raises(
        CheckpointError, match=r"a\.pth: the file is larger than 3 MB, the most .* KINEMA_DOWNLOAD_MOST_BYTES"
    ):
        fetch(f"http://127.0.0.1:{server.port}/a.pth")
    assert not list((tmp_path / "torch").rglob("*.pth*.part"))
    assert len(server.requests) == 1


def test_a_server_that_claims_too_much_is_left_before_anything_comes(serve) -> None:
    server = serve(lambda connection, _: connection.sendall(head(f"Content-Length: {10**15}") + b"x"))
    with pytest.raises(CheckpointError, match=r"the file is larger than \d+ MB, the most that is downloaded"):
        fetch(f"http://127.0.0.1:{server.port}/a.pth")


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(
    serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = shutil.disk_usage(tmp_path).free + 10**9
    monkeypatch.setattr(receiving, "MOST_BYTES", size * 2)
    server = serve(lambda connection, _: connection.sendall(head(f"Content-Length: {size}") + b"x"))
    with pytest.raises(
        CheckpointError, match=r"MB are to come, and \d+ MB are free at .*: make room there, or set TORCH_HOME"
    ):
        fetch(f"http://127.0.0.1:{server.port}/a.pth")


def test_the_disk_is_looked_at_while_a_file_of_unknown_length_comes(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "LOOK_BYTES", 1 << 20)
    server = serve(endless)

    def fill(*_: object) -> None:
        monkeypatch.setattr(receiving, "SPARE_BYTES", 1 << 60)

    monkeypatch.setattr(receiving.ProgressBar, "update", fill)
    with pytest.raises(CheckpointError, match=r"0 MB are to come, and \d+ MB are free"):
        fetch(f"http://127.0.0.1:{server.port}/a.pth")


def test_a_server_that_trickles_is_left(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    # A clock that runs fast: no pause of the server on a busy machine is longer than the time without a byte.
    monkeypatch.setattr(receiving, "TIMEOUT_SECONDS", 30.0)
    monkeypatch.setattr(receiving, "monotonic", lambda: 100 * monotonic())

    def trickle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head("Content-Length: 100000", 'ETag: "1"'))
        while not server.ended.wait(0.02):
            connection.sendall(b"x")

    server = serve(trickle)
    with pytest.raises(CheckpointError, match=r"the server sent \d+ bytes in \d+ s, 2 times in a row"):
        fetch(f"http://127.0.0.1:{server.port}/a.pth")


def test_a_server_whose_head_trickles_is_left(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "TIMEOUT_SECONDS", 0.3)

    def trickle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\nX-Long: ")
        while not server.ended.wait(0.02):
            connection.sendall(b"x")

    server = serve(trickle)
    with pytest.raises(CheckpointError, match="2 times in a row"):
        fetch(f"http://127.0.0.1:{server.port}/a.pth")


@pytest.mark.parametrize(
    "target", ["ftp://127.0.0.1/a.pth", "file:///etc/passwd", "data:,x", "gopher://127.0.0.1/", "unix:/x"]
)
def test_redirects_lead_to_web_servers_alone(serve, target: str) -> None:
    server = serve(lambda connection, _: connection.sendall(head(f"Location: {target}", status="302 Found")))
    with pytest.raises(
        CheckpointError, match=r"a\.pth: the server leads to .*; only http:// and https:// are followed"
    ):
        fetch(f"http://127.0.0.1:{server.port}/a.pth")


def test_a_redirect_to_another_web_server_is_followed_without_the_password(
    serve, caplog: pytest.LogCaptureFixture
) -> None:
    other = serve(lambda connection, _: connection.sendall(head("Content-Length: 3") + b"abc"))
    first = serve(
        lambda connection, _: connection.sendall(
            head(f"Location: http://127.0.0.1:{other.port}/b.pth", status="302 Found")
        )
    )
    with caplog.at_level(logging.INFO):
        file = fetch(f"http://anna:s%3Acret@127.0.0.1:{first.port}/a.pth?key=token")
    assert file.read_bytes() == b"abc"
    expected = b"Authorization: Basic " + base64.b64encode(b"anna:s:cret")
    assert expected in first.requests[0]
    assert b"uthorization" not in other.requests[0]
    assert "cret" not in caplog.text
    assert "token" not in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        "http://anna:secret@127.0.0.1:1/a.pth",
        "http://anna:secret@127.0.0.1:port/a.pth",
        "http://anna:secret@/a.pth",
        "ftp://anna:secret@host/a.pth",
        "http://127.0.0.1:1/a.pth?token=secret",
    ],
)
def test_a_password_is_in_no_message(serve, address: str) -> None:
    with pytest.raises(CheckpointError, match=r"^[^ ]*(127\.0\.0\.1|a\.pth|host)") as caught:
        fetch(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        head(status="404 \x1b]0;evil\x07\x1b[31mgone"),
        b"\x1b]0;evil\x07\r\n\r\n",
        head(status="503 " + "x" * 10_000 + "\x1b[0m"),
        b"HTTP/1.0 \x1b\x07abc\r\n\r\n",
    ],
)
def test_what_a_server_says_is_shown_as_text(serve, answer: bytes) -> None:
    server = serve(lambda connection, _: connection.sendall(answer))
    with pytest.raises(CheckpointError) as caught:
        fetch(f"http://127.0.0.1:{server.port}/a.pth")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_addresses_are_shown_without_their_secrets() -> None:
    assert shown_address("https://u:p@h/x.pth?a=1#b") == "https://h/x.pth?..."
    assert shown_address("/a/b?c@d") == "/a/b?c@d"
    assert said("a\n b\x1b" + "c" * 300).startswith("a b\\x1bccc")
