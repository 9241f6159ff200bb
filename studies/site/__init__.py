"""The site of docs/: what its pages take from the code, and how mkdocs builds it.

``python -m studies.site`` says which parts differ from the code; with ``--write`` it writes them anew.

drawn         parts of pages between two marks
settings      docs/configuration.md and the comments of configs/base.yml, from the models of the settings
flags         docs/commands.md: all commands with their flags
words         docs/reasons.md: reasons of decisions
panel         a picture of the live panel
strike        pictures of a strike's life
hooks         what mkdocs does besides
"""
