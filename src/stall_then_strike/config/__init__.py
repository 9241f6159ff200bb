"""Configuration.

models  what is allowed: every setting with its unit, default and bounds
layers  YAML files as trees that remember where each value came from
loader  layers to one validated configuration, and back to YAML
"""
