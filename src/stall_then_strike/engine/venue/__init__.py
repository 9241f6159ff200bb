"""The account at the venue as the core knows it, and the venue's rules as data.

Pure, as all of the engine.

    rules        the venue's rules
    account      compares our orders, position and cash with the venue's, and acts on differences
    evidence     what a report proves about our orders, and which order an execution belongs to
    corrections  execution ids: the venue's, and those of our corrections
    witnesses    which sources have reported each fill
    reconciler   when to query the account, and how a report is compared with our state
    budget       rate limits as rolling windows, with a reserve for exits
    calendar     the trading day and its quiet times
    shared       what the instruments of one account share
    margin       the pause after an order was refused for insufficient margin
"""
