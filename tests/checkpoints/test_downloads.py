import hashlib
import json
import logging
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

import pytest

from kinema.checkpoints import receiving
from kinema.checkpoints.downloads import fetch, find_cached, is_address
from kinema.errors import CheckpointError

CONTENT = bytes(range(256)) * 1200
OTHER = CONTENT[::-1]
DATE = "Wed, 29 Jul 2020 10:00:00 GMT"


def named(content: bytes, name: str = "tsn_r50_20200728") -> str:
    return f"{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth"


@dataclass
class Asked:
    """A request that the server got."""

    path: str
    range: str | None
    if_range: str | None
    sent: int = 0  # bytes of the body


@dataclass
class FileServer:
    """Serves `files` on 127.0.0.1, with the faults that are switched on."""

    files: dict[str, bytes]
    etag: str | None = '"one"'
    last_modified: str | None = DATE
    ranges: str = (
        "served"  # "ignored": 200; "refused": 416; "careless": If-Range is not looked at; "short": too few bytes
    )
    tells_length: bool = True
    content_type: str = "application/octet-stream"
    statuses: list[int] = field(default_factory=list)  # of the next requests, instead of the file
    cuts: list[int] = field(default_factory=list)  # bytes after which the next bodies end; 0: before the header
    resets: bool = False  # bodies end with a reset of the connection
    hold_at: int | None = None  # bytes after which the next body pauses until `go_on`
    go_on: threading.Event = field(default_factory=threading.Event)
    requests: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"served": self}))
        self._http.daemon_threads = False  # closing waits for them
        self.root = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.go_on.set()
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


class Handler(BaseHTTPRequestHandler):
    served: FileServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        served = self.served
        asked = Asked(self.path, self.headers["Range"], self.headers["If-Range"])
        served.requests.append(asked)
        content = served.files.get(self.path)
        status = served.statuses.pop(0) if served.statuses else 200 if content is not None else 404
        if status != 200 or content is None:
            self.send_response(status)
            self.end_headers()
            return
        cut = served.cuts.pop(0) if served.cuts else None
        if cut == 0:
            return
        start = int(asked.range.removeprefix("bytes=").rstrip("-")) if asked.range else 0
        if start and (served.ranges == "refused" or start >= len(content)):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}" if served.ranges != "refused" else "none")
            self.end_headers()
            return
        is_same = asked.if_range in (None, served.etag, served.last_modified) or served.ranges == "careless"
        if served.ranges == "ignored" or not is_same:
            start = 0
        self._send_head(start, content)
        with suppress(ConnectionError):  # the client was killed, or gave up
            self._send_body(content[start:], len(content) if cut is None else cut, asked)

    def _send_head(self, start: int, content: bytes) -> None:
        served = self.served
        end = len(content) - (1000 if served.ranges == "short" and start else 0)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        for name, value in (("ETag", served.etag), ("Last-Modified", served.last_modified)):
            if value:
                self.send_header(name, value)
        if served.tells_length:
            self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Type", served.content_type)
        self.end_headers()

    def _send_body(self, body: bytes, cut: int, asked: Asked) -> None:
        served = self.served
        hold_at, served.hold_at = served.hold_at, None
        for start, end in ((0, hold_at), (hold_at, cut)) if hold_at else ((0, cut),):
            if start:
                served.go_on.wait(300)
            asked.sent = min(end, len(body))
            self.wfile.write(body[start:end])
        if served.resets and cut < len(body):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socket.socket(fileno=self.connection.detach()).close()


@pytest.fixture
def server() -> Iterator[FileServer]:
    served = FileServer({})
    yield served
    served.stop()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, which is not made yet; there is no way to any server but those on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for name, value in (("http_proxy", nowhere), ("https_proxy", nowhere), ("no_proxy", "127.0.0.1")):
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(receiving, "PAUSE_SECONDS", 0.0)
    return tmp_path / "torch" / "hub" / "checkpoints"


