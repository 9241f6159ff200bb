"""Lighter on a terminal.

lighter_cli          ``lighter``: look at an account, place, change and cancel orders
refresh_instruments  ask the exchange for its instruments, and keep the list
lighter_tables       markets, account and orders as tables
"""
