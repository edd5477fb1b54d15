"""Fetching what the log never had from where it was kept: other tapes, venues' daily files, folders.

`source` says what all sources promise, `fetch` asks and publishes, `sources` opens those of the settings.
"""
