"""Files of logs.

run_files       where the files of a run are, and how packed ones are read
run_record      what a run was: mode, venue, settings, beginning and end
run_folder      makes the folder of a new run
run_logs        what one run writes: the CSVs of each instrument
run_list        the runs of a log folder, for readers
run_mending     gives killed runs the fills that their CSVs lack
csv_mending     finds trade rows that a crash kept out of the CSV
daily_csv       one CSV per UTC day, continued where it ended
csv_dialects    reads our CSVs after another program saved them
journal_csv     a journal as CSV
log_reader      decisions, orders and trades around a moment
runtime_reader  lines of the runtime log
"""
