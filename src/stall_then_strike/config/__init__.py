"""Configuration.

models        all settings as one value, and every section under one name
venue         the venue and the connections to it
trading       strategy, risk, account, trading day
products      several products of one account
running       journal, recordings, watching, control, logs
replay        paper fills, replays, the embedded exchange
fields        what settings are made of: decimals, times of day, sections
layers        YAML files as trees that remember where each value came from
venue_layers  defaults of a venue, and the section `live` of a connector's documents
changes       what differs between two configurations
loader        layers to one validated configuration, and back to YAML
"""
