"""What the commands share.

cli         common flags, and errors as exit codes
ending      how a run is told to end
<<<<<<< HEAD
first_of    this or a signal, whichever comes first
=======
>>>>>>> main
output      standard output that nobody can hold up
prompt      settings of the interpreter for quick answers
compiling   what a person sees while functions are compiled
wide_table  tables on a narrow terminal
"""
