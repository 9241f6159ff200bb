"""A probe of Lighter: what it sends and answers is compared with what this program assumes of it.

lighter_documented     its messages and answers, field by field
lighter_stream_check   frames: forms, parsers, nonces, books, silences, delays
lighter_private_check  what the account's channels tell
lighter_questions      read-only calls, their answers and refusals, the plan's limits
lighter_manners        how the socket answers requests
lighter_listening      a probe's run
"""
