"""Supervision of a running process.

heartbeat        a heartbeat file, and the judgement of it
service_manager  tells systemd that the process is ready, alive, stopping
day_digests      the digest of a trading day, with a report that another process makes
alerts           messages to the operator's phone or mail
loop_lag         how late the event loop runs
pauses           detects sleep, standstill and clock steps
histogram        latencies in fixed memory
disk_watch       free disk space, and a reserve of it
"""
