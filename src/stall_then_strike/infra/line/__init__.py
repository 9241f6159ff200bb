"""Connections, whatever venue is at their end.

connection_rules  when to connect again, and when a silent channel is dead
handshakes        WebSocket handshakes: paced, counted, put into words
close_words       what the venue said when it closed a socket
frame_tap         who listens in on a connection
outcome           whether a feed is ready or has failed
refusals          messages that cannot be read: counted, told once
clock_skew        how far the venue's clock is from ours
"""
