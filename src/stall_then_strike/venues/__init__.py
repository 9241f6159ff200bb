"""Venues as live trading uses them: what a venue is, and the choice by configuration.

connection           a connection, its session, desks and listener: what a venue implements
findings             findings of the checks before trading
choice               the venue that a configuration names
venue_rules          the rules of that venue
bitflyer_connection  bitFlyer's connection
bitflyer_checks      bitFlyer's checks before real orders are sent
embedded_bitflyer    bitFlyer on loopback with an account, for a run without API key
"""
