"""Shared by the commands.

loading         Ctrl-C while a command is imported
command         what makes a function a command: output, errors, exit codes
cli             common flags, the configuration they name, signals
command_parser  arguments, with examples and exit codes in each help text
venue_flags     flags and faults of the commands that serve an exchange
ending          the request to end a run, and its reason
first_of        waits for a task or a signal, whichever comes first
flag_values     numbers that flags take
output          standard output that cannot block a command
prompt          interpreter settings for low latency
compiling       progress while functions are compiled
wide_table      tables of texts, also on a narrow terminal
"""
