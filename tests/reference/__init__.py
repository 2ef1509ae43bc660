"""The protocol a second time: slow, readable, Python integers only.

Nothing here imports fedsecure. The tests run both with the same secrets and compare every byte.
Start with `client` and `server`; the other modules are what they stand on.
"""
