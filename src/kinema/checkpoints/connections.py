"""How downloads talk to servers.

Http and https alone, an answer within a time, and nothing secret or raw in messages.
"""

import base64
import re
import socket
import threading
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import IO, Any
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from kinema.errors import CheckpointError
from kinema.printable import printable

MOST_SHOWN = 200  # characters of what a server says

_USER = re.compile(r"(?<=://)[^/?#]*@")
_QUERY = re.compile(r"\?.+")


def shown_address(address: str) -> str:
    """An address as messages show it.

    Without the name and password before its server, and without what follows `?`, often a key.

    Other texts, such as paths, stay as they are.
    """
    if "://" not in address:
        return address
    return _QUERY.sub("?...", _USER.sub("", address))


def said(words: object) -> str:
    """What a server said, on one line, not too long, and without characters that act on a terminal."""
    text = " ".join(str(words).split())
    return printable(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}...")


def open_address(url: str, headers: dict[str, str], seconds: float) -> HTTPResponse:
    """Ask for a file.

    Args:
        url: of http or https; a name and password before the server are sent to it, and to no other
            that it redirects to.
        headers: of the request.
        seconds: without a byte, and for the whole head of the answer.

    Raises:
        CheckpointError: it redirects to something else than http or https.
        OSError: as `urllib.request.urlopen` raises them, and `http.client.HTTPException`.
    """
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    request = Request(url.replace(f"{user}{at}", "", 1) if at else url, headers=headers)
    if at:
        name, _, password = user.partition(":")
        secret = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode("ascii")
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        _Plain(),
        _Encrypted(),
        HTTPDefaultErrorHandler(),
        _Redirects(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    response: HTTPResponse = opener.open(request, timeout=seconds)
    return response


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to http and https."""

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any) -> Any:
        target = urljoin(req.full_url, headers.get("location") or headers.get("uri") or "")
        scheme = urlsplit(target).scheme
        if scheme not in ("http", "https"):
            fp.close()
            raise CheckpointError(
                f"{shown_address(req.full_url)}: the server leads to {said(shown_address(target))}; only http:// and"
                " https:// are followed: get the file yourself and give its path"
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _AnswersInTime(HTTPConnection):
    """A connection whose socket is shut when the head of the answer is not there in time, however it trickles in."""

    _timer: threading.Timer | None = None

    def connect(self) -> None:
        super().connect()
        if isinstance(self.timeout, int | float):
            self._timer = threading.Timer(self.timeout, _shut, [self.sock])
            self._timer.daemon = True
            self._timer.start()

    def getresponse(self) -> HTTPResponse:
        try:
            return super().getresponse()
        finally:
            if self._timer is not None:
                self._timer.cancel()


def _shut(opened: socket.socket) -> None:
    try:
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
    except OSError:  # it has ended already
        return


class _EncryptedConnection(_AnswersInTime, HTTPSConnection):
    """The same over TLS."""


class _Plain(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_AnswersInTime, req)


class _Encrypted(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_EncryptedConnection, req)
