"""The server of a live page: who is answered, with what, and what the others are told."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from http.client import HTTPConnection

import pytest
from live_run import LiveRun

from landscape.explorer.build import page_text
from landscape.live import server as module
from landscape.live.hub import Hub
from landscape.live.server import LiveServer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = LiveRun(tmp_path_factory.mktemp("live") / "run.h5")
    run.steps(3)
    yield run
    run.close()


@pytest.fixture(scope="module")
def server(run):
    hub = Hub([run.recorder.path])
    server = LiveServer(hub, page_text("landscape", entry="live"), hosts=["hub.example"])
    threads = [threading.Thread(target=f) for f in (hub.run, server.serve_forever)]
    for thread in threads:
        thread.start()
    yield server
    hub.end()
    server.shutdown()
    server.server_close()
    for thread in threads:
        thread.join()


def ask(server, path, *, host=None, method="GET"):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"localhost:{server.port}" if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body.decode()


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1:9000", "[::1]:1", "[::1]",
                                  "hub.example", "HUB.example:443"])  # fmt: skip
def test_this_machine_is_answered_under_any_port(server, host):
    answer, body = ask(server, f"/?token={server.token}", host=host)
    assert answer.status == 200
    assert body.startswith("<!doctype html>")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "connect-src 'self'" in body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "localhost.evil.example",
                                  "127.0.0.1.nip.io:80", "localhost@evil.example"])  # fmt: skip
def test_other_hosts_are_refused_also_with_the_token(server, host):
    for path in ("/", "/events", "/row"):
        answer, body = ask(server, f"{path}?token={server.token}&run=SGD&step=1", host=host)
        assert answer.status == 403
        assert "only localhost is answered" in body


@pytest.mark.parametrize("token", ["", "?token=", "?token=guess", "?token=é", "?Token={token}",
                                   "?token={token}x"])  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/events", "/row", "/anything"])
def test_without_the_token_there_is_no_data(server, path, token):
    asked = path + token.format(token=server.token).replace("é", "%C3%A9")
    answer, body = ask(server, asked)
    assert answer.status == 403
    assert body == "open the address that landscape watch printed\n"


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd",
                                  "/run.h5", "/%2e%2e/run.h5", "/events/../run.h5",
                                  "/C:\\\\x", "http://evil.example/"])  # fmt: skip
def test_no_path_leads_to_a_file(server, path):
    answer, body = ask(server, f"{path}?token={server.token}")
    if path.startswith("http:"):  # what a proxy would be asked; the page itself is all there is
        assert answer.status == 200
        assert body.startswith("<!doctype html>")
        return
    assert answer.status == 404
    assert len(body) < 100


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_it_is_only_read_from(server, method):
    answer, _ = ask(server, f"/?token={server.token}", method=method)
    assert answer.status == 501


def test_what_nobody_measures_cannot_be_asked_for(server):
    answer, body = ask(server, f"/measure?token={server.token}&what=walk", method="POST")
    assert (answer.status, body) == (404, "nothing is measured here\n")
    answer, _ = ask(server, f"/?token={server.token}", method="POST")
    assert answer.status == 404


def test_the_numbers_of_a_step_in_full(server):
    address = f"/row?token={server.token}&run=SGD"
    _, body = ask(server, f"{address}&step=2")
    assert json.loads(body)["loss"] == 2
    for query in ("&step=99", "&step=-1", "&step=x", "", "&step=1e9", f"&step={'9' * 400}"):
        answer, body = ask(server, address + query)
        assert answer.status == 404
        assert len(body) < 200
    answer, _ = ask(server, address.replace("run=SGD", "run=Adam") + "&step=1")
    assert answer.status == 404


def stream(server):
    return urllib.request.urlopen(server.address.replace("/?", "/events?"), timeout=30)


def next_event(answer):
    while not (line := answer.readline()).startswith(b"data: "):
        assert line
    return json.loads(line[6:])


def next_numbers(answer):
    """The next event that tells numbers: paths come in events of their own."""
    while not (found := next_event(answer))["runs"]:
        pass
    return found["runs"][0]


def test_what_is_new_comes_by_itself_and_again_to_whoever_comes_back(server, run):
    with stream(server) as answer:
        first = next_event(answer)
        assert first["content"]["runs"][0]["name"] == "SGD"
        last = first["runs"][0]["last"]
        began = time.monotonic()
        run.steps(2)
        assert next_numbers(answer)["last"] == last + 2
        assert time.monotonic() - began < 20
    with stream(server) as answer:
        again = next_event(answer)
        assert again["runs"][0]["last"] == last + 2
        assert again["runs"][0]["columns"]["losses"]["from"] == 0


def test_two_hundred_connections_see_every_step(server, run):
    answers = [stream(server) for _ in range(200)]
    lasts = [next_numbers(answer)["last"] for answer in answers]
    assert len(set(lasts)) == 1
    run.steps(1)
    for answer in answers:
        assert next_numbers(answer)["last"] == lasts[0] + 1
        answer.close()


def test_whoever_is_slow_holds_nobody_up_and_is_let_go(server, run, monkeypatch):
    monkeypatch.setattr(module._Handler, "timeout", 0.3)
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for one in slow:
        one.sendall(b"GET / HT")  # and no more
    answer, _ = ask(server, f"/?token={server.token}")
    assert answer.status == 200
    for one in slow:
        one.settimeout(20)
        assert one.recv(1) == b""  # hung up on
        one.close()


def test_beyond_the_most_connections_it_hangs_up_and_then_answers_again(run):
    hub = Hub([run.recorder.path])
    small = LiveServer(hub, "page", most=2)
    thread = threading.Thread(target=small.serve_forever)
    thread.start()
    held = [stream(small) for _ in range(2)]
    for answer in held:
        next_event(answer)
    with pytest.raises(OSError, match=r".*"):
        ask(small, f"/?token={small.token}")
    hub.end()  # both are let go
    for answer in held:
        answer.read()
        answer.close()
    deadline = time.monotonic() + 20
    while True:
        try:
            assert ask(small, f"/?token={small.token}")[0].status == 200
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    small.shutdown()
    small.server_close()
    thread.join()