# ---- addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://server/a.pth", True),
        ("torchvision://resnet50", True),
        ("open-mmlab://resnext101_64x4d", True),
        ("s3://bucket/a.pth", True),
        ("weights/a.pth", False),
        ("/weights/a.pth", False),
        ("C:\\weights\\a.pth", False),
        ("C://weights/a.pth", False),
        ("./odd://a.pth", False),
        ("", False),
    ],
)
def test_an_address_has_a_scheme(text: str, expected: bool) -> None:
    assert is_address(text) is expected


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("weights/a.pth", "weights/a.pth"),
        ("~/a.pth", "HOME/a.pth"),
        ("file:///weights/a%20b.pth", "/weights/a b.pth"),
        ("FILE://localhost/weights/a.pth", "/weights/a.pth"),
        ("file://weights/a.pth", "weights/a.pth"),
        ("file://localhost_weights/a.pth", "localhost_weights/a.pth"),
    ],
)
def test_files_of_this_machine_stay_where_they_are(address: str, path: str) -> None:
    assert fetch(address) == Path(path.replace("HOME", str(Path.home())))


def test_what_is_in_the_cache_needs_no_download(cache: Path) -> None:
    address, named_address = f"http://127.0.0.1:1/{named(CONTENT)}", "mmcls://mobilenet_v2"
    assert (find_cached(address), find_cached(named_address)) == (None, None)
    cache.mkdir(parents=True)
    for file in (named(CONTENT), "mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth"):
        (cache / file).write_bytes(CONTENT)
    assert find_cached(address) == fetch(address) == cache / named(CONTENT)
    assert find_cached(named_address) is None  # of another hash
    assert find_cached("file:///weights/a.pth") == Path("/weights/a.pth")
    with pytest.raises(CheckpointError, match="no network of that name is known"):
        find_cached("mmcls://mobilnet")


def test_a_scheme_that_nobody_serves_is_named_with_those_that_are() -> None:
    with pytest.raises(
        CheckpointError,
        match=(
            r"^s3://b/a\.pth: files cannot be fetched by s3://, only by file://, http://, https://, torchvision://,"
            r" .*mmcls://; "
            "get the file yourself and give its path$"
        ),
    ):
        fetch("s3://b/a.pth")


@pytest.mark.parametrize(
    "address",
    [
        *("http://", "https://server", "https://server/", "https://server/folder/"),
        *("https:///a.pth", "https://[server/a.pth", "https://x/..", "https://x/a\\b.pth"),
    ],
)
def test_an_address_without_server_or_file_is_refused(address: str) -> None:
    with pytest.raises(
        CheckpointError, match=rf"^{re.escape(address)}: expected the address of a file, as in https://"
    ):
        fetch(address)


def test_published_networks_have_short_addresses(cache: Path) -> None:
    path = cache / "resnet50-11ad3fa6.pth"
    with pytest.raises(
        CheckpointError,
        match=rf"^torchvision://ResNet50\.IMAGENET1K_V2: https://download\.pytorch\.org/models/{path.name}: "
        rf"no network, or no such server \(.*\); put the file at {path} yourself$",
    ):
        fetch("torchvision://ResNet50.IMAGENET1K_V2")
    with pytest.raises(CheckpointError, match=r"^modelzoo://resnet5: no network of that name is known: did you mean "):
        fetch("modelzoo://resnet5")


# ---- the cache


@pytest.mark.parametrize("name", [named(CONTENT), "x3d_m.pyth"])
def test_a_file_is_downloaded_once_and_found_without_a_network(server: FileServer, cache: Path, name: str) -> None:
    server.files = {f"/models/{name}": CONTENT}
    path = fetch(f"{server.root}/models/{name}")
    assert path.read_bytes() == CONTENT
    assert path.name == name
    assert path.is_relative_to(cache)
    assert sorted(file.name for file in path.parent.iterdir()) == [name, f"{name}.lock"]
    server.stop()
    assert fetch(f"{server.root}/models/{name}") == path
    assert len(server.requests) == 1


