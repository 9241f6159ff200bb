"""Venues as live trading uses them: what a venue is, and the choice by configuration.

connection           a connection, its session, desks and listener: what a venue implements
findings             findings of the checks before trading
choice               the venue that a configuration names
venue_rules          the rules of that venue
bitflyer_connection  bitFlyer's connection
bitflyer_checks      bitFlyer's checks before real orders are sent
embedded_bitflyer    bitFlyer on loopback with an account, for a run without API key
lighter_units        units of Lighter's markets, filled into a configuration
lighter_connection   Lighter's connection
lighter_session      its realtime connection
lighter_checks       its checks before real orders are sent
lighter_hand         its cancel-all, for the watchdog
embedded_lighter     Lighter on loopback with an account
shadow/              all of a venue but the orders, which are filled on paper
"""
