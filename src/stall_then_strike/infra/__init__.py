"""The world: the venue's socket and REST, files and the clock.

- ``pyb_session``: the connection; ``connection_rules`` its pace and its watchdogs
- ``market_feed``: frames to events; ``board`` the displayed book; ``orderbook_view`` the book without our own orders
- ``venue_status``: the venue's health over REST
- ``http_bitflyer``: orders and the account over REST; ``bitflyer_answers`` reads what comes back, ``bitflyer_errors``
  says what a failure means, ``clock_skew`` compares the venue's clock with ours
- ``wire_time`` and ``wire_name`` read stamps and names of orders; ``refusals`` counts what cannot be read
- ``credentials``: the API key, and for whom requests are signed
- ``logging_runtime``: the log for people; ``logging_structured`` and ``daily_csv`` the logs for analysis;
  ``log_folder`` keeps a second run out of them
- ``journal``: what outlives the process; ``journal_reader`` reads it, ``journal_schema`` and ``journal_rows`` are
  its file, ``journal_halt`` lifts a remembered halt; ``instance_lock`` and ``file_lock`` keep a second process out,
  ``lock_holders`` names a program that locks it
- ``disk_watch``: free space, and a reserve of it
- ``csv_mending``: trade rows that a crash kept from the CSV
- ``clock``: the only module that reads a clock; ``pauses`` notices sleep, standstill and clocks that were set
"""
