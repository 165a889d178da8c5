"""A TLS socket is a subclass of `socket.socket`, too: what is recorded is the plain text."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatstages.microscope import Scope, microscope
from tests.support import PATIENCE

# A key and a self-signed certificate, for tests only:
# openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost
CERTIFICATE = Path(__file__).parents[2] / "support" / "microscope" / "localhost.pem"


def echo(door: socket.socket) -> None:
    """Serve one client."""
    conn, _address = door.accept()
    with conn:
        while data := conn.recv(100):
            conn.sendall(data)


@contextmanager
def tls_client() -> Iterator[ssl.SSLSocket]:
    """Run an echo server that speaks TLS, and yield a client of it."""
    for_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for_server.load_cert_chain(CERTIFICATE)
    for_client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for_client.check_hostname, for_client.verify_mode = False, ssl.CERT_NONE
    with socket.create_server(("127.0.0.1", 0)) as plain:
        with for_server.wrap_socket(plain, server_side=True) as door:
            server = threading.Thread(target=echo, args=(door,))
            server.start()
            with socket.create_connection(door.getsockname()) as sock:
                with for_client.wrap_socket(sock) as client:
                    yield client
            server.join(PATIENCE)


def record_echo() -> Scope:
    """Record a conversation over TLS."""
    with microscope() as scope, tls_client() as client:
        client.sendall("你好".encode())
        assert client.recv(100).decode() == "你好"
    return scope


def test_plain_text_is_recorded_once_at_each_end() -> None:
    """Not what goes over the wire, and not a second time from inside the TLS socket."""
    scope = record_echo()
    data = "你好".encode()
    for thread, received in (("main", [data]), ("thread 1", [data, b""])):
        assert [event.data for event in scope.of("send", thread=thread)] == [data]
        assert [event.data for event in scope.of("recv", thread=thread) if not event.error] == received


def test_the_two_ends_of_a_tls_connection_are_paired() -> None:
    """So an arrow leads from each send to its recv."""
    scope = record_echo()
    words = scope.sequence().text
    assert "main → thread 1: “你好”" in words
    assert "thread 1 → main: “你好”" in words


def test_accept_of_a_tls_socket_is_one_event() -> None:
    """With its handshake; the connection is the TLS socket."""
    scope = record_echo()
    (accept,) = scope.of("accept")
    assert (accept.thread, accept.function) == ("thread 1", "echo")
    assert scope.things[accept.other].role == "server"
    assert scope.of("recv", thing=accept.other)[0].data == "你好".encode()
