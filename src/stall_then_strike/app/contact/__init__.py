"""First contact with the real venue: what it sends is compared with what this program assumes of it.

probe           the command that listens and asks
listening       a probe's run
questions       read-only calls, and what their answers should say
manners         how the socket answers requests
watching        the checks of one connection joined
stream_check    frames: forms, parsers, mids, periods, silences, delays
event_check     events of the private channel
answer_check    HTTP answers: forms, headers, limits
documented      bitFlyer's messages and answers, field by field
shapes          the form of a value, and how a value differs from it
deviations      what differs, each kind once
masking         examples without secrets, ids and amounts
contact_report  the report
"""
