"""One program for all commands.

program       verbs, version, help; hands over to a command
start_folder  `sts init`: a folder to trade from
completion    `sts completion`: what a shell completes
"""
