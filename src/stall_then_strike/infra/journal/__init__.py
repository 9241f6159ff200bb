"""The journal: orders, fills, facts and the core's memory in one SQLite file.

writer         writes a journal, one transaction a step: for live trading
batch          writes many steps in one transaction: for paper runs
journal_rows   converts values to rows and back
schema         tables, migrations and errors of a file
reader         reads a journal, also while a daemon writes it: for the commands
care           keeps a journal small while it is written
halt           the result of the remembered day, and lifting a halt
instance_lock  one process per journal and per account
lock_holders   which process holds a lock on the file
"""
