"""What a recording holds, and what follows from it alone. No socket, lock or thread is touched here.

- `recording`: trace events, the objects that they happened to, and the calls that are going on
- `snapshot`: the state of all threads, locks and connections at one time
- `streams`: the bytes of each connection: which send has carried them to which recv
- `holds`: which thread held which lock, from when to when
- `trace`: saving a recording to a file, and loading it
"""