@pytest.mark.parametrize("suffix", ["?download=1", "#weights"])
def test_the_name_is_that_of_the_path(server: FileServer, cache: Path, suffix: str) -> None:
    name = named(CONTENT, "a%20b")
    server.files = {f"/{name}": CONTENT, f"/{name}?download=1": CONTENT}
    assert fetch(f"{server.root}/{name.replace('%20', ' ')}{suffix}") == cache / name


def test_a_file_that_another_program_put_there_is_used(server: FileServer, cache: Path) -> None:
    cache.mkdir(parents=True)
    path = cache / named(CONTENT)
    path.write_bytes(CONTENT)
    assert fetch(f"{server.root}/anywhere/{path.name}") == path
    assert not server.requests
    assert list(cache.iterdir()) == [path]


def test_files_of_one_name_are_not_mixed_up(server: FileServer, cache: Path) -> None:
    server.files = {"/one/swin.pth": CONTENT, "/two/swin.pth": OTHER}
    cache.mkdir(parents=True)
    (cache / "swin.pth").write_bytes(b"of another address")
    assert fetch(f"{server.root}/one/swin.pth").read_bytes() == CONTENT
    assert fetch(f"{server.root}/two/swin.pth").read_bytes() == OTHER
    assert (cache / "swin.pth").read_bytes() == b"of another address"


def test_a_date_is_no_hash(server: FileServer, cache: Path) -> None:
    server.files = {"/tsn-20200728.pth": CONTENT}
    path = fetch(f"{server.root}/tsn-20200728.pth")
    assert path.parent.parent == cache


def test_a_download_of_another_hash_is_removed(server: FileServer, cache: Path) -> None:
    name = named(CONTENT)
    server.files = {f"/{name}": OTHER}
    with pytest.raises(
        CheckpointError,
        match=rf"^{server.root}/{name}: the sha256 of what came starts with {hashlib.sha256(OTHER).hexdigest()[:8]}, "
        rf"by its name it must start with {name[-12:-4]}; it was removed\. .* download it yourself and give its path$",
    ):
        fetch(f"{server.root}/{name}")
    assert len(server.requests) == 1
    assert [file.name for file in cache.iterdir()] == [f"{name}.lock"]


