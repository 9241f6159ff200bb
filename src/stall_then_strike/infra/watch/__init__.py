"""What watches over a running process.

heartbeat   a sign of life in a file
alerts      messages to the operator's phone or mail
loop_lag    how late the event loop runs
pauses      sleep, standstill and clocks that were set
histogram   latencies in fixed memory
disk_watch  free space, and a reserve of it
"""
