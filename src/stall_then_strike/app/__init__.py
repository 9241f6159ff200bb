"""Commands: each wires the layers below into one process and turns the outcome into an exit code.

run_live      trade the strategy with real orders
run_paper     trade the strategy on paper: public feed, embedded exchange or tape
sim_exchange  run the embedded exchange on its own
sim_lighter   run Lighter's exchange on loopback
alert_test    send an alert to each address of alerts
doctor        check whether live trading could begin
state         show and change what is remembered between runs
why           explain what happened around a moment or an order
watchdog      cancel all orders when the trader's heartbeat ends
record        record public channels to tapes
tape          inspect, check, cut, merge, convert and replay tapes
backtest      replay tapes as one run
sweep         replay tapes with many parameter sets
calibrate     compare paper fills with live ones
report        write a report on a run or a sweep as one HTML file
sts/          one program for all commands, `sts init`, completion
shell/        shared by all commands: flags, errors, output, stopping
trader/       a run: the core and what surrounds it, the live daemon
lighter_commands/  an account on Lighter on a terminal, and its instruments
contact/           first contact with the real venue: probe, rehearse
control/      the operator's hand on a run: ``ctl`` and what answers it, new settings, figures for Prometheus
view/         what an operator sees
archive/      the runs of a log folder: list, compress, delete
story/        the answers of ``why``
web/          the console: a run in the browser
"""

import stall_then_strike.app.shell.loading  # noqa: F401 - for its effect, before what takes time
