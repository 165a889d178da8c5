"""A group chat as a learner writes it, with a small vocabulary to play scenes in; and how it is changed.

It knows nothing of a microscope. Two names come from the test: `until` waits for what the microscope sees of
the other threads, and `pause` for what it does not see.
"""

from __future__ import annotations

CHAT = r"""
from contextlib import suppress
from itertools import count
from socket import (
    SHUT_RDWR, SHUT_WR, SO_RCVBUF, SO_REUSEADDR, SO_SNDBUF, SOL_SOCKET, create_connection, socket
)
from threading import Lock, Thread
from concurrent.futures import ThreadPoolExecutor

SIZE = 4096
lock = Lock()
members, said, jobs, turns = [], [], [], count()


def lines(conn):
    rest = b""
    while True:
        data = conn.recv(SIZE)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def leave(conn):
    with lock:
        if conn in members:
            members.remove(conn)


def tell(line):
    with lock:
        everybody = list(members)
    for member in everybody:
        try:
            member.sendall(line + b"\n")
        except OSError:
            leave(member)


def serve(conn):
    with conn:
        for line in lines(conn):
            said.append(line.decode(errors="replace"))
            tell(line)
        leave(conn)


def open_door(port):
    server = socket()
    server.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        server.bind(("127.0.0.1", port))
    except OSError:
        server.close()
        raise
    server.listen()
    return server


def enter():
    conn, address = door.accept()
    conn.setsockopt(SOL_SOCKET, SO_SNDBUF, 1)
    with lock:
        members.append(conn)
    start(conn)


def start(conn):
    thread = Thread(target=serve, args=(conn,))
    jobs.append(thread.join)
    thread.start()


def come():
    client = create_connection(door.getsockname())
    enter()
    return client


def listen(client, heard):
    for line in lines(client):
        heard.append(line.decode(errors="replace"))


def ear(client):
    thread = Thread(target=listen, args=(client, []))
    thread.start()
    jobs.append(thread.join)


def talk(client, line):
    thread = Thread(target=client.sendall, args=(line,))
    thread.start()
    jobs.append(thread.join)


def hear(client, end):
    heard = data = b" "
    while data and end + b"\n" not in heard:
        data = client.recv(SIZE)
        heard += data


def close_all(*clients):
    for client in clients:
        with suppress(OSError):  # the server has been the first
            client.shutdown(SHUT_WR)
    for client in clients:
        with suppress(OSError):
            while client.recv(SIZE):
                pass
        client.close()
    for job in jobs:
        job()
    door.close()


door = open_door(0)
"""


def replaced(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    """Return `text` with every change made; each must find its place, and only one."""
    for old, new in changes:
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    return text


# A server in a process of its own, which is ended with Ctrl-C: with and without a graceful shutdown.
STOPPED = r"""
from socket import SHUT_RDWR, create_server
from threading import Thread

door = create_server(("127.0.0.1", 0))
threads = []


def serve(conn):
    with conn:
        while conn.recv(4096):
            pass


try:
    print(door.getsockname()[1], flush=True)
    while True:
        conn, address = door.accept()
        threads.append((Thread(target=serve, args=(conn,)), conn))
        threads[-1][0].start()
        print("joined", flush=True)
finally:
    door.close()
    for thread, conn in threads:
        conn.shutdown(SHUT_RDWR)
        thread.join()
"""
LEFT = STOPPED[: STOPPED.index("finally:")].replace("try:", "if True:")
