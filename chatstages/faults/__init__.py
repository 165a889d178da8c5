"""The classic mistakes, each in a small module that runs.

Each is a stage with one mistake in it, of the same shape (`serve`, `connect`), so that
whatever runs or shows a stage runs and shows it, too. The fix is the stage itself, or a
module named in the docstring.

- `decoded_in_pieces` (stage 2): each chunk of the stream is decoded by itself
- `closed_too_early` (3): the accepting thread closes what it has given away
- `send_error_unhandled` (4): an error in sending strikes whoever was speaking
- `a_pool_for_each` (4 to 5): a pool for each connection limits nothing
- `a_pool_that_blocks` (4 to 5): one pool, whose workers block: a late client is never
  heard
- `sending_under_the_lock` (4 to 5): one slow consumer freezes everybody
"""
