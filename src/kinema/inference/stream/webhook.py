"""Events posted to an address, as JSON; a server that hangs or fails holds nothing up."""

import json
import logging
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from kinema.inference.stream.worker import Worker
from kinema.printable import first_line, printable
from kinema.video.formats import without_secrets

_log = logging.getLogger(__name__)

_MOST_WAITING = 256
_MOST_ANSWER_BYTES = 4096
_LOG_SECONDS = 30.0  # between two lines on failures


class Webhook:
    """Posts each event in a thread of its own.

    A failed post is tried again after growing pauses; then the event is given up and counted.
    Redirects are not followed: events go to this address alone.

    Args:
        url: http or https; a name and password in it are sent as basic authentication.
        timeout_seconds: of one try.
        num_retries: tries after the first.
        first_pause_seconds: before the second try; it doubles.

    Attributes:
        num_posted: events that the server took.
        num_failed: events that were given up.

    Raises:
        ValueError: `url` is no such address.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float = 5.0, num_retries: int = 3, first_pause_seconds: float = 1.0
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a webhook must be an http or https address, got {printable(without_secrets(url))!r}")
        self.num_posted = self.num_failed = self._num_given = 0
        self._lock = threading.Lock()  # of these numbers
        self._is_closed = False
        self._name = printable(without_secrets(url))
        self._url, self._headers = _with_authentication(url)
        self._timeout_seconds = timeout_seconds
        self._num_retries = num_retries
        self._first_pause_seconds = first_pause_seconds
        self._is_closing = threading.Event()
        self._last_line = -float("inf")
        self._worker = Worker("webhook", _MOST_WAITING)
        # The environment's proxies hold; redirects would send events elsewhere.
        self._opener = urllib.request.build_opener(_NoRedirects)

    def post(self, event: Mapping[str, Any]) -> None:
        """Send an event when those before it were sent; returns at once."""
        body = json.dumps(event).encode()
        self._num_given += 1
        if not self._worker.submit(lambda: self._send(body)):
            self._give_up(f"{_MOST_WAITING} events wait already")

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Send what waits, as far as the time allows; what does not get out counts as failed, and is not sent later."""
        self._is_closing.set()
        self._worker.close(timeout_seconds)
        with self._lock:
            self._is_closed = True
            self.num_failed = self._num_given - self.num_posted

    def _send(self, body: bytes) -> None:
        reason = ""
        for attempt in range(self._num_retries + 1):
            if self._is_closed:
                return  # it counts as failed
            if attempt and self._is_closing.wait(self._first_pause_seconds * 2 ** (attempt - 1)):
                break  # a last word to a server that fails is not worth the wait
            try:
                request = urllib.request.Request(self._url, body, self._headers, method="POST")
                with self._opener.open(request, timeout=self._timeout_seconds) as answer:
                    answer.read(_MOST_ANSWER_BYTES)
                self._count(1, 0)
                return
            except urllib.error.HTTPError as error:
                reason = f"it answered {error.code}"
                error.close()
            except (OSError, HTTPException, ValueError) as error:
                reason = first_line(error)
        self._give_up(reason)

    def _count(self, posted: int, failed: int) -> None:
        with self._lock:
            if not self._is_closed:  # afterwards the numbers stay
                self.num_posted += posted
                self.num_failed += failed

    def _give_up(self, reason: str) -> None:
        self._count(0, 1)
        if time.monotonic() - self._last_line > _LOG_SECONDS:
            self._last_line = time.monotonic()
            _log.warning(
                "webhook %s: an event was not taken (%s); %d so far", self._name, printable(reason), self.num_failed
            )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def _with_authentication(url: str) -> tuple[str, dict[str, str]]:
    """The address without name and password, and the headers of a post."""
    headers = {"Content-Type": "application/json", "User-Agent": "kinema"}
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if at:
        name, _, password = user.partition(":")
        word = b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
        headers["Authorization"] = f"Basic {word}"
    return urlunsplit(parts._replace(netloc=host)), headers
