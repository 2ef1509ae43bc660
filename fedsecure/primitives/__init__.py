"""The hazardous floor: entropy, keys, masks, Shamir shares and sharing graphs.

Each module is correct alone and safe only inside a protocol. Users want
`fedsecure.secure_aggregate` or the parties of a protocol instead.
"""
