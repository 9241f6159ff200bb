"""Reports: one HTML file that needs no network.

write             reads the folders and writes the file
page              a page as HTML
drawing           shared by the charts: colours, layout, thinning
labels            texts in English and Japanese
labels_sweep      texts of a sweep's report
run_data          figures of a run
run_charts        charts of a run
run_sections      sections of a run's page, in order
run_words         sentences on a run
sweep_data        results of a sweep
sweep_scales      positions of swept values on axes
sweep_charts      charts of a sweep
sweep_sections    sections of a sweep's page, in order
sweep_words       sentences on a sweep
calibration_page  the page of a calibration
"""
