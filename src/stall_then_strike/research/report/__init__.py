"""Reports: one HTML file that asks no network.

write             from folders to the file
page              the file
drawing           what charts share
labels            words in English and Japanese
labels_sweep      words of a sweep's report
run_data          figures of a run
run_charts        its charts
run_sections      its page, in order
run_words         its sentences
sweep_data        results of a sweep
sweep_scales      swept values as places on axes
sweep_charts      its charts
sweep_sections    its page, in order
sweep_words       its sentences
calibration_page  the page of a calibration
"""
