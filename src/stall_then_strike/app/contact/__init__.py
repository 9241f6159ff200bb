"""First contact with the real venue: what it does is compared with what this program assumes of it.

probe           the command that listens and asks
listening       a probe's run
questions       read-only calls, and what their answers should say
manners         how the socket answers requests
rehearse        the command that sends one order and cancels it
rehearsing      a rehearsal joined to a live run
rehearsal       the strategy of a rehearsal
timeline        when each step of a rehearsal happened
shadowing       a shadow run watched
watching        the checks of one connection joined
contact_report  the report
contact_flags   what the commands have in common
lighter_probe/  a probe of Lighter
assumed/        what is assumed, and how it is compared
"""
