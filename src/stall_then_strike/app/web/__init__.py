"""The console: a run in the browser, from a process of its own that trading never waits for.

It asks the daemon's socket once for all who look, and commands over the same socket. What is shown is computed and
drawn without a browser (``drawing/``); NiceGUI carries it there.

console     the command
serving     the server: guard, front door, pages
guard       who asks, from where, how much, and what the browser may do
sessions    the token, and who has shown it
front_door  log in and out, language and colours, figures for Prometheus
pages       the pages
act_dialog  commands, each asked back
poller      asks the daemon once for all
tracks      the last minutes of prices, quotes and fills
places      where the run's socket and logs are
why_asking  asks `why` in a process of its own
past_results  results by day, week and month
drawing/    texts, figures and parts of pages
"""
