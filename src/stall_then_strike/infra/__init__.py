"""The outside world: the venue's sockets and REST, files and the clock.

pyb_session         the venue's connections, and their watchdogs
http_bitflyer       orders and the account over REST
orderbook_view      the displayed book without our own orders
logging_runtime     the log for people
logging_structured  the CSV logs for analysis
clock               the only module that reads a clock
file_lock           a file that one process at a time may hold
bitflyer/           what bitFlyer says and is told
line/               connections in general: when to reconnect, what was refused, whose clock is wrong
journal/            what outlives the process
logs/               files of logs: written, mended, found and read
watch/              signs of life, alerts, delays, disks
"""
