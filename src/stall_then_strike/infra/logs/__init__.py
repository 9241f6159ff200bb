"""Files of logs.

daily_csv       one CSV per UTC day, continued where it ended
csv_mending     finds trade rows that a crash kept out of the CSV
csv_dialects    reads our CSVs after another program saved them
log_folder      keeps a second run out of a folder
run_logs        what one run writes: the CSVs and the record of each instrument
run_manifest    the record of a run: settings, version, beginning and end
log_runs        the runs of a folder
log_reader      decisions, orders and trades around a moment
runtime_reader  lines of the runtime log
"""
