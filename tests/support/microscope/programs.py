"""Programs that know nothing of a microscope, as a learner writes them, to be put under one."""

# In the manner of the first scripts of a tutorial: names taken out of their modules, bare sends and recvs.
GROUP = """\
from socket import socket
from threading import Lock, Thread

lock = Lock()
members = []


def receive(conn):
    while True:
        data = conn.recv(65535)
        if not data:
            break
        with lock:
            for member in members:
                member.send(data)
    conn.close()


def accept(server):
    for _ in range(2):
        conn, address = server.accept()
        with lock:
            members.append(conn)
        Thread(target=receive, args=(conn,)).start()


server = socket()
server.bind(("127.0.0.1", 0))
server.listen(5)
accepting = Thread(target=accept, args=(server,))
accepting.start()

ann, ben = socket(), socket()
ann.connect(server.getsockname())
ben.connect(server.getsockname())
accepting.join()
ann.send("你好".encode())
for client in ann, ben:
    heard = b""
    while len(heard) < 6:
        heard += client.recv(100)
ann.close()
ben.close()
server.close()
print("done")
"""

# Ends with a status of its own, while a thread is still at work.
STATUS = """\
import socket, sys, threading
one, two = socket.socketpair()
threading.Thread(target=lambda: two.recv(10)).start()
one.send(b"hello")
sys.exit(7)
"""

FAILING = """\
import socket
one, two = socket.socketpair()
one.send(b"hello")
raise ValueError("on purpose")
"""

WAITING = """\
import socket
one, two = socket.socketpair()
print("waiting", flush=True)
one.recv(10)
"""

# Threads are at work all the time while the process is forked.
FORKING = """\
import os, socket, sys, threading

running = True


def chatter():
    one, two = socket.socketpair()
    with one, two:
        while running:
            one.sendall(b"x")
            two.recv(1)


threads = [threading.Thread(target=chatter) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(20):
    child = os.fork()
    if not child:
        one, two = socket.socketpair()
        one.sendall(b"hello")
        sys.exit(0 if two.recv(5) == b"hello" else 1)
    assert os.waitpid(child, 0)[1] == 0
running = False
for thread in threads:
    thread.join()
"""

# What the kernel is asked to send and receive, in many ways.
TRAFFIC = """\
import socket, threading

server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
conn, _ = server.accept()


def read_all(sock, size):
    while size:
        size -= len(sock.recv(min(size, 50_000)))


reader = threading.Thread(target=read_all, args=(conn, 300_000 + 5 + 3 + 6 + 4))
reader.start()
client.sendall(b"x" * 300_000)
client.send(b"hello")
client.sendmsg([b"a", b"bc"])
client.sendto(b"direct", server.getsockname())
with client.makefile("wb") as file:
    file.write(b"file")
reader.join()
conn.sendall(b"y" * 10)
buffer = bytearray(4)
client.recv_into(buffer)
client.recv(2, socket.MSG_PEEK)
client.recvfrom(2)
client.recvmsg(4)
for sock in client, conn, server:
    sock.close()
"""
