"""The operator's hand on a run: commands over a Unix socket or by keys, new settings, figures for Prometheus.

A run opens one ``Station``; nothing here knows which trader it stands beside. Whatever a visitor does, trading goes on:
connections are few, short and slow to be let in, bodies are small, and every failure here ends only what failed.

verbs           what may be commanded, in words
command_desk    carries commands out on a run
reloading       settings read anew: the difference, and what of it may be applied
doorway         lets visitors in, one after the other, and sends them away in time
socket_server   the daemon's Unix socket: commands, and the run as JSON
ctl             the command that asks there
socket_client   the other side of that socket
socket_name     names of sockets in deep folders
metrics_text    figures of a run in Prometheus' text format
metrics_server  those figures on the loopback address
panel_keys      keys pressed at the panel, each confirmed by a second one
station         all of these beside one run
"""
