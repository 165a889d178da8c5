"""The classic mistakes, each in a small module that runs.

Each is a stage with one mistake in it, of the same shape (`serve`, `connect`), so that whatever runs or shows
a stage runs and shows it, too. The fix is the stage itself, or a module named in the docstring.

========================  ==============================================================  ==========
decoded_in_pieces         each chunk of the stream is decoded by itself                   stage 2
closed_too_early          the accepting thread closes what it has given away              stage 3
the_speaker_pays          an error in sending strikes whoever was speaking                stage 4
a_pool_for_each           a pool for each connection limits nothing                       stage 4 → 5
a_pool_that_blocks        one pool, whose workers block: a late client is never heard     stage 4 → 5
sending_under_the_lock    one slow consumer freezes everybody                             stage 4 → 5
========================  ==============================================================  ==========
"""
