"""What is learnt from recordings and logs. Nothing that trades imports it; most of it needs the extra ``research``.

tables/       tapes as columns
replay/       the compiled replay
sweep/        many parameter sets over the same tapes
figures/      what runs left, as figures
report/       figures as one HTML file
calibration/  paper fills compared with live ones
"""