def test_a_spoiled_file_is_downloaded_again(server: FileServer, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = cache / named(CONTENT)
    server.files = {f"/{path.name}": CONTENT}
    cache.mkdir(parents=True)
    for spoiled in (OTHER, CONTENT[:-1]):  # the second one after the file was found right in this process
        path.write_bytes(spoiled)
        assert fetch(f"{server.root}/{path.name}").read_bytes() == CONTENT
        assert f"{path}: its sha256 does not start with" in caplog.text
    assert len(server.requests) == 2


def test_a_spoiled_file_is_not_used_without_a_network(server: FileServer, cache: Path) -> None:
    path = cache / named(CONTENT)
    cache.mkdir(parents=True)
    path.write_bytes(OTHER)
    server.stop()
    with pytest.raises(
        CheckpointError,
        match=rf"^{path} is spoiled, its sha256 does not start with {path.stem[-8:]}; downloading it again failed: "
        rf"{server.root}/{path.name}: no network, .* put the file at {path} yourself$",
    ):
        fetch(f"{server.root}/{path.name}")
    assert path.read_bytes() == OTHER


def test_a_cache_that_cannot_be_written_is_named(server: FileServer, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file")
    with pytest.raises(
        CheckpointError,
        match=(
            rf"^{server.root}/a\.pth: cannot keep it at {cache}/\w+/a\.pth: .+; make room there, or set TORCH_HOME to a"
            r" folder"
        ),
    ):
        fetch(f"{server.root}/a.pth")


# ---- downloads that are cut off


@pytest.fixture
def address(server: FileServer) -> str:
    """Of `CONTENT`, under a name with its hash."""
    server.files = {f"/{named(CONTENT)}": CONTENT}
    return f"{server.root}/{named(CONTENT)}"


@pytest.fixture
def plain_address(server: FileServer) -> str:
    """Of `CONTENT`, under a name without hash."""
    server.files = {"/x3d_m.pyth": CONTENT}
    return f"{server.root}/x3d_m.pyth"


def leave_part(server: FileServer, address: str, size: int = 1000) -> None:
    """Let a download of `address` end for good after `size` bytes."""
    server.cuts = [size] + [0] * receiving.RETRIES * 2
    with pytest.raises(CheckpointError):
        fetch(address)
    server.cuts = []
    server.requests.clear()


def ranges(server: FileServer) -> list[str | None]:
    return [asked.range for asked in server.requests]


def test_a_broken_connection_is_taken_up_where_it_ended(
    server: FileServer, plain_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.cuts = [1000, 150_000, 0]
    assert fetch(plain_address).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-", "bytes=151000-", "bytes=151000-"]
    assert [asked.if_range for asked in server.requests] == [None, *['"one"'] * 3]
    assert sum(asked.sent for asked in server.requests) == len(CONTENT)
    assert f"the connection ended {len(CONTENT) - 1000} bytes early; trying again" in caplog.text
    assert "the server broke off (Remote end closed connection without response); trying again" in caplog.text


def test_a_reset_connection_is_tried_again(server: FileServer, address: str, caplog: pytest.LogCaptureFixture) -> None:
    server.cuts, server.resets = [150_000], True
    assert fetch(address).read_bytes() == CONTENT
    assert len(server.requests) == 2
    assert "Connection reset by peer); trying again" in caplog.text


def test_a_server_that_stalls_is_asked_again(
    server: FileServer, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(receiving, "TIMEOUT_SECONDS", 0.5)
    server.hold_at = 1000
    assert fetch(address).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000-"]
    assert "the connection broke off (timed out); trying again" in caplog.text


def test_a_download_that_keeps_ending_fails_and_the_next_goes_on(
    server: FileServer, plain_address: str, cache: Path
) -> None:
    server.cuts = [1000, 2000] + [0] * (receiving.RETRIES + 1)
    with pytest.raises(
        CheckpointError,
        match=(
            rf"^{plain_address}: the server broke off \(.*\), 5 times in a row; what came, 3000 bytes, is kept for the"
            r" next run; "
            rf"try later, or put the file at {cache}/\w+/x3d_m.pyth yourself$"
        ),
    ):
        fetch(plain_address)
    assert len(server.requests) == 6
    server.requests.clear()
    server.cuts = []
    path = fetch(plain_address)
    assert path.read_bytes() == CONTENT
    assert ranges(server) == ["bytes=3000-"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["x3d_m.pyth", "x3d_m.pyth.lock"]


def test_a_network_that_goes_away_is_waited_for(
    server: FileServer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        server.stop()

    monkeypatch.setattr(receiving, "sleep", pause)
    monkeypatch.setattr(receiving, "PAUSE_SECONDS", 1.0)
    server.cuts = [1000]
    with pytest.raises(CheckpointError, match=r"refused, 5 times in a row; what came, 1000 bytes, is kept"):
        fetch(address)
    assert pauses == [1, 2, 4, 8]


@pytest.mark.parametrize("ranges_are", ["ignored", "refused"])
def test_a_server_without_ranges_starts_over(server: FileServer, address: str, ranges_are: str) -> None:
    server.ranges = ranges_are
    server.cuts = [1000, len(CONTENT)]
    assert fetch(address).read_bytes() == CONTENT
    assert ranges(server)[:2] == [None, "bytes=1000-"]
    assert server.requests[-1].sent == len(CONTENT)


def test_a_server_that_only_ever_starts_over_is_left(server: FileServer, address: str) -> None:
    server.ranges = "ignored"
    server.cuts = [1000] * 20
    with pytest.raises(CheckpointError, match="ended 306200 bytes early, 5 times in a row; what came, 1000 bytes"):
        fetch(address)
    assert len(server.requests) == 5


@pytest.mark.parametrize(("ranges_are", "marks"), [("served", ['"one"']), ("careless", ['"one"', None])])
def test_a_file_that_changed_meanwhile_starts_over(
    server: FileServer, plain_address: str, ranges_are: str, marks: list[str | None]
) -> None:
    leave_part(server, plain_address)
    server.files, server.etag, server.ranges = {"/x3d_m.pyth": OTHER}, '"two"', ranges_are
    assert fetch(plain_address).read_bytes() == OTHER
    assert [asked.if_range for asked in server.requests] == marks


def test_a_file_of_another_length_starts_over(server: FileServer, plain_address: str) -> None:
    leave_part(server, plain_address)
    server.files = {"/x3d_m.pyth": OTHER + b"more"}
    assert fetch(plain_address).read_bytes() == OTHER + b"more"
    assert ranges(server) == ["bytes=1000-", None]


def test_a_range_that_lacks_the_end_starts_over(server: FileServer, address: str) -> None:
    leave_part(server, address)
    server.ranges = "short"
    assert fetch(address).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=1000-", None]


def test_a_weak_etag_gives_way_to_the_date(server: FileServer, plain_address: str) -> None:
    server.etag = 'W/"one"'
    server.cuts = [1000]
    assert fetch(plain_address).read_bytes() == CONTENT
    assert [asked.if_range for asked in server.requests] == [None, DATE]


@pytest.mark.parametrize(("has_hash", "second"), [(True, "bytes=1000-"), (False, None)])
def test_without_a_mark_of_the_version_only_a_hash_allows_to_go_on(
    server: FileServer, has_hash: bool, second: str | None
) -> None:
    name = named(CONTENT) if has_hash else "x3d_m.pyth"
    server.files, server.etag, server.last_modified = {f"/{name}": CONTENT}, None, None
    server.cuts = [1000]
    assert fetch(f"{server.root}/{name}").read_bytes() == CONTENT
    assert ranges(server) == [None, second]
    assert server.requests[1].if_range is None


@pytest.mark.parametrize("note", ["", "{", "[1]"])
def test_a_spoiled_note_is_no_harm(server: FileServer, plain_address: str, cache: Path, note: str) -> None:
    leave_part(server, plain_address)
    (file,) = cache.rglob("*.part.json")
    assert json.loads(file.read_text()) == {"validator": '"one"', "size": str(len(CONTENT))}
    file.write_text(note)
    assert fetch(plain_address).read_bytes() == CONTENT
    assert ranges(server) == [None]


def test_a_spoiled_part_starts_over(server: FileServer, address: str, cache: Path) -> None:
    leave_part(server, address)
    (cache / f"{named(CONTENT)}.part").write_bytes(OTHER[:2000])
    assert fetch(address).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=2000-", None]


def test_a_part_that_is_whole_is_not_downloaded_again(server: FileServer, address: str, cache: Path) -> None:
    leave_part(server, address)
    (cache / f"{named(CONTENT)}.part").write_bytes(CONTENT)
    assert fetch(address).read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={len(CONTENT)}-"]


def test_a_body_of_unknown_length_is_taken_to_its_end(server: FileServer, plain_address: str) -> None:
    server.tells_length = False
    assert fetch(plain_address).read_bytes() == CONTENT


def test_an_empty_body_is_no_file(server: FileServer, plain_address: str) -> None:
    server.tells_length = False
    server.files = {"/x3d_m.pyth": b""}
    with pytest.raises(CheckpointError, match="the connection ended some bytes early, 5 times in a row; try later"):
        fetch(plain_address)


# ---- what the server says


def test_a_server_that_failed_once_is_asked_again(server: FileServer, address: str) -> None:
    server.statuses = [500, 429]
    assert fetch(address).read_bytes() == CONTENT
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "count", "says"),
    [
        (404, 1, "404 Not Found: the address is wrong, or the file is gone; correct the address, or put the file at"),
        (403, 1, "403 Forbidden: it does not give this file; correct"),
        (204, 1, "204 No Content: it does not give this file; correct"),
        (302, 1, "302 .*: it does not give this file; correct"),
        (503, 5, "503 Service Unavailable, 5 times in a row; try later, or put the file at"),
    ],
)
def test_a_server_that_refuses_is_quoted(
    server: FileServer, address: str, cache: Path, status: int, count: int, says: str
) -> None:
    server.statuses = [status] * 9
    with pytest.raises(
        CheckpointError, match=rf"^{address}: the server says {says}.* {cache / named(CONTENT)} yourself$"
    ):
        fetch(address)
    assert len(server.requests) == count


def test_a_web_page_is_no_checkpoint(server: FileServer, address: str, cache: Path) -> None:
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(
        CheckpointError, match=rf"^{address}: gives a web page, not a file; .* {cache / named(CONTENT)}$"
    ):
        fetch(address)


@pytest.mark.parametrize("place", ["127.0.0.1:port", "a..b", "user:word@server"])
def test_a_server_that_cannot_be_reached_is_named(
    monkeypatch: pytest.MonkeyPatch, cache: Path, server: FileServer, place: str
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    name = named(CONTENT)
    with pytest.raises(
        CheckpointError,
        match=(
            rf"^http://{place.rpartition('@')[2]}/{name}: no network, or no such server \(.+\); put the file at"
            rf" {cache / name} yourself$"
        ),
    ):
        fetch(f"http://{place}/{name}")


def test_the_progress_is_in_megabytes_of_what_is_left(
    server: FileServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="kinema")
    content = CONTENT * 8  # 2.46 MB
    server.files = {"/x3d_m.pyth": content}
    server.cuts = [1_200_000]
    fetch(f"{server.root}/x3d_m.pyth")
    out, err = capsys.readouterr()
    assert out == ""
    # How much of what was sent before the cut has come through is up to the machine.
    assert re.search(r"^(2/2|3/3) \(100%\), .* gone\n\Z", err, flags=re.MULTILINE)
    assert f"downloading {server.root}/x3d_m.pyth (3 MB) to " in caplog.text


# ---- several processes

PROGRAM = "import sys; from kinema.checkpoints.downloads import fetch; print(fetch(sys.argv[1]))"


def start(address: str) -> "subprocess.Popen[str]":
    """Another process that fetches `address` and writes where the file is."""
    return subprocess.Popen([sys.executable, "-c", PROGRAM, address], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_of_processes_that_ask_at_once_one_downloads(
    server: FileServer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.hold_at = 1000
    messages: list[str] = []

    def note(message: str, *values: object) -> None:
        messages.append(message % values)
        server.go_on.set()

    monkeypatch.setattr(receiving.logger, "info", note)
    with start(address) as process:
        while process.poll() is None and not server.requests:
            sleep(0.01)
        path = fetch(address)
        assert process.communicate()[0] == f"{path}\n"
    assert messages == [f"{address}: waiting for another process, which downloads it"]
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_killed_download_is_taken_up_where_it_was(server: FileServer, address: str, cache: Path) -> None:
    server.hold_at = 200_000
    part = cache / f"{named(CONTENT)}.part"
    with start(address) as process:
        while process.poll() is None and not (part.is_file() and part.stat().st_size > 150_000):
            sleep(0.01)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    size = part.stat().st_size
    server.go_on.set()
    assert fetch(address).read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={size}-"]
    assert server.requests[1].sent == len(CONTENT) - size
