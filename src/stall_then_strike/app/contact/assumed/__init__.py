"""What is assumed of the venue, and how what it sends is compared with that.

documented      bitFlyer's messages and answers, field by field
shapes          the form of a value, and how a value differs from it
frame_check     frames of any venue
stream_check    frames: forms, parsers, mids, periods, silences, delays
heard           one channel: gaps and delays
event_check     events of the private channel
answer_check    HTTP answers: forms, headers, limits
socket_manners  answers to requests on the socket of any venue
deviations      what differs, each kind once
masking         examples without secrets, ids and amounts
"""
