"""Connections, independent of the venue.

connection_rules  when to reconnect, and when a silent channel counts as dead
healing           when to ask again for a missing snapshot
handshakes        WebSocket handshakes: paced, counted, their failures explained
hearing_socket    pybotters' socket: frames at once, and the venue's reason for closing
websocket         reusable manager of WebSocket connections to any venue
socket_line       one of its connections: handshake, reading, writing, keepalive
frame_tap         interface of a listener to raw frames
ready_line        HTTP connections that are open before they are needed
outcome           whether a feed is ready or has failed
refusals          unreadable messages and missing fields: counted, logged now and then
counted_calls     the calls of one report, counted
clock_skew        how far the venue's clock is from ours
own_machine       which hosts are this machine
"""
