"""Recordings: a layer of its own, for what trades records too. It needs none of the optional extras.

- ``part_file``, ``stream_thread``: files that a crash cannot spoil, written off the event loop
- ``tape_audit``: what is on a tape; ``tape_writer``: tapes by the hour; ``salvage``: what a crash left
- ``recorder``: connections to tapes
- ``event_codec``, ``event_log``, ``event_replay``: what the core was told, and its steps once more
- ``tape_files``: which files are tapes
- ``tape_tools``: check, cut, merge; ``tape_rows``: what tapes say, line by line; ``sequence``: many tapes as one run
"""
