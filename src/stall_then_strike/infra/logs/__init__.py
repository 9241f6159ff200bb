"""Files of logs.

daily_csv       one CSV a UTC day, continued where it ended
csv_mending     trade rows that a crash kept from the CSV
csv_dialects    our CSVs after another program saved them
log_folder      keeps a second run out of a folder
run_manifest    what a run was: settings, version, beginning and end
log_runs        the runs of a folder
log_reader      decisions, orders and trades around a moment
runtime_reader  lines of the log for people
"""
