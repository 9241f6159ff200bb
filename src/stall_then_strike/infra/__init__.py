"""The outside world: the venue's sockets and REST, files and the clock.

pyb_session         the venue's connections, and their watchdogs
http_bitflyer       orders and the account over REST
levels              the displayed levels of one book as sorted integers
market_source       the surface that all venues' market feeds share
orderbook_view      the displayed book without our own orders
accounts_file       accounts.toml: several accounts and their keys
logging_runtime     the log that people read
logging_structured  the CSV logs for analysis
clock               the only module that reads a clock
file_lock           a file that one process at a time may hold
env_file            variables in a .env file
bitflyer/           bitFlyer's messages, requests and login
line/               connections to any venue: reconnecting, unreadable messages, clock skew
journal/            orders, fills and settings that survive a restart
logs/               log files: writing, repairing, finding, reading
watch/              heartbeat, alerts, loop lag, pauses, free disk space
"""
