"""What the console shows, made of snapshots and logs alone, as texts and HTML.

console_words  all texts, in English and Japanese
gauges         figures with their limits and grades
markup         HTML that is escaped by how it is made
panes          parts of pages
plots          charts
why_pane       an answer of `why`
past_pane      results of days, weeks and months
"""
