"""The journal: orders, fills, facts and the core's memory in one SQLite file.

writer         the daemon's view: what is written, in one transaction a step
batch          the same for a run with nothing at stake: many steps in one transaction
journal_rows   rows from values and back
schema         tables, their versions, and what can be wrong with a file
reader         the commands' view, also while a daemon writes
care           keeps a journal small while it is written
halt           the remembered day, and the operator's word that lifts a halt
instance_lock  one instance a journal and an account
lock_holders   which program holds the file locked
"""
