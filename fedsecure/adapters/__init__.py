"""Doors to other frameworks: each module needs its framework, and nothing below needs any.

Import the one you use, such as `fedsecure.adapters.flower`; without its framework the import says
which extra to install.
"""
