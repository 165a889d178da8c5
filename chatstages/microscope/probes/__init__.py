"""What is patched while a recording is made: each module knows one part of the standard library.

- `watching` puts all probes in place and takes them away again; `patches` keeps what was there before
- `recorder` is what all probes write through; `code_filter` tells the learner's code from all other code
- `sockets`, `traffic`, `selecting`: connections, the bytes on them, and waiting for several of them
- `threads`, `locks`, `conditions`: threads and pools; locks; what is built on locks
"""
