"""The protocol a second time: slow, readable, Python integers only.

Nothing here imports fedsecure. The tests run both with the same secrets and compare every byte.
Start with `secagg`; the other modules are what it stands on.
"""
