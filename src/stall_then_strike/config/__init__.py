"""Configuration: ``models`` says what is allowed, ``loader`` reads YAML layers into it."""
