"""``make same``: whether two versions of the project do the same, byte for byte, seen from their command lines.

- ``cases``: what is run: tapes, quote modes, settings, engines
- ``digests``: what a run left behind, without what the wall clock wrote, as digests; and how two of those differ
- ``__main__``: runs the cases of one version or of two, prints the table, writes and compares files of digests
- ``expected.json``: digests of some of the cases, which ``test_same`` holds this version to

Nothing here imports the project. Only its commands are used, so the cases can be run by any other checkout's as well.

`run_live` is not among them: it trades in real time, and no two of its runs are alike. What it does is compared by
replaying what its core was told, in ``tests/tapes/test_event_replay.py``. The same holds for `run_paper --sim` at a
speed other than ``max``.
"""
