"""The account at the venue as the core knows it, and the venue's rules as data.

Pure, as all of the engine.

    account      whether our book and the venue's agree, and what follows when they do not
    evidence     what a report proves about our orders: who owns an execution
    corrections  numbers of executions: the venue's and those of our corrections
    witnesses    which source told of each fill
    reconciler   when the account is asked, and how a report is compared with our book
    budget       rate limits as rolling windows, with a reserve for exits
    calendar     the trading day and its quiet times
    margin       the pause after an order was refused for want of margin
"""
