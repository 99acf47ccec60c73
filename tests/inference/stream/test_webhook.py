"""A webhook against servers that take, refuse, hang and go away."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kinema.inference.stream.webhook import Webhook
from kinema.inference.stream.worker import Worker
from waiting import wait_until


@contextmanager
def server_that(answers):
    """An HTTP server; `answers` are statuses in turn, the last one for ever; None hangs."""
    posts, hung = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = answers[min(len(posts), len(answers) - 1)]
            posts.append((self.path, dict(self.headers), body))
            if status is None:
                hung.wait(300)
                return
            self.send_response(status)
            if status in (301, 307):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", posts
    finally:
        hung.set()
        server.shutdown()
        server.server_close()


def test_events_are_posted_in_order_as_json():
    with server_that([200]) as (host, posts):
        hook = Webhook(f"http://me:se%3Acret@{host}/hook?key=1")
        for number in range(5):
            hook.post({"number": number, "label": "jümp"})
        hook.close(300)
    assert [json.loads(body) for _, _, body in posts] == [{"number": number, "label": "jümp"} for number in range(5)]
    path, headers, _ = posts[0]
    assert (path, headers["Content-Type"]) == ("/hook?key=1", "application/json")
    assert headers["Authorization"] == "Basic bWU6c2U6Y3JldA=="
    assert (hook.num_posted, hook.num_failed) == (5, 0)


def test_a_failed_post_is_tried_again_and_given_up_after_a_while(caplog):
    with server_that([500, 503, 200, 404, 404, 404]) as (host, posts):
        hook = Webhook(f"http://me:secret@{host}/", num_retries=2, first_pause_seconds=0.01)
        hook.post({"number": 0})
        wait_until(lambda: hook.num_posted)
        hook.post({"number": 1})
        wait_until(lambda: hook.num_failed)
        hook.close(300)
    assert len(posts) == 6
    assert (hook.num_posted, hook.num_failed) == (1, 1)
    assert "an event was not taken (it answered 404); 1 so far" in caplog.text
    assert "secret" not in caplog.text


def test_redirects_are_not_followed():
    with server_that([307]) as (host, posts):
        hook = Webhook(f"http://{host}/here", num_retries=0)
        hook.post({})
        hook.close(300)
    assert [path for path, _, _ in posts] == ["/here"]
    assert (hook.num_posted, hook.num_failed) == (0, 1)


def test_a_server_that_hangs_holds_nothing_up_and_what_waits_counts_as_failed(caplog):
    with server_that([None]) as (host, posts):
        hook = Webhook(f"http://{host}/", timeout_seconds=0.2, num_retries=0)
        for number in range(400):  # at once; more than may wait
            hook.post({"number": number})
        hook.close(timeout_seconds=0.05)
        assert (hook.num_posted, hook.num_failed) == (0, 400)
        assert hook._worker.close(300), "the others are dropped"
        assert (hook.num_posted, hook.num_failed) == (0, 400)
    assert len(posts) < 10
    assert "256 events wait already" in caplog.text or "timed out" in caplog.text


def test_a_server_that_is_not_there_is_a_failure():
    hook = Webhook("http://127.0.0.1:9/", num_retries=1, first_pause_seconds=0.01)
    hook.post({})
    hook.close(300)
    assert (hook.num_posted, hook.num_failed) == (0, 1)


@pytest.mark.parametrize("url", ["ftp://user:secret@host/", "host/path", "http://", "file:///etc/passwd"])
def test_what_is_no_address_of_a_webhook_is_named(url):
    with pytest.raises(ValueError, match="a webhook must be an http or https address, got") as raised:
        Webhook(url)
    assert "secret" not in str(raised.value)


def test_a_worker_refuses_what_is_too_much_and_survives_a_job_that_fails(caplog):
    begin, done = threading.Event(), []
    worker = Worker("tester", 2)
    assert worker.submit(begin.wait)
    answers = [worker.submit(lambda number=number: done.append(number)) for number in range(6)]
    assert worker.submit(lambda: 1 / 0, is_needed=True)
    assert worker.submit(lambda: done.append("needed"), is_needed=True)
    assert not worker.close(0.01), "it is still at work"
    begin.set()
    assert worker.close(300)
    assert not worker.submit(lambda: None)
    assert answers[2:] == [False] * 4 or answers[3:] == [False] * 3
    assert done == [number for number, answer in enumerate(answers) if answer] + ["needed"]
    assert "tester: a job failed" in caplog.text
