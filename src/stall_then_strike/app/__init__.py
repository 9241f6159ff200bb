"""Commands: each wires the layers below into one process and turns the outcome into an exit code.

run_live      the strategy with real orders
run_paper     the strategy on paper: public feed, embedded exchange or tape
sim_exchange  the embedded exchange on its own
doctor        whether live trading could begin
state         what is remembered between runs
why           what happened around a moment or an order
watchdog      cancels all orders when the trader's heartbeat ends
record        public channels to tapes
tape          tapes looked at, checked, cut, converted, replayed
backtest      tapes as one run
sweep         many parameter sets over tapes
calibrate     how far paper fills are from live ones
report        a run or a sweep as one HTML file
shell/        what every command has: flags, errors, output, ends
trader/       a run: the core, its surroundings, the live daemon
view/         what an operator sees
story/        the answers of ``why``
"""
